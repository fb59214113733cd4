"""The STAC Item that says what was written and where."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import shapely
import shapely.geometry
import xarray as xr
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids
from openeo_processes_dask.arguments import Box
from openeo_processes_dask.exceptions import DimensionMissing, ProcessParameterInvalid
from openeo_processes_dask.process_implementations.cubes.loading.layers import storable

from .options import lone_name

EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]


def describe(cube: xr.DataArray, files: Mapping[Path, Any], media_type: str, name: str) -> dict[str, Any]:
    """A STAC Item of a cube and the files it was written to; each with the label of the date it holds, or None."""
    properties: dict[str, Any] = {"created": _text(pd.Timestamp.now("UTC"))}
    properties |= _when(cube) | _projection(cube)
    bbox = _bbox(cube)
    item = pystac.Item(
        id=name,
        geometry=None if bbox is None else shapely.geometry.mapping(shapely.box(*bbox)),
        bbox=bbox,
        datetime=None if properties["datetime"] is None else pd.Timestamp(properties["datetime"]).to_pydatetime(),
        properties=properties,
        stac_extensions=list(EXTENSIONS),
    )
    for number, (path, label) in enumerate(files.items()):
        fields: dict[str, Any] = {"bands": _bands(cube), "file:size": _size(path)}
        if isinstance(label, np.datetime64):
            fields["datetime"] = _text(pd.Timestamp(label))
        key = "data" if len(files) == 1 else path.stem
        item.add_asset(
            key if key not in item.assets else f"{key}-{number}",
            pystac.Asset(str(path), path.name, media_type=media_type, roles=["data"], extra_fields=fields),
        )
    return dict(item.to_dict(include_self_link=False))


def _when(cube: xr.DataArray) -> dict[str, Any]:
    """The instant, or the first and last; where the cube has no dates, the instant is that of writing."""
    for time in dimensions.of_role(cube, "temporal"):
        if time in cube.coords and cube[time].dtype.kind == "M":
            moments: Sequence[pd.Timestamp] = sorted(pd.DatetimeIndex(cube[time].values).dropna())
            if len(moments) == 1:
                return {"datetime": _text(moments[0])}
            if moments:
                first, last = _text(moments[0]), _text(moments[-1])
                return {"datetime": None, "start_datetime": first, "end_datetime": last}
    return {"datetime": _text(pd.Timestamp(datetime.datetime.now(datetime.UTC)))}


def _text(moment: pd.Timestamp) -> str:
    return (
        moment.tz_localize(None).isoformat(timespec="auto") + "Z"
        if moment.tz is None
        else _text(moment.tz_convert("UTC").tz_localize(None))
    )


def _projection(cube: xr.DataArray) -> dict[str, Any]:
    y, x, crs = dimensions.y_dim(cube), dimensions.x_dim(cube), dimensions.crs(cube)
    said: dict[str, Any] = {}
    if crs is not None:
        code = crs.to_authority()
        said = {"proj:code": ":".join(code)} if code else {"proj:code": None, "proj:wkt2": crs.to_wkt()}
    if y is not None and x is not None:
        said["proj:shape"] = [cube.sizes[y], cube.sizes[x]]
    if (grid := _grid(cube)) is not None:
        said["proj:transform"] = [float(v) for v in tuple(grid.affine)[:6]]
    return said


def _grid(cube: xr.DataArray) -> GeoBox | None:
    """The grid, with rows from north to south, as rasters are written; None if there is none."""
    try:
        y, _ = dimensions.require_spatial(cube)
        return grids.of(cube.isel({y: slice(None, None, -1)}) if grids.of(cube).affine.e > 0 else cube)
    except (DimensionMissing, ProcessParameterInvalid):
        return None


def _bbox(cube: xr.DataArray) -> list[float] | None:
    crs, grid = dimensions.crs(cube), _grid(cube)
    if crs is None or grid is None:
        return None
    box = grid.boundingbox
    lonlat = Box(box.left, box.bottom, box.right, box.top, crs).to_crs(dimensions.parse_crs(4326))
    return [lonlat.west, lonlat.south, lonlat.east, lonlat.north]


def _bands(cube: xr.DataArray) -> list[dict[str, Any]]:
    bands = dimensions.of_role(cube, "bands")[:1]
    names = [str(label) for label in dimensions.labels(cube, bands[0])] if bands else [lone_name(cube)]
    about: dict[str, Any] = {"data_type": "uint8" if cube.dtype == bool else cube.dtype.name}
    nodata = "nan" if cube.dtype.kind == "f" else storable(dimensions.nodata(cube), cube.dtype)
    if nodata is not None:
        about["nodata"] = nodata
    found = [{"name": name, **about} for name in names]
    if bands and dimensions.COMMON_NAME in cube.coords and cube.coords[dimensions.COMMON_NAME].dims == bands:
        for one, common in zip(found, cube.coords[dimensions.COMMON_NAME].values, strict=True):
            if common:
                one["eo:common_name"] = str(common)
    return found


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
