"""Benchmarks of process_implementations.cubes.indices."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.indices import ndvi

from ..suite import Suite


class Ndvi(Suite):
    """From bands that lie in one chunk: one task per chunk."""

    measures = (ndvi,)

    def build(self) -> xr.DataArray:
        return ndvi(self.cube, nir="B08", red="B04")

    def expected(self) -> Any:
        red, nir = self.cube.sel(bands="B04").data, self.cube.sel(bands="B08").data
        return (nir - red) / (nir + red)
