"""Benchmarks of process_implementations.math.arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math import arithmetic  # noqa: F401  (declares what is measured)

from ..suite import Family

LOW, HIGH = 2000, 8000

PLAIN: dict[str, Callable[..., Any]] = {
    "absolute": np.abs,
    "add": lambda x, y: x + y,
    "clip": np.clip,
    "divide": lambda x, y: x / y,
    "linear_scale_range": lambda x, low, high: (np.clip(x, low, high) - low) / (high - low),
    "mod": np.mod,
    "multiply": lambda x, y: x * y,
    "normalized_difference": lambda x, y: (x - y) / (x + y),
    "sgn": np.sign,
    "subtract": lambda x, y: x - y,
}
OF_ONE = ("absolute", "sgn")
WITH_LIMITS = ("clip", "linear_scale_range")


class Arithmetic(Family):
    """Value by value: two cubes, one cube, or one cube and two numbers."""

    measures = tuple(PLAIN)

    def inputs(self, process: str) -> None:
        self.operands: list[Any] = [self.input().data]
        if process in WITH_LIMITS:
            self.operands += [LOW, HIGH]
        elif process not in OF_ONE:
            self.operands.append(self.input(seed=1).data)

    def build(self, process: str) -> da.Array:
        return self.process(process)(*self.operands)

    def expected(self, process: str) -> Any:
        return PLAIN[process](*self.operands)
