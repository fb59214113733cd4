"""A static STAC 1.0 catalogue: catalogue, one collection, one item per acquisition, one asset per band."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import affine
import pystac
import rasterio.transform
import rasterio.warp

EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
]
DATACUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"
CLOUD_OPTIMIZED = "image/tiff; application=geotiff; profile=cloud-optimized"
GEOTIFF = "image/tiff; application=geotiff"


@dataclasses.dataclass(frozen=True)
class Band:
    """A band as STAC describes it."""

    name: str
    dtype: str
    common_name: str | None = None
    wavelength: float | None = None  # micrometres
    nodata: int = 0

    def eo(self) -> dict[str, Any]:
        fields = {"name": self.name, "common_name": self.common_name, "center_wavelength": self.wavelength}
        return {name: value for name, value in fields.items() if value is not None}

    def raster(self, resolution: float) -> dict[str, Any]:
        return {"nodata": self.nodata, "data_type": self.dtype, "spatial_resolution": resolution}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One item to be: its grid and where each band's file lies."""

    id: str
    moment: dt.datetime
    epsg: int
    transform: affine.Affine
    shape: tuple[int, int]  # rows, columns
    hrefs: dict[str, str]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        return rasterio.transform.array_bounds(*self.shape, self.transform)

    @property
    def bbox(self) -> list[float]:
        return list(rasterio.warp.transform_bounds(f"EPSG:{self.epsg}", "EPSG:4326", *self.bounds, densify_pts=21))

    def footprint(self) -> dict[str, Any]:
        west, south, east, north = self.bounds
        corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        lon, lat = rasterio.warp.transform(f"EPSG:{self.epsg}", "EPSG:4326", *zip(*corners, strict=True))
        return {"type": "Polygon", "coordinates": [[[x, y] for x, y in zip(lon, lat, strict=True)]]}


def write_catalogue(
    folder: Path, name: str, description: str, bands: Sequence[Band], entries: Sequence[Entry], media_type: str
) -> None:
    """Write catalog.json into a folder, and the collection with its items into the subfolder `name`."""
    catalog = pystac.Catalog("scenes", "Scenes that the benchmarks and tests of this project read.")
    collection = _collection(name, description, bands, entries)
    catalog.add_child(collection)
    for entry in entries:
        collection.add_item(_item(entry, bands, media_type))
    # pystac's own layouts take a folder with a dot in its name for a file
    catalog.set_self_href(f"{folder}/catalog.json")
    collection.set_self_href(f"{folder}/{name}/collection.json")
    for item in collection.get_items():
        item.set_self_href(f"{folder}/{name}/{item.id}.json")
    with _stac_version("1.0.0"):
        catalog.save(pystac.CatalogType.SELF_CONTAINED)


def _item(entry: Entry, bands: Sequence[Band], media_type: str) -> pystac.Item:
    projection = {
        "proj:code": f"EPSG:{entry.epsg}",
        "proj:shape": list(entry.shape),
        "proj:transform": list(entry.transform)[:6],
    }
    item = pystac.Item(
        entry.id, entry.footprint(), entry.bbox, entry.moment, projection, stac_extensions=list(EXTENSIONS)
    )
    for band in bands:
        fields = {"eo:bands": [band.eo()], "raster:bands": [band.raster(entry.transform.a)], **projection}
        item.add_asset(
            band.name,
            pystac.Asset(entry.hrefs[band.name], band.name, media_type=media_type, roles=["data"], extra_fields=fields),
        )
    return item


def _collection(name: str, description: str, bands: Sequence[Band], entries: Sequence[Entry]) -> pystac.Collection:
    boxes = [entry.bbox for entry in entries]
    bbox = [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)]
    moments = sorted(entry.moment for entry in entries)
    extent = pystac.Extent(pystac.SpatialExtent([bbox]), pystac.TemporalExtent([[moments[0], moments[-1]]]))
    collection = pystac.Collection(name, description, extent, license="proprietary", stac_extensions=[DATACUBE])
    collection.extra_fields["cube:dimensions"] = _dimensions(bands, entries)
    collection.summaries.add("eo:bands", [band.eo() for band in bands])
    return collection


def _dimensions(bands: Sequence[Band], entries: Sequence[Entry]) -> dict[str, Any]:
    boxes = [entry.bounds for entry in entries]
    first = entries[0]
    shared: dict[str, Any] = {"type": "spatial", "reference_system": first.epsg, "step": first.transform.a}
    moments = sorted(entry.moment.strftime("%Y-%m-%dT%H:%M:%SZ") for entry in entries)
    return {
        "t": {"type": "temporal", "extent": [moments[0], moments[-1]]},
        "bands": {"type": "bands", "values": [band.name for band in bands]},
        "y": {**shared, "axis": "y", "extent": [min(b[1] for b in boxes), max(b[3] for b in boxes)]},
        "x": {**shared, "axis": "x", "extent": [min(b[0] for b in boxes), max(b[2] for b in boxes)]},
    }


@contextlib.contextmanager
def _stac_version(version: str) -> Iterator[None]:
    """Let pystac write an older version: its newest moves eo:bands, which most readers still look for."""
    pystac.set_stac_version(version)
    try:
        yield
    finally:
        pystac.set_stac_version(None)
