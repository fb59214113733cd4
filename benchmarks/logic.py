"""Benchmarks of process_implementations.logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations import logic  # noqa: F401  (declares what is measured)

from .suite import Family

PLAIN: dict[str, Callable[..., Any]] = {
    "and": np.logical_and,
    "if": lambda x, y: np.where(x, y, np.nan),
    "not": np.logical_not,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "all": lambda x: x.all(0),
    "any": lambda x: x.any(0),
}
OF_ONE = ("not", "all", "any")
OVER_TIME = ("all", "any")


class Logic(Family):
    """Truth values without gaps: one or two of them, or all along time, which lies in several chunks."""

    measures = tuple(PLAIN)

    def inputs(self, process: str) -> None:
        cubes = [self.input()] if process in OF_ONE else [self.input(), self.input(seed=1)]
        self.truths = [self.prepare(cube > 5000).data for cube in cubes]

    def build(self, process: str) -> da.Array:
        engine: dict[str, Any] = {"axis": 0} if process in OVER_TIME else {}
        return self.process(process)(*self.truths, **engine)

    def expected(self, process: str) -> Any:
        return PLAIN[process](*self.truths)
