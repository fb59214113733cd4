"""The pixels of zones, which may overlap: gathered from a block, reduced there, and combined over blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from openeo_processes_dask.kernels.outlines import Runs

Partials = tuple[np.ndarray, ...]
Merge = Callable[[list[Partials]], Partials]


class Part(NamedTuple):
    """What some blocks say of the zones that have pixels in them.

    `zones` are their numbers in ascending order and `totals` count their pixels. `results` hold for each statistic its
    partial results, arrays of (planes, zones).
    """

    zones: np.ndarray
    totals: np.ndarray
    results: list[Partials]


def planes(block: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    """A block as an array of (planes, pixels); `axes` are those of y and x."""
    moved = np.moveaxis(block, axes, (-2, -1))
    height, width = moved.shape[-2:]
    return moved.reshape(block.size // max(height * width, 1), height * width)


def pixels(runs: Runs, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The zones of runs that do not overlap and are ordered by zone, where each begins, and its pixels in a plane."""
    lengths = runs.lasts - runs.firsts + 1
    ends = np.cumsum(lengths)
    places = np.repeat(runs.rows * width + runs.firsts - (ends - lengths), lengths) + np.arange(int(lengths.sum()))
    zones, first = np.unique(runs.owners, return_index=True)
    return zones, np.append((ends - lengths)[first], len(places)), places


def curve(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Where blocks lie on a curve of the shape of a Z within a Z …, which seldom jumps far."""
    place = np.zeros(len(rows), np.int64)
    for bit in range(31):
        place |= ((columns >> bit) & 1) << (2 * bit) | ((rows >> bit) & 1) << (2 * bit + 1)
    return place


def of_zones(runs: Runs, zones: np.ndarray) -> Runs:
    """The runs of some zones."""
    chosen = np.isin(runs.owners, zones)
    return Runs(*(column[chosen] for column in runs))


def gathered(values: np.ndarray, starts: np.ndarray, places: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """The values of zones, some zones at a time: from which zone to which, and (planes, pixels) of them.

    Zones that overlap have more pixels than the plane; no more of them than that are gathered at a time.
    """
    most, first = max(values.shape[1], 1), 0
    while first < len(starts) - 1:
        last = max(int(np.searchsorted(starts, starts[first] + most, side="right")) - 1, first + 1)
        yield first, last, np.take(values, places[starts[first] : starts[last]], axis=1)
        first = last


def cut(values: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
    """The values of each zone, of those that lie side by side."""
    return np.split(values, starts[1:-1] - starts[0], axis=1)


def merged(parts: Sequence[Part], merges: Sequence[Merge]) -> Part:
    """What several parts say together; zones come from all of them, their partial results in the order of the parts."""
    if len(parts) < 2:
        return parts[0] if parts else Part(np.empty(0, np.int64), np.empty(0, np.int64), [])
    zones = np.concatenate([part.zones for part in parts])
    order = np.argsort(zones, kind="stable")
    every, first, counts = np.unique(zones[order], return_index=True, return_counts=True)
    totals = np.add.reduceat(np.concatenate([part.totals for part in parts])[order], first)
    results = []
    for number, merge in enumerate(merges):
        columns = [np.concatenate(column, axis=1) for column in zip(*(p.results[number] for p in parts), strict=True)]
        together = tuple(column[:, order[first]] for column in columns)
        for turn in range(1, int(counts.max())):
            more = np.flatnonzero(counts > turn)
            added = merge(
                [tuple(c[:, more] for c in together), tuple(c[:, order[first[more] + turn]] for c in columns)]
            )
            for column, new in zip(together, added, strict=True):
                column[:, more] = new
        results.append(together)
    return Part(every, totals, results)
