"""Benchmarks of process_implementations.arrays.mapping."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.arrays.mapping import (
    array_apply,
    array_filter,
    array_interpolate_linear,
)

from ..suite import Suite

BRIGHT = {
    "process_graph": {
        "gt": {"process_id": "gt", "arguments": {"x": {"from_parameter": "x"}, "y": 5000}, "result": True},
    }
}


class ArrayApply(Suite):
    """On each value, in one task a chunk."""

    measures = (array_apply,)

    def build(self) -> da.Array:
        return array_apply(self.cube.data, BRIGHT, axis=0)

    def expected(self) -> Any:
        return np.where(np.isnan(self.cube.data), np.nan, self.cube.data > 5000)


class ArrayFilter(Suite):
    """On the values along time, which lies in several chunks that come together first."""

    measures = (array_filter,)

    def build(self) -> da.Array:
        return array_filter(self.cube.data, BRIGHT, axis=0)

    def expected(self) -> Any:
        return np.where(self.cube.data > 5000, self.cube.data, np.nan)


class ArrayInterpolateLinear(Suite):
    """Along time, which lies in several chunks that come together first."""

    measures = (array_interpolate_linear,)

    def build(self) -> da.Array:
        return array_interpolate_linear(self.cube.data, axis=0)

    def expected(self) -> Any:
        return np.apply_along_axis(_row, 0, self.cube.data)


def _row(row: np.ndarray) -> np.ndarray:
    """One row by numpy, which fills the ends too unless it is told otherwise."""
    held = np.flatnonzero(~np.isnan(row))
    return np.interp(np.arange(len(row)), held, row[held], np.nan, np.nan) if len(held) else row
