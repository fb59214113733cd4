"""What a record of a sweep says: times, speed-ups and efficiencies by number of threads."""

from __future__ import annotations

import functools
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import fit
from .crew import staircase
from .subjects import WEAK

REJECTED = "rejected: "  # a flag that begins so leaves nothing to conclude
LATE = 1.5  # times the fastest run of a number of threads: beyond that others were at work, and the run is left out
FEWEST = 2  # runs that a number of threads keeps of several, or else it is rejected: the fastest was seen only once


@dataclass(frozen=True)
class Point:
    """One run."""

    threads: int
    workers: int
    restricted: bool  # to a part of the workers; else the scheduler chose among all
    round: int
    probe: str  # "first", "last": to see drift; "" if it belongs to the curve
    bytes: int  # of the inputs
    chunks: int
    samples: dict[str, float]  # by names of `measures.MEASURES`
    flags: dict[str, str] = field(default_factory=dict)


class Curve:
    """A sweep, read from its record."""

    def __init__(self, record: dict[str, Any]):
        self.record = record
        self.points = [Point(**point) for point in record["points"]]

    # --- what it is

    @property
    def title(self) -> str:
        return str(self.record["settings"]["title"])

    @property
    def mode(self) -> str:
        return str(self.record["settings"]["mode"])

    @property
    def label(self) -> str:
        return str(self.record["target"]["label"])

    @property
    def error(self) -> str | None:
        """Why it ended early."""
        found = self.record["error"]
        return None if found is None else str(found)

    @property
    def flags(self) -> dict[str, str]:
        return dict(self.record["flags"])

    @property
    def rejected(self) -> bool:
        """Whether nothing should be concluded from it."""
        return any(says.startswith(REJECTED) for says in self.flags.values())

    # --- what was measured

    def everything(self, measure: str, restricted: bool = True) -> dict[int, list[float]]:
        """All values of a measure by number of threads, those of probes left out."""
        return self._values(measure, [p for p in self.points if p.restricted == restricted])

    def of(self, measure: str, restricted: bool = True) -> dict[int, list[float]]:
        """The same without runs that others have disturbed, and without numbers of threads that are rejected."""
        kept = [p for p in self.points if p.restricted == restricted and not self._is_late(p)]
        found = self._values(measure, kept)
        return {n: values for n, values in found.items() if not restricted or n not in self.rejected_points}

    def fastest(self, threads: int, restricted: bool = True) -> float:
        """The fastest run of a number of threads."""
        return min(self.everything("compute_seconds", restricted)[threads])

    @property
    def late(self) -> dict[int, list[float]]:
        """The times of runs that are left out, by number of threads."""
        return self._values("compute_seconds", [p for p in self.points if p.restricted and self._is_late(p)])

    @property
    def rejected_points(self) -> list[int]:
        """The numbers of threads of whose runs too few agree."""
        measured, late = self.everything("compute_seconds"), self.late
        return [n for n in late if len(measured[n]) - len(late[n]) < FEWEST]

    def _is_late(self, point: Point) -> bool:
        return not point.probe and point.samples["compute_seconds"] > LATE * self.fastest(
            point.threads, point.restricted
        )

    @staticmethod
    def _values(measure: str, points: Sequence[Point]) -> dict[int, list[float]]:
        found: dict[int, list[float]] = defaultdict(list)
        for point in points:
            value = point.samples.get(measure)
            if not point.probe and value is not None and math.isfinite(value):
                found[point.threads].append(value)
        return dict(sorted(found.items()))

    def chunks(self) -> dict[int, int]:
        """By number of threads."""
        return {point.threads: point.chunks for point in self.points if point.restricted}

    @functools.cached_property
    def seconds(self) -> dict[int, list[float]]:
        """Of the work that one unit of threads has: a weak sweep's times are those of more work."""
        times = self.of("compute_seconds")
        if self.mode != WEAK:
            return times
        return {threads: [value * min(times) / threads for value in values] for threads, values in times.items()}

    @property
    def unit(self) -> int | None:
        """The smallest number of threads, over which speed-ups are told."""
        return min(self.seconds, default=None)

    def speed_up(self, threads: int) -> list[float]:
        """Over one unit of threads, of each round."""
        return self._over_unit(self.seconds[threads])

    def rejected_speed_up(self) -> dict[int, list[float]]:
        """What it would be of numbers of threads that are rejected; empty where no unit is left."""
        measured = self.everything("compute_seconds")
        if not self.seconds or self.mode == WEAK:
            return {}
        return {threads: self._over_unit(measured[threads]) for threads in self.rejected_points}

    def free_speed_up(self) -> dict[int, list[float]]:
        """The same of runs that the scheduler placed as it liked; only a strong sweep's can be compared."""
        return {threads: self._over_unit(times) for threads, times in self.of("compute_seconds", False).items()}

    def ideal(self, threads: int) -> float:
        """The speed-up that chunks of equal cost allow, over one unit of threads."""
        return self.ideal_at(threads, self.chunks()[threads])

    def ideal_at(self, threads: float, chunks: int | None = None) -> float:
        """The same between the measured numbers of threads: with the chunks of a strong sweep, unless it is said."""
        unit = self.unit or 1
        first = self.chunks()[unit]
        # Per chunk, because a weak sweep has more of them; a thread that is begun is none.
        return staircase(chunks or first, math.floor(threads + 1e-9)) / staircase(first, unit)

    def efficiency(self, threads: int) -> list[float]:
        """Speed-up by what the chunks allow."""
        return [value / self.ideal(threads) for value in self.speed_up(threads)]

    @property
    def drift(self) -> float | None:
        """By how much the best of the last probes differs from the best of the first."""
        best: dict[str, float] = {}
        for point in self.points:
            if point.probe:
                value = point.samples["compute_seconds"]
                best[point.probe] = min(value, best.get(point.probe, math.inf))
        return best["last"] / best["first"] - 1 if {"first", "last"} <= set(best) else None

    # --- what follows

    @functools.cached_property
    def laws(self) -> list[fit.Law]:
        """The laws that the points carry."""
        found: list[fit.Law] = []
        if self.rejected:
            return found
        for law in (fit.amdahl, fit.usl):
            try:
                found.append(law(self.seconds, self.drift or 0.0))
            except fit.FitError:
                continue
        return found

    @property
    def why_no_law(self) -> str | None:
        """What is missing for the simplest law."""
        if self.rejected:
            return "the sweep is rejected"
        try:
            fit.amdahl(self.seconds, self.drift or 0.0) if not self.laws else None
        except fit.FitError as error:
            return str(error)
        return None

    def _over_unit(self, times: list[float]) -> list[float]:
        one = statistics.median(self.seconds[min(self.seconds)])
        return [one / value for value in times]
