"""A known address: the types of cubes."""

from __future__ import annotations

import geopandas as gpd
import xarray as xr

RasterCube = xr.DataArray
VectorCube = gpd.GeoDataFrame | xr.Dataset
