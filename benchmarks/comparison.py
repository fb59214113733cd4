"""Benchmarks of process_implementations.comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations import comparison  # noqa: F401  (declares what is measured)

from .suite import Family

PLAIN: dict[str, Callable[..., Any]] = {
    "between": lambda x, least, most: (x >= least) & (x <= most),
    "eq": np.equal,
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
    "neq": np.not_equal,
    "is_infinite": np.isinf,
    "is_nan": np.isnan,
    "is_nodata": np.isnan,
    "is_valid": np.isfinite,
}


class Comparison(Family):
    """Value by value with a number or two, or what kind of value it is."""

    measures = tuple(PLAIN)

    def operands(self, process: str) -> list[Any]:
        if process.startswith("is_"):
            return [self.cube.data]
        return [self.cube.data, 2000, 8000] if process == "between" else [self.cube.data, 5000]

    def build(self, process: str) -> da.Array:
        return self.process(process)(*self.operands(process))

    def expected(self, process: str) -> Any:
        values = PLAIN[process](*self.operands(process))
        if process.startswith("is_"):
            return values
        return np.where(np.isnan(self.cube.data), np.nan, values)  # what is missing compares with nothing
