"""Benchmarks of process_implementations.arrays.sorting."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.arrays.sorting import order, rearrange, sort

from ..suite import Suite


class Sort(Suite):
    """Along time, which lies in several chunks that come together first."""

    measures = (sort,)

    def build(self) -> da.Array:
        return sort(self.cube.data, axis=0)

    def expected(self) -> Any:
        return np.sort(self.cube.data, 0)


class OrderAndRearrange(Suite):
    """Positions along time, and the values at these positions."""

    measures = (order, rearrange)

    def build(self) -> da.Array:
        return rearrange(self.cube.data, order(self.cube.data, axis=0), axis=0)

    def expected(self) -> Any:
        return np.sort(self.cube.data, 0)
