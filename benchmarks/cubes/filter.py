"""Benchmarks of process_implementations.cubes.filter."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.aggregate import aggregate_spatial
from openeo_processes_dask.process_implementations.cubes.filter import (
    filter_bands,
    filter_bbox,
    filter_labels,
    filter_spatial,
    filter_temporal,
    filter_vector,
)

from ..suite import Suite
from .mask import circles


class FilterBands(Suite):
    """Two of four bands, which lie in one chunk."""

    measures = (filter_bands,)

    def build(self) -> xr.DataArray:
        return filter_bands(self.cube, ["B08", "B04"])

    def expected(self) -> Any:
        return self.cube.sel(bands=["B08", "B04"])


class FilterBbox(Suite):
    """The middle half of the rows and columns: a box that cuts chunks."""

    measures = (filter_bbox,)

    def build(self) -> xr.DataArray:
        y, x = self.cube.y.values, self.cube.x.values
        quarter = len(x) // 4
        box = {"west": x[quarter], "east": x[-quarter - 1], "south": y[-quarter - 1], "north": y[quarter]}
        return filter_bbox(self.cube, {**{side: float(at) for side, at in box.items()}, "crs": 32632})

    def expected(self) -> Any:
        quarter = self.cube.sizes["x"] // 4
        return self.cube[..., quarter:-quarter, quarter:-quarter]


class FilterLabels(Suite):
    """All bands but one, by a condition on their names."""

    measures = (filter_labels,)

    def build(self) -> xr.DataArray:
        other = {"process_id": "neq", "arguments": {"x": {"from_parameter": "value"}, "y": "B04"}, "result": True}
        return filter_labels(self.cube, {"process_graph": {"other": other}}, "bands")

    def expected(self) -> Any:
        return self.cube.drop_sel(bands="B04")


class FilterSpatial(Suite):
    """A circle in the middle, half as wide as the cube."""

    measures = (filter_spatial,)

    def inputs(self) -> None:
        self.cube = self.input()
        x, y = self.cube.x.values, self.cube.y.values
        self.circle = shapely.buffer(shapely.Point(x.mean(), y.mean()), abs(x[-1] - x[0]) / 4)

    def build(self) -> xr.DataArray:
        shapes = np.array([self.circle], object)
        vector = xr.DataArray([0.0], dims=["geometry"], coords={"geometry": ("geometry", shapes, {"crs": 32632})})
        return filter_spatial(self.cube, vector)

    def expected(self) -> Any:
        x, y = np.meshgrid(self.cube.x.values, self.cube.y.values)
        covered = xr.DataArray(shapely.intersects_xy(self.circle, x, y), dims=["y", "x"])
        return self.cube.where(covered)[..., covered.any("x").values, covered.any("y").values]


class FilterTemporal(Suite):
    """February, which cuts a chunk."""

    measures = (filter_temporal,)

    def build(self) -> xr.DataArray:
        return filter_temporal(self.cube, ["2023-02-01", "2023-03-01"])

    def expected(self) -> Any:
        return self.cube.sel(t="2023-02")


class FilterVector(Suite):
    """The geometries under a few others: their values stay lazy."""

    measures = (filter_vector,)

    def inputs(self) -> None:
        self.cube = self.input()
        self.vectors = aggregate_spatial(self.cube, circles(self.cube, 200), "mean")
        self.base = circles(self.cube, 3)

    def build(self) -> xr.DataArray:
        return filter_vector(self.vectors, self.base)

    def expected(self) -> Any:
        whole = shapely.union_all(self.base["geometry"].values)
        return self.vectors.isel(geometry=shapely.intersects(whole, self.vectors["geometry"].values))
