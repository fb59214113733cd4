"""Benchmarks of process_implementations.cubes.reduce."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.reduce import reduce_dimension, reduce_spatial

from ..suite import Suite


class ReduceDimension(Suite):
    """Over bands, which lie in one chunk: no block meets another."""

    measures = (reduce_dimension,)
    params = (["mean", "median"],)
    param_names = ("reducer",)
    dimension = "bands"

    def build(self, reducer: str) -> xr.DataArray:
        return reduce_dimension(self.cube, reducer, self.dimension)

    def expected(self, reducer: str) -> Any:
        return getattr(self.cube, reducer)(self.dimension)


class ReduceDimensionAcrossChunks(ReduceDimension):
    """Over time, which lies in several chunks: partial results meet, or the chunks themselves."""

    dimension = "t"


class ReduceSpatial(Suite):
    """All pixels of each plane, which is cut: partial results meet, or the chunks themselves."""

    measures = (reduce_spatial,)
    params = (["mean", "median"],)
    param_names = ("reducer",)

    def build(self, reducer: str) -> xr.DataArray:
        return reduce_spatial(self.cube, reducer)

    def expected(self, reducer: str) -> Any:
        return getattr(np, f"nan{reducer}")(self.cube.values.astype(np.float64), axis=(2, 3))
