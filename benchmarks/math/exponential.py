"""Benchmarks of process_implementations.math.exponential."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math.exponential import exp, ln, log, power, sqrt

from ..suite import Suite


class Exponential(Suite):
    """One after the other on each value: they fuse into one task a chunk."""

    measures = (exp, ln, log, power, sqrt)

    def build(self) -> da.Array:
        return exp(log(power(ln(sqrt(self.cube.data)), 2), 10))

    def expected(self) -> Any:
        return np.exp(np.log10(np.log(np.sqrt(self.cube.data.astype("float64"))) ** 2))
