"""What is swept: a suite with the values of its parameters, at whichever size is asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import inputs, metrics
from ..suite import Size, Suite, suites

CHUNK = 8_000_000  # bytes that a chunk has at most
PER_THREAD = 4  # chunks at least, in every plane, so that results too have some for each thread
LONGEST_LIST = 12
STRONG, WEAK = "strong", "weak"


class SubjectError(ValueError):
    """There is no such suite, or none that grows: says which there are."""


@dataclass(frozen=True)
class Drawn:
    """What a subject is at a size, without computing it."""

    bytes: int  # of the inputs
    chunks: int  # of the input that has most of them
    graph: metrics.Graph


@dataclass(frozen=True)
class Subject:
    """A suite and the values of its parameters."""

    name: str
    suite: type[Suite]
    case: tuple[Any, ...]

    @property
    def title(self) -> str:
        return "-".join([self.name, *map(str, self.case)])

    @property
    def params(self) -> dict[str, Any]:
        return dict(zip(self.suite.param_names, self.case, strict=True))

    def at(self, size: Size) -> Suite:
        """The suite with another size than those that it has."""
        sizes = {**self.suite.sizes, "swept": size}
        made = type(self.suite.__name__, (self.suite,), {"sizes": sizes, "__module__": self.suite.__module__})()
        made.size = "swept"
        return made

    def drawn(self, size: Size) -> Drawn:
        """Exact counts at a size: the graph is built and not run.

        Raises
        ------
        SubjectError
            If the suite's inputs do not follow its size.
        """
        suite = self.at(size)
        seen = Seen(metrics.in_memory)
        suite.prepare = seen
        suite.inputs(*self.case)
        if seen.bytes < math.prod(size.shape):  # bytes; a value has one at least
            raise SubjectError(f"the inputs of {self.title} have a size of their own: it can be run, not swept")
        return Drawn(seen.bytes, seen.chunks, metrics.graph_of(inputs.on_workers(suite.build(*self.case))))

    def block(self, chunk_bytes: float = CHUNK) -> tuple[int, ...]:
        """The shape of a chunk: the suite's own, its planes made as large as so many bytes allow."""
        dates, bands, rows, columns = self.suite.sizes["default"].chunks
        own = dates * bands * rows * columns * np.dtype("float32").itemsize
        factor = 2.0 ** math.floor(math.log2(max(chunk_bytes / own, 1e-6)) / 2)
        return dates, bands, max(16, int(rows * factor)), max(16, int(columns * factor))

    def size(self, planes: tuple[int, int], chunk_bytes: float = CHUNK) -> Size:
        """The size of a cube whose planes have so many rows and columns of chunks."""
        block = self.block(chunk_bytes)
        own = self.suite.sizes["default"].shape[:2]
        return Size((*own, planes[0] * block[2], planes[1] * block[3]), block)

    def size_for(self, mode: str, threads: int, chunk_bytes: float = CHUNK) -> Size:
        """The size of a cube with chunks enough for so many threads.

        A weak sweep's grows along one axis, row of chunks by row of chunks, so that all threads get the same.
        """
        if mode == WEAK:
            return self.size((2 * threads, PER_THREAD // 2), chunk_bytes)
        return self.size(_near_square(PER_THREAD * threads), chunk_bytes)

    def size_of(self, bytes_: float, chunk_bytes: float = CHUNK) -> Size:
        """The size of a cube of at least so many bytes."""
        layer = math.prod(self.size((1, 1), chunk_bytes).shape) * np.dtype("float32").itemsize
        return self.size(_near_square(math.ceil(bytes_ / layer)), chunk_bytes)


class Seen:
    """A preparation of inputs that counts what it prepares."""

    def __init__(self, prepare: inputs.Preparation):
        self.prepare = prepare
        self.bytes = 0
        self.chunks = 0

    def __call__(self, cube: xr.DataArray) -> xr.DataArray:
        self.bytes += cube.nbytes
        self.chunks = max(self.chunks, cube.data.npartitions)
        return self.prepare(cube)


@functools.cache
def subjects() -> dict[str, Subject]:
    """All that build graphs, by title."""
    found = [Subject(name, suite, case) for name, suite in suites().items() if suite.lazy() for case in suite.cases()]
    return {subject.title: subject for subject in found}


def find(name: str) -> Subject:
    """The subject of a title, or of a part of one that no other has; capital letters do not matter.

    Raises
    ------
    SubjectError
        If there is none, or if there are several and none of them is called exactly so.
    """
    wanted = name.lower()
    found = [subject for title, subject in subjects().items() if wanted in title.lower()]
    exact = [subject for subject in found if wanted in _names(subject)]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise SubjectError(f"no suite that builds a graph is called {name!r}; `python -m benchmarks graph` lists them")
    several = [subject.title for subject in exact or found]
    more = [f"and {len(several) - LONGEST_LIST} more"] if len(several) > LONGEST_LIST else []
    raise SubjectError(f"{name!r} may be any of: {', '.join([*several[:LONGEST_LIST], *more])}")


def growth(subject: Subject, chunk_bytes: float = CHUNK, planes: Sequence[int] = (2, 4, 8, 16)) -> list[Drawn]:
    """Exact counts at sizes that grow fourfold: tasks should grow with the chunks, and no faster."""
    return [subject.drawn(subject.size((side, side), chunk_bytes)) for side in planes]


def _names(subject: Subject) -> set[str]:
    """What the whole subject is called: with its module, or by its class alone."""
    title = subject.title.lower()
    return {title, title.removeprefix(subject.name.lower().rpartition(".")[0] + ".")}


def _near_square(blocks: int) -> tuple[int, int]:
    side = math.isqrt(max(blocks - 1, 0)) + 1
    return math.ceil(blocks / side), side
