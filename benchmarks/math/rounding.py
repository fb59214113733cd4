"""Benchmarks of process_implementations.math.rounding."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math.arithmetic import add, divide
from openeo_processes_dask.process_implementations.math.rounding import ceil, floor, int_, round_

from ..suite import Suite


class Rounding(Suite):
    """All four on each value, summed: they fuse into one task a chunk."""

    measures = (ceil, floor, int_, round_)

    def build(self) -> da.Array:
        x = divide(self.cube.data, 8)
        return add(add(ceil(x), floor(x)), add(int_(x), round_(x, 1)))

    def expected(self) -> Any:
        x = self.cube.data / 8
        return np.ceil(x) + np.floor(x) + np.trunc(x) + np.round(x, 1)
