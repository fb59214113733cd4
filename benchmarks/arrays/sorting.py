"""Benchmarks of process_implementations.arrays.sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.arrays import sorting  # noqa: F401  (declares what is measured)

from ..suite import Family

PLAIN: dict[str, Callable[[np.ndarray], Any]] = {
    "order": lambda x: np.where(np.isnan(np.sort(x, 0)), np.nan, np.argsort(x, 0, kind="stable")),
    "rearrange": lambda x: np.sort(x, 0),
    "sort": lambda x: np.sort(x, 0),
}


class Sorting(Family):
    """Along time, which lies in several chunks that come together first; to rearrange, each row has positions."""

    measures = tuple(PLAIN)

    def inputs(self, process: str) -> None:
        self.cube = self.input()
        self.operands = [self.cube.data]
        if process == "rearrange":
            whole = da.asarray(self.cube.data).rechunk({0: -1})
            positions = whole.map_blocks(np.argsort, axis=0, dtype="int64", meta=np.empty((0,) * 4, "int64"))
            self.operands.append(self.prepare(self.cube.copy(data=positions)).data)

    def build(self, process: str) -> da.Array:
        return self.process(process)(*self.operands, axis=0)

    def expected(self, process: str) -> Any:
        return PLAIN[process](self.cube.data)
