"""The grid on which the scene and the synthetic cubes lie: 10 m in UTM zone 32 north."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

if TYPE_CHECKING:
    import xarray as xr

EPSG = 32632
RESOLUTION = 10.0
WEST, NORTH = 600_000.0, 5_340_000.0
TRANSFORM = Affine(RESOLUTION, 0, WEST, 0, -RESOLUTION, NORTH)


def centres(rows: int, cols: int) -> dict[str, np.ndarray]:
    """Give the coordinates of pixel centres: y falls, x rises."""
    return {
        "y": NORTH - RESOLUTION * (np.arange(rows) + 0.5),
        "x": WEST + RESOLUTION * (np.arange(cols) + 0.5),
    }


def georeferenced(cube: xr.DataArray) -> xr.DataArray:
    """Say in the CF way which reference system it is."""
    known = cube.assign_coords(spatial_ref=_reference())
    known.encoding["grid_mapping"] = "spatial_ref"
    return known


@functools.cache
def _reference() -> xr.Variable:
    """The reference system as a scalar coordinate; looking it up costs more than all the rest of a lazy cube."""
    import rioxarray  # noqa: F401  (brings .rio)
    import xarray as xr

    return xr.DataArray(0).rio.write_crs(EPSG).spatial_ref.variable
