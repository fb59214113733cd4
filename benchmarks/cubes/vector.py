"""Benchmarks of process_implementations.cubes.vector."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import shapely
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.aggregate import aggregate_spatial
from openeo_processes_dask.process_implementations.cubes.vector import (
    load_geojson,
    vector_buffer,
    vector_reproject,
    vector_to_random_points,
    vector_to_regular_points,
)

from ..suite import Suite
from .mask import circles


class LoadGeojson(Suite):
    """A thousand features with two properties, which become a dimension."""

    measures = (load_geojson,)

    def inputs(self) -> None:
        self.cube = self.input()
        shapes = geopandas.GeoSeries(circles(self.cube, 1000)["geometry"].values, crs=32632).to_crs(4326)
        table = geopandas.GeoDataFrame({"one": np.arange(1000), "two": np.arange(1000) / 7}, geometry=shapes)
        self.table, self.document = table, table.to_geo_dict()

    def build(self) -> xr.DataArray:
        return load_geojson(self.document, ["one", "two"])

    def expected(self) -> Any:
        return self.table[["one", "two"]].to_numpy()


class Vectors(Suite):
    """What happens to geometries does not touch the values of a vector cube, which stay lazy."""

    def inputs(self) -> None:
        self.cube = self.input()
        self.vectors = aggregate_spatial(self.cube, circles(self.cube, 100), "mean")

    def expected(self) -> Any:
        return self.vectors


class VectorBuffer(Vectors):
    measures = (vector_buffer,)

    def build(self) -> xr.DataArray:
        return vector_buffer(self.vectors, 100)


class VectorBufferInDegrees(Vectors):
    """Each buffer is made in a plane of its own."""

    measures = (vector_buffer,)

    def inputs(self) -> None:
        super().inputs()
        self.vectors = vector_reproject(self.vectors, 4326)

    def build(self) -> xr.DataArray:
        return vector_buffer(self.vectors, 100)


class VectorReproject(Vectors):
    measures = (vector_reproject,)

    def build(self) -> xr.DataArray:
        return vector_reproject(self.vectors, 4326)


class VectorToRandomPoints(Vectors):
    measures = (vector_to_random_points,)

    def build(self) -> xr.DataArray:
        return vector_to_random_points(self.vectors, 100, seed=1)


class VectorToRegularPoints(Vectors):
    """Points of their own: each has the values of its geometry."""

    measures = (vector_to_regular_points,)

    def build(self) -> xr.DataArray:
        return vector_to_regular_points(self.vectors, 100, group=False)

    def expected(self) -> Any:
        points = vector_to_regular_points(self.vectors, 100).geometry.values
        return np.repeat(self.vectors.values, shapely.get_num_geometries(points), axis=2)
