"""Benchmarks of process_implementations.math.cumulative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math import cumulative  # noqa: F401  (declares what is measured)

from ..suite import Family


def _running(ufunc: np.ufunc, neutral: float) -> Callable[[np.ndarray], np.ndarray]:
    """The running total along time, with gaps where they were."""

    def over_time(x: np.ndarray) -> np.ndarray:
        filled = np.where(np.isnan(x), neutral, x)
        return np.where(np.isnan(x), np.nan, ufunc.accumulate(filled, 0))

    return over_time


PLAIN: dict[str, Callable[[np.ndarray], Any]] = {
    "cummax": _running(np.maximum, -np.inf),
    "cummin": _running(np.minimum, np.inf),
    "cumproduct": _running(np.multiply, 1),
    "cumsum": _running(np.add, 0),
}


class Cumulative(Family):
    """Along time, which lies in several chunks that come together first."""

    measures = tuple(PLAIN)

    def values(self, process: str) -> Any:
        return self.cube.data / 5000 if process == "cumproduct" else self.cube.data

    def build(self, process: str) -> da.Array:
        return self.process(process)(self.values(process), axis=0)

    def expected(self, process: str) -> Any:
        return PLAIN[process](self.values(process).astype("float64"))
