"""Benchmarks of process_implementations.cubes.reduce."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.reduce import reduce_dimension

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
