"""Benchmarks of process_implementations.math.rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math import rounding  # noqa: F401  (declares what is measured)

from ..suite import Family

PLAIN: dict[str, Callable[[np.ndarray], Any]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "int": np.trunc,
    "round": lambda x: np.round(x, 1),
}


class Rounding(Family):
    """Value by value; the cube's are no whole numbers."""

    measures = tuple(PLAIN)

    def build(self, process: str) -> da.Array:
        digits = (1,) if process == "round" else ()
        return self.process(process)(self.cube.data, *digits)

    def expected(self, process: str) -> Any:
        return PLAIN[process](self.cube.data)
