"""The STAC documents that say what was written and where."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import shapely
import shapely.geometry
import xarray as xr
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids, vectors
from openeo_processes_dask.arguments import Box
from openeo_processes_dask.exceptions import DimensionMissing, ProcessParameterInvalid
from openeo_processes_dask.process_implementations.cubes.loading.layers import storable

from .options import lone_name

EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
DATACUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"


@dataclass(frozen=True)
class Documents:
    """An Item for each file; where there are several files, a Collection of them."""

    items: tuple[pystac.Item, ...]
    collection: pystac.Collection | None

    def to_write(self, told: Sequence[Path]) -> list[str]:
        """The documents as texts, in which everything is named relative to the folder."""
        return [json.dumps(one, indent=1) for one in self._linked(told, relative=True)] if told else []

    def result(self, told: Sequence[Path]) -> dict[str, Any]:
        """What the process returns: the Collection, or the only Item, with full paths."""
        return self._linked(told, relative=False)[-1]

    def _linked(self, told: Sequence[Path], relative: bool) -> list[dict[str, Any]]:
        def href(path: str | Path) -> str:
            return f"./{Path(path).name}" if relative else str(path)

        made = [one.to_dict(include_self_link=False) for one in (*self.items, *filter(None, [self.collection]))]
        for number, one in enumerate(made):
            for asset in one.get("assets", {}).values():
                asset["href"] = href(asset["href"])
            links = []
            if told and not relative:
                links.append({"rel": "self", "href": str(told[number]), "type": "application/json"})
            if told and self.collection is not None:
                parent = {"href": href(told[-1]), "type": "application/json"}
                is_item = number < len(self.items)
                links += [{"rel": "collection", **parent}, {"rel": "parent", **parent}] if is_item else []
                kind = {"rel": "item", "type": "application/geo+json"}
                links += [] if is_item else [{**kind, "href": href(path)} for path in told[:-1]]
            one["links"] = links
        return made


def names(finals: Sequence[Path], path: Path) -> list[Path]:
    """Where the documents of some files lie: beside them, one for each, and one for all if there are several."""
    several = [path] if len(finals) > 1 else []
    return [one.with_name(f"{one.name}.stac.json") for one in (*finals, *several)]


def describe(cube: xr.DataArray, files: Mapping[Path, Any], media_type: str, folder: Path, name: str) -> Documents:
    """What STAC says of a cube and its files, each with the label of the date it holds, or None if it holds all.

    The files still lie in another folder.
    """
    shared = _projection(cube)
    bbox = _bbox(cube)
    created = _text(pd.Timestamp.now("UTC"))
    items = []
    for path, label in files.items():
        when = {"datetime": _text(pd.Timestamp(label))} if isinstance(label, np.datetime64) else _when(cube)
        properties: dict[str, Any] = {"created": created, **when, **shared}
        instant = None if when["datetime"] is None else pd.Timestamp(when["datetime"]).to_pydatetime()
        item = pystac.Item(
            id=path.stem,
            geometry=None if bbox is None else shapely.geometry.mapping(shapely.box(*bbox)),
            bbox=bbox,
            datetime=instant,
            properties=properties,
            stac_extensions=list(EXTENSIONS),
        )
        item.add_asset("data", _asset(cube, path, folder / path.name, media_type))
        items.append(item)
    if len(items) == 1:
        return Documents(tuple(items), None)
    collection = _collection(cube, items, name, bbox)
    for (path, label), item in zip(files.items(), items, strict=True):
        asset = item.assets["data"].clone()
        if isinstance(label, np.datetime64):
            asset.extra_fields["datetime"] = _text(pd.Timestamp(label))
        collection.add_asset(path.stem, asset)
    return Documents(tuple(items), collection)


def _collection(cube: xr.DataArray, items: Sequence[pystac.Item], name: str, bbox: Any) -> pystac.Collection:
    when = _when(cube)
    ends = [when.get(name) or when["datetime"] for name in ("start_datetime", "end_datetime")]
    interval = [pd.Timestamp(end).to_pydatetime() for end in ends]
    bands = dimensions.of_role(cube, "bands")[:1]
    described = {"bands": {"type": "bands", "values": [b["name"] for b in _bands(cube)]}} if bands else {}
    # where a cube has no place, STAC asks for one all the same
    extent = pystac.Extent(pystac.SpatialExtent([bbox or [-180, -90, 180, 90]]), pystac.TemporalExtent([interval]))
    made = pystac.Collection(
        id=name,
        description=f"{len(items)} files of one result.",
        extent=extent,
        license="other",
        stac_extensions=[*EXTENSIONS, DATACUBE],
    )
    made.extra_fields["cube:dimensions"] = described
    return made


def _asset(cube: xr.DataArray, path: Path, now: Path, media_type: str) -> pystac.Asset:
    fields: dict[str, Any] = {"bands": _bands(cube), "file:size": _size(now)}
    if now.is_file():
        fields["file:checksum"] = "1220" + _checksum(now)  # a multihash: SHA-256, of 32 bytes
    return pystac.Asset(str(path), path.name, media_type=media_type, roles=["data"], extra_fields=fields)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    if dimensions.of_role(cube, "geometry"):
        features = vectors.read(cube)
        shapes = vectors.reprojected(features.shapes, features.crs, dimensions.parse_crs(4326))
        bounds = shapely.total_bounds(shapes).tolist()
        return bounds if np.isfinite(bounds).all() else None
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
