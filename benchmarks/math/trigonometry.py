"""Benchmarks of process_implementations.math.trigonometry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math import trigonometry  # noqa: F401  (declares what is measured)

from ..suite import Family

PLAIN: dict[str, Callable[..., Any]] = {
    "arccos": np.arccos,
    "arcosh": np.arccosh,
    "arcsin": np.arcsin,
    "arctan": np.arctan,
    "arctan2": np.arctan2,
    "arsinh": np.arcsinh,
    "artanh": np.arctanh,
    "cos": np.cos,
    "cosh": np.cosh,
    "sin": np.sin,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
}
WITHIN_ONE = ("arccos", "arcsin", "artanh")
FROM_ONE = ("arcosh",)


class Trigonometry(Family):
    """Value by value: angles from about -π to π and what belongs to them, from -0.9 to 0.9, or from one on."""

    measures = tuple(PLAIN)

    def inputs(self, process: str) -> None:
        self.operands = [self.values(process)]
        if process == "arctan2":
            self.operands.append(self.values(process, seed=1))

    def values(self, process: str, **options: Any) -> Any:
        """A cube's values, brought to where the process has results."""
        cube = self.input(**options)
        if process not in FROM_ONE:  # the cube's values are from 1 to 10,000
            cube = self.prepare((cube - 5000) * ((0.9 if process in WITHIN_ONE else np.pi) / 5000))
        return cube.data

    def build(self, process: str) -> da.Array:
        return self.process(process)(*self.operands)

    def expected(self, process: str) -> Any:
        return PLAIN[process](*self.operands)
