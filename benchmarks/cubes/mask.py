"""Benchmarks of process_implementations.cubes.mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.mask import mask, mask_polygon

from ..suite import Suite


class Mask(Suite):
    """A mask of every date for all bands."""

    measures = (mask,)

    def inputs(self) -> None:
        self.cube = self.input()
        self.mask = self.prepare(self.input(seed=1).isel(bands=0, drop=True) > 5000)

    def build(self) -> xr.DataArray:
        return mask(self.cube, self.mask)

    def expected(self) -> Any:
        return self.cube.where(~self.mask)


class MaskPolygon(Suite):
    """So many polygons: the number of tasks is the same, and each spatial block is filled once."""

    measures = (mask_polygon,)
    params = ([1, 64, 1000],)
    param_names = ("polygons",)

    def inputs(self, polygons: int) -> None:
        self.cube = self.input()
        self.polygons = circles(self.cube, polygons)

    def build(self, polygons: int) -> xr.DataArray:
        return mask_polygon(self.cube, self.polygons)

    def expected(self, polygons: int) -> Any:
        x, y = np.meshgrid(self.cube.x.values, self.cube.y.values)
        return self.cube.where(shapely.intersects_xy(shapely.union_all(self.polygons["geometry"].values), x, y))


def circles(cube: xr.DataArray, number: int) -> xr.DataArray:
    """Circles anywhere on a cube, as a vector cube, which together are about half as large as the cube."""
    x, y = cube.x.values, cube.y.values
    radius = abs(x[-1] - x[0]) / np.sqrt(6 * number)
    rng = np.random.default_rng(number)
    centres = np.stack([rng.uniform(x.min(), x.max(), number), rng.uniform(y.min(), y.max(), number)], axis=1)
    shapes = shapely.buffer(shapely.points(centres), radius)
    return xr.DataArray(np.zeros(number), dims=["geometry"], coords={"geometry": ("geometry", shapes, {"crs": 32632})})
