"""Benchmarks of process_implementations.cubes.resample."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.resample import (
    resample_cube_spatial,
    resample_cube_temporal,
    resample_spatial,
)

from ..suite import Size, Suite


class ResampleSpatial(Suite):
    """Averages of two by two pixels: a whole factor on the same grid."""

    measures = (resample_spatial,)

    def build(self) -> xr.DataArray:
        return resample_spatial(self.cube, resolution=20, method="average")

    def expected(self) -> Any:
        return self.cube.coarsen(y=2, x=2).mean()


class ResampleSpatialToAnotherCrs(Suite):
    """Another projection, bilinear: every block needs parts of its neighbours."""

    measures = (resample_spatial,)
    sizes = {**Suite.sizes, "default": Size((4, 4, 256, 256), (1, 4, 128, 128))}  # 4 MB: warping takes its time

    def build(self) -> xr.DataArray:
        return resample_spatial(self.cube, resolution=10, projection=3035, method="bilinear")


class ResampleCubeSpatial(Suite):
    """To a grid that lies half a pixel beside, nearest pixel."""

    measures = (resample_cube_spatial,)

    def inputs(self) -> None:
        self.cube = self.input()
        self.target = self.cube.assign_coords(y=self.cube.y.values - 5, x=self.cube.x.values + 5)

    def build(self) -> xr.DataArray:
        return resample_cube_spatial(self.cube, self.target)


class ResampleCubeTemporal(Suite):
    """Every other instant, three days later: whole dates, or the nearest valid value of each pixel."""

    measures = (resample_cube_temporal,)
    params = ([None, 20],)
    param_names = ("valid_within",)

    def inputs(self, valid_within: int | None) -> None:
        self.cube = self.input()
        self.target = self.cube.isel(t=slice(None, None, 2), x=[0], y=[0])
        self.target = self.target.assign_coords(t=self.target.t.values + np.timedelta64(3, "D"))

    def build(self, valid_within: int | None) -> xr.DataArray:
        return resample_cube_temporal(self.cube, self.target, valid_within=valid_within)
