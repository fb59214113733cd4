"""A known address: the types of cubes.

A raster cube is a DataArray. A vector cube, as processes make it, is a DataArray too, with a dimension whose labels are
geometries; `openeo_processes_dask.vectors` says how it is made. Processes also take tables of geopandas, Datasets of
xvec and GeoJSON for one. `VectorCube` tells both kinds apart: `isinstance(cube, VectorCube)` asks for geometries.
"""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import xarray as xr

from openeo_processes_dask import dimensions


class _HasGeometries(type):
    """Asks an instance what its dimensions are."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if isinstance(instance, xr.DataArray):
            return bool(dimensions.of_role(instance, "geometry"))
        is_table = hasattr(instance, "geometry") and hasattr(instance, "crs")  # dask-geopandas among them
        return isinstance(instance, (gpd.GeoDataFrame, xr.Dataset)) or is_table


class VectorCube(metaclass=_HasGeometries):
    """A cube or a table with geometries: what processes on vectors take and make."""


RasterCube = xr.DataArray
