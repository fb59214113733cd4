"""Suites in which something went wrong on purpose; they lie where suites are not looked for."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np

from benchmarks.suite import Suite
from openeo_processes_dask.process_implementations.cubes.reduce import reduce_dimension

KEPT: list[Any] = []


class Sound(Suite):
    """A reduction over time, which lies in two chunks."""

    measures = (reduce_dimension,)

    def __init__(self) -> None:
        super().__init__()
        self.size = "smallest"

    def build(self) -> Any:
        return reduce_dimension(self.cube, "mean", "t")

    def expected(self) -> Any:
        return self.cube.mean("t")


class Eager(Sound):
    """Needs a value while the graph is built."""

    def build(self) -> Any:
        return super().build() + 0 * float(self.cube.max().compute())


class OneChunk(Sound):
    """Brings the whole cube into one chunk."""

    def build(self) -> Any:
        self.cube = self.cube.chunk(dict.fromkeys(self.cube.dims, -1))
        return super().build()


class Quadratic(Sound):
    """Each block of the result needs every other one."""

    def build(self) -> Any:
        result = super().build()
        return result + 0 * sum(block.sum() for block in _blocks(result))


class TransferTwice(Sound):
    """Brings time into one chunk and back before it does its work."""

    def build(self) -> Any:
        chunks = {d: self.cube.chunksizes[d] for d in self.cube.dims}
        self.cube = self.cube.chunk(t=-1, y=8).chunk(chunks)
        return super().build()


class Transfer(Sound):
    """Has to bring time together."""

    def build(self) -> Any:
        return reduce_dimension(self.cube, "median", "t")

    def expected(self) -> Any:
        return self.cube.median("t")


class DoubledTransfer(Transfer):
    """Does the same with twice the bytes for each value."""

    def build(self) -> Any:
        self.cube = self.cube.astype(np.float64)
        return super().build()


class Keeping(Sound):
    """Keeps what it has computed in the workers' memory."""

    def work(self, *params: Any) -> None:
        KEPT.append(self.client.persist(self.cube + 1))
        super().work(*params)


class Wrong(Sound):
    """Counts gaps as if they were zeros."""

    def build(self) -> Any:
        return reduce_dimension(self.cube.fillna(0), "mean", "t")


class Failing(Sound):
    """Raises when it is built."""

    def build(self) -> Any:
        raise ValueError("planted")


class Slow(Sound):
    """Its blocks take their time."""

    timeout: ClassVar[float] = 60.0  # type: ignore[misc]  # room for a new worker process on a loaded machine
    seconds: ClassVar[float] = 1.0

    def build(self) -> Any:
        seconds = self.seconds

        def slow(block: np.ndarray) -> np.ndarray:  # workers do not have this file: it travels as code
            time.sleep(seconds * bool(block.size))
            return block

        result = super().build()
        return result.copy(data=result.data.map_blocks(slow, dtype="float32"))


class Hanging(Slow):
    """They take longer than it is given."""

    timeout, seconds = 1.0, 5.0


def _blocks(cube: Any) -> list[Any]:
    data = cube.data
    return [data.blocks[place] for place in np.ndindex(data.numblocks)]
