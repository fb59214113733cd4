"""Benchmarks of process_implementations.cubes.aggregate."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.aggregate import (
    aggregate_spatial,
    aggregate_spatial_window,
    aggregate_temporal,
    aggregate_temporal_period,
)

from ..suite import Suite
from .mask import circles


class AggregateSpatial(Suite):
    """So many polygons: the number of tasks does not grow with them if the reducer combines."""

    measures = (aggregate_spatial,)
    params = ([16, 64, 1000], ["mean", "median"])
    param_names = ("polygons", "reducer")

    def inputs(self, polygons: int, reducer: str) -> None:
        self.cube = self.input()
        self.polygons = circles(self.cube, polygons)

    def build(self, polygons: int, reducer: str) -> xr.DataArray:
        return aggregate_spatial(self.cube, self.polygons, reducer)

    def expected(self, polygons: int, reducer: str) -> Any:
        x, y = np.meshgrid(self.cube.x.values, self.cube.y.values)
        flat = self.cube.values.reshape(*self.cube.shape[:2], -1)
        out = np.full((*self.cube.shape[:2], polygons), np.nan)
        for number, polygon in enumerate(self.polygons["geometry"].values):
            inside = shapely.intersects_xy(polygon, x, y).ravel()
            if inside.any():
                out[..., number] = getattr(xr.DataArray(flat[..., inside]), reducer)("dim_2")
        return out


class AggregateSpatialWindow(Suite):
    """Windows that fill chunks, and those that chunks cut."""

    measures = (aggregate_spatial_window,)
    params = ([4, 5], ["mean", "median"])
    param_names = ("side", "reducer")

    def build(self, side: int, reducer: str) -> xr.DataArray:
        return aggregate_spatial_window(self.cube, reducer, [side, side])

    def expected(self, side: int, reducer: str) -> Any:
        return getattr(self.cube.coarsen(y=side, x=side, boundary="pad"), reducer)()


class AggregateTemporal(Suite):
    """Months that overlap by half: a date counts twice."""

    measures = (aggregate_temporal,)
    params = (["mean", "median"],)
    param_names = ("reducer",)

    @property
    def intervals(self) -> list[list[str]]:
        """Pairs of dates that follow each other by 15 days and last 30."""
        first, last = (np.datetime64(self.cube.t.values[i], "D") for i in (0, -1))
        starts = np.arange(first, max(last, first + 1), np.timedelta64(15, "D"))
        return [[str(start), str(start + np.timedelta64(30, "D"))] for start in starts]

    def build(self, reducer: str) -> xr.DataArray:
        return aggregate_temporal(self.cube, self.intervals, reducer)

    def expected(self, reducer: str) -> Any:
        t = self.cube.t.values
        parts = [
            self.cube.isel(t=(t >= np.datetime64(start)) & (t < np.datetime64(end))) for start, end in self.intervals
        ]
        return np.stack([getattr(part, reducer)("t").values for part in parts])


class AggregateTemporalPeriod(Suite):
    """Months of ten-day dates, which lie in several chunks."""

    measures = (aggregate_temporal_period,)
    params = (["mean", "median"],)
    param_names = ("reducer",)

    def build(self, reducer: str) -> xr.DataArray:
        return aggregate_temporal_period(self.cube, "month", reducer)

    def expected(self, reducer: str) -> Any:
        return getattr(self.cube.resample(t="MS"), reducer)()
