"""Small GeoTIFFs and catalogues for the tests of loading and saving."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
import rasterio.windows
from affine import Affine

WEST, NORTH = 600_000.0, 5_000_000.0


def pixels(shape: Sequence[int], dtype: Any = "uint16", seed: int = 0, gaps: float = 0.2) -> np.ndarray:
    """Numbers from 1 to 250, with gaps as 0 or NaN."""
    rng = np.random.default_rng(seed)
    made = rng.integers(1, 250, tuple(shape)).astype(dtype)
    made[rng.random(tuple(shape)) < gaps] = np.nan if np.dtype(dtype).kind == "f" else 0
    return made


def write(
    path: Path,
    values: np.ndarray,
    *,
    corner: tuple[float, float] = (WEST, NORTH),
    size: float = 10.0,
    epsg: int = 32632,
    nodata: Any = 0,
    names: Sequence[str] = (),
    **more: Any,
) -> Path:
    """Write bands, rows and columns as a GeoTIFF whose upper left corner is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values if values.ndim == 3 else values[None]
    profile = {
        "driver": "GTiff",
        "count": values.shape[0],
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype,
        "crs": f"EPSG:{epsg}",
        "transform": Affine(size, 0, corner[0], 0, -size, corner[1]),
        "nodata": nodata,
        **more,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
        for index, name in enumerate(names, 1):
            file.set_band_description(index, name)
    return path


def inside(path: Path, extent: Mapping[str, float], epsg: int = 4326) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels of a file's first band whose centres lie in an extent, and their y and x, by plain rasterio."""
    sides = [extent[side] for side in ("west", "south", "east", "north")]
    with rasterio.open(path) as file:
        move = pyproj.Transformer.from_crs(epsg, file.crs, always_xy=True)
        west, south, east, north = move.transform_bounds(*sides, densify_pts=21)
        a = file.transform
        y = a.f + a.e * (np.arange(file.height) + 0.5)
        x = a.c + a.a * (np.arange(file.width) + 0.5)
        rows, columns = np.flatnonzero((y > south) & (y < north)), np.flatnonzero((x > west) & (x < east))
        window = rasterio.windows.Window(columns[0], rows[0], len(columns), len(rows))
        return file.read(1, window=window), y[rows], x[columns]


def item(id: str, date: str, assets: Mapping[str, Any], **properties: Any) -> dict[str, Any]:
    """A STAC Item; an asset is a path, or a path and what else it says. The projection is left to the files."""
    made = {}
    boxes = []
    for key, asset in assets.items():
        href, more = asset if isinstance(asset, tuple) else (asset, {})
        made[key] = {"href": str(href), "type": "image/tiff; application=geotiff", "roles": ["data"], **more}
        if Path(href).is_absolute() and Path(href).exists() and Path(href).suffix == ".tif":
            with rasterio.open(href) as file:
                move = pyproj.Transformer.from_crs(file.crs, 4326, always_xy=True)
                boxes.append(move.transform_bounds(*file.bounds, densify_pts=21))
    bounds = np.array(boxes or [(-180, -90, 180, 90)])
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": id,
        "geometry": None,
        "bbox": [*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist()],
        "properties": {"datetime": date, **properties},
        "links": [],
        "assets": made,
    }


def collection(path: Path, items: Sequence[dict[str, Any]], kind: str = "ItemCollection") -> str:
    """Write items as an ItemCollection, or as a static Catalog with a document for each."""
    if kind == "ItemCollection":
        path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}))
        return str(path)
    links = []
    for one in items:
        (path.parent / f"{one['id']}.json").write_text(json.dumps(one))
        links.append({"rel": "item", "href": f"./{one['id']}.json", "type": "application/geo+json"})
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c", "links": links}
    path.write_text(json.dumps(catalog))
    return str(path)
