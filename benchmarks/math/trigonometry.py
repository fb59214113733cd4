"""Benchmarks of process_implementations.math.trigonometry."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math import trigonometry as angles
from openeo_processes_dask.process_implementations.math.arithmetic import add, linear_scale_range

from ..suite import Suite


class Trigonometry(Suite):
    """There and back on each value, one after the other: they fuse into one task a chunk."""

    measures = (angles.sin, angles.arcsin, angles.cos, angles.arccos, angles.tan, angles.arctan, angles.arctan2)

    def build(self) -> da.Array:
        x = linear_scale_range(self.cube.data, 0, 10_000, 0.1, 0.9)
        there = [angles.arcsin(angles.sin(x)), angles.arccos(angles.cos(x)), angles.arctan(angles.tan(x))]
        return angles.arctan2(add(there[0], there[1]), there[2])

    def expected(self) -> Any:
        return np.where(np.isnan(self.cube.data), np.nan, np.arctan(2))


class Hyperbolic(Suite):
    """There and back on each value, one after the other, with hyperbolic angles."""

    measures = (angles.sinh, angles.arsinh, angles.cosh, angles.arcosh, angles.tanh, angles.artanh)

    def build(self) -> da.Array:
        x = linear_scale_range(self.cube.data, 0, 10_000, 0.1, 0.9)
        return angles.artanh(angles.tanh(angles.arcosh(angles.cosh(angles.arsinh(angles.sinh(x))))))

    def expected(self) -> Any:
        return np.clip(self.cube.data, 0, 10_000) / 10_000 * 0.8 + 0.1
