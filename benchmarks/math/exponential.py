"""Benchmarks of process_implementations.math.exponential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math import exponential  # noqa: F401  (declares what is measured)

from ..suite import Family

LARGEST = 80  # whose exponential float32 still holds

PLAIN: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "ln": np.log,
    "log": lambda x, base: np.log10(x),
    "power": lambda x, p: x**p,
    "sqrt": np.sqrt,
}
MORE: dict[str, tuple[float, ...]] = {"log": (10,), "power": (1.5,)}


class Exponential(Family):
    """Value by value: a cube, with a base or an exponent where there is one."""

    measures = tuple(PLAIN)

    def inputs(self, process: str) -> None:
        self.cube = self.input()
        if process == "exp":
            self.cube = self.prepare(self.cube * (LARGEST / 10_000))

    def build(self, process: str) -> da.Array:
        return self.process(process)(self.cube.data, *MORE.get(process, ()))

    def expected(self, process: str) -> Any:
        return PLAIN[process](self.cube.data, *MORE.get(process, ()))
