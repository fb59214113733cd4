"""Items of a STAC catalogue: which of them count, and the layers that their assets are."""

from __future__ import annotations

import functools
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import pystac
import pystac.stac_io
from affine import Affine
from odc.geo.geobox import GeoBox

from openeo_processes_dask import arguments
from openeo_processes_dask.exceptions import FileContentInvalid, FileNotFound

from .layers import Header, Layer, headers, is_remote, storable
from .request import Band, Request

TIMEOUT = 30  # seconds for one document of a catalogue
RASTERS = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg")
RASTER_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/png", "image/jpeg")
ARRAYS = (".nc", ".nc4", ".zarr")
ARRAY_TYPES = ("application/x-netcdf", "application/netcdf", "application/vnd+zarr", "application/vnd.zarr")
SIDE_SHOWS = {"thumbnail", "overview", "metadata", "visual"}


@dataclass(frozen=True)
class Part:
    """One band of one asset."""

    item: pystac.Item
    key: str
    href: str
    index: int
    band: Band
    time: np.datetime64
    about: Mapping[str, Any]  # what the catalogue says of the band


class _Reader(pystac.stac_io.DefaultStacIO):
    """Reads the documents of a catalogue, and does not wait for a server for ever."""

    def read_text_from_href(self, href: str, *args: Any, **kwargs: Any) -> str:
        try:
            if is_remote(href):
                with urllib.request.urlopen(href, timeout=TIMEOUT) as answer:
                    return answer.read().decode("utf-8")
            with open(local(href), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError as error:
            raise FileNotFound(f"{href}: there is no such file") from error
        except urllib.error.HTTPError as error:
            raise FileNotFound(f"{href}: the server says {error.code} {error.reason}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise FileContentInvalid(f"{href} cannot be read: {error}") from error


def local(href: str) -> str:
    """The path that a `file:` address stands for; others come back as they are."""
    if not href.startswith("file:"):
        return href
    return urllib.request.url2pathname(urllib.parse.urlparse(href).path)


def items(url: str) -> tuple[list[pystac.Item], pystac.Collection | None]:
    """All items of an Item, a Collection, a static Catalog or an ItemCollection, and the collection if it is one.

    Raises
    ------
    FileNotFound
        If a document of the catalogue is missing.
    FileContentInvalid
        If one is no STAC.
    """
    reader = _Reader()
    href = url if is_remote(url) else os.path.abspath(local(url))
    document = _json(reader, href)
    try:
        if document.get("type") == "FeatureCollection":
            return [_placed(item, href) for item in pystac.ItemCollection.from_dict(document).items], None
        found = reader.stac_object_from_dict(document, href=href, preserve_dict=False)
        if isinstance(found, pystac.Item):
            return [_placed(found, href)], None
        if not isinstance(found, pystac.Catalog):
            raise FileContentInvalid(f"{href} is neither an Item nor a Collection nor a Catalog")
        # its own root: what lies above it is not wanted, and the reader is handed down from the root
        found.set_root(found)
        found._stac_io = reader
        collection = found if isinstance(found, pystac.Collection) else None
        return [_placed(item, href) for item in found.get_items(recursive=True)], collection
    except (pystac.STACError, pystac.STACTypeError, KeyError, TypeError, ValueError) as error:
        raise FileContentInvalid(f"{href} is no STAC that can be understood: {error!r}") from error


def wanted(found: Iterable[pystac.Item], request: Request) -> Iterator[pystac.Item]:
    """The items that may hold something of what is asked for, by what the catalogue says of them."""
    box = None if request.area is None else request.area.box.to_crs(pyproj.CRS.from_epsg(4326))
    for item in found:
        if box is not None and item.bbox is not None and not _meets(item.bbox, box):
            continue
        if not request.accepts(item.properties):
            continue
        yield item


def arrays(found: Sequence[pystac.Item]) -> list[str]:
    """The files of netCDF and zarr that are data of the items."""
    return [
        local(asset.href)
        for item in found
        for asset in item.assets.values()
        if _is_data(asset) and _of_kind(asset, ARRAY_TYPES, ARRAYS)
    ]


def layers(
    found: Sequence[pystac.Item], collection: pystac.Collection | None, request: Request
) -> tuple[list[Layer], list[Band], tuple[int, int]]:
    """The layers of raster files that are asked for, their bands in order, and the rows and columns of a file's block.

    Only the headers of files are read: of one file per band, and of those whose grid the catalogue does not say.
    """
    parts = [part for item in found for part in _parts(item) if request.keeps(part.time)]
    if not parts:
        return [], [], (1, 1)
    bands = request.choose(_ordered({part.band: None for part in parts}, collection or _collection_of(found)))
    names = {band.name for band in bands}
    parts = [part for part in parts if part.band.name in names]
    samples = _samples(parts)
    read = {part.href: None for part in parts if _grid(part) is None}
    opened = dict(zip(read, headers((href, _called(parts, href)) for href in read), strict=True))
    made = [_layer(part, samples[part.key, part.band.name], opened.get(part.href)) for part in parts]
    block = next(iter(samples.values())).block
    return made, bands, block


def _json(reader: _Reader, href: str) -> dict[str, Any]:
    try:
        document = json.loads(reader.read_text_from_href(href))
    except ValueError as error:
        raise FileContentInvalid(f"{href} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise FileContentInvalid(f"{href} is no STAC: it holds no object")
    return document


def _placed(item: pystac.Item, href: str) -> pystac.Item:
    """The item with hrefs that do not depend on where it lies; an address may not point at files of this machine."""
    base = item.get_self_href() or href
    for asset in item.assets.values():
        asset.href = pystac.utils.make_absolute_href(asset.href, base)
        if is_remote(base) and not is_remote(asset.href):
            raise FileContentInvalid(f"item {item.id} of {base} points at the local file {asset.href}")
    return item


def _meets(bbox: Sequence[float], box: arguments.Box) -> bool:
    west, south, east, north = bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4])
    across = west > east  # the item crosses the antimeridian
    beside = (box.east < west and box.west > east) if across else (box.east < west or box.west > east)
    return not beside and box.north >= south and box.south <= north


def _is_data(asset: pystac.Asset) -> bool:
    roles = set(asset.roles or ())
    return "data" in roles or not SIDE_SHOWS & roles


def _of_kind(asset: pystac.Asset, types: Sequence[str], endings: Sequence[str]) -> bool:
    media = (asset.media_type or "").split(";")[0].strip().casefold()
    return media in types or (not media and urllib.parse.urlparse(asset.href).path.casefold().endswith(tuple(endings)))


def _parts(item: pystac.Item) -> list[Part]:
    """The bands of the item's raster files; a name that two files claim goes to the first, the other keeps its key."""
    parts: list[Part] = []
    taken: set[tuple[np.datetime64, str]] = set()
    for key, asset in item.assets.items():
        if not _is_data(asset) or not _of_kind(asset, RASTER_TYPES, RASTERS):
            continue
        time = _time(item, asset)
        described = _described(asset)
        for index, about in enumerate(described, 1):
            name = about.get("name") or (key if len(described) == 1 else f"{key}.{index}")
            if (time, name) in taken:
                name = key if len(described) == 1 else f"{key}.{name}"
            taken.add((time, name))
            band = Band(name, about.get("eo:common_name") or about.get("common_name"), key)
            parts.append(Part(item, key, local(asset.href), index, band, time, about))
    return parts


def _described(asset: pystac.Asset) -> list[dict[str, Any]]:
    """What the catalogue says of an asset's bands, in the way of STAC 1.1 or of the extensions before it."""
    fields = asset.extra_fields
    merged: list[dict[str, Any]] = []
    for name in ("raster:bands", "eo:bands", "bands"):
        for index, about in enumerate(fields.get(name) or ()):
            if index == len(merged):
                merged.append({k: fields[k] for k in ("data_type", "nodata", "eo:common_name") if k in fields})
            merged[index].update(about)
    return merged or [{k: fields[k] for k in ("data_type", "nodata", "eo:common_name") if k in fields}]


def _time(item: pystac.Item, asset: pystac.Asset) -> np.datetime64:
    for source in (asset.extra_fields, item.properties):
        for name in ("datetime", "start_datetime"):
            if (given := source.get(name)) is not None and (moment := arguments.instant(given)) is not None:
                return moment
    if item.datetime is not None:
        return arguments.instant(item.datetime)  # type: ignore[return-value]
    raise FileContentInvalid(f"item {item.id} has neither a datetime nor a start_datetime")


def _collection_of(found: Sequence[pystac.Item]) -> pystac.Collection | None:
    """The collection that the items of a catalogue belong to, if it was read with them."""
    parents = {id(parent): parent for item in found if isinstance(parent := item.get_parent(), pystac.Collection)}
    return next(iter(parents.values())) if len(parents) == 1 else None


def _ordered(bands: Iterable[Band], collection: pystac.Collection | None) -> list[Band]:
    """Each name once, in the order of the collection's `cube:dimensions`, else as they were found."""
    unique: dict[str, Band] = {}
    for band in bands:
        unique.setdefault(band.name, band)
    dimensions = collection.extra_fields.get("cube:dimensions", {}) if collection is not None else {}
    order = [name for d in dimensions.values() if d.get("type") == "bands" for name in d.get("values", ())]
    place = {name: i for i, name in enumerate(order)}
    return sorted(unique.values(), key=lambda band: place.get(band.name, len(place)))


def _samples(parts: Iterable[Part]) -> dict[tuple[str, str], Header]:
    """The header of one file for each band: its blocks, and what the catalogue does not say."""
    first: dict[tuple[str, str], Part] = {}
    for part in parts:
        first.setdefault((part.key, part.band.name), part)
    paths = {part.href: f"{part.href} of item {part.item.id}" for part in first.values()}
    read = dict(zip(paths, headers(paths.items()), strict=True))
    return {key: read[part.href] for key, part in first.items()}


def _called(parts: Iterable[Part], href: str) -> str:
    return next(f"{part.href} of item {part.item.id}" for part in parts if part.href == href)


def _layer(part: Part, sample: Header, own: Header | None) -> Layer:
    known = own or sample
    if part.index > len(known.dtypes):
        raise FileContentInvalid(
            f"{part.href} of item {part.item.id} has {len(known.dtypes)} bands, band {part.index} is asked for"
        )
    dtype = np.dtype(part.about.get("data_type") or known.dtypes[part.index - 1])
    nodata = storable(part.about.get("nodata"), dtype)
    if nodata is None:
        nodata = storable(known.nodata[part.index - 1], dtype)
    grid = own.grid if own is not None else _grid(part)
    assert grid is not None  # without a grid in the catalogue the header was read
    return Layer(part.band.name, part.time, part.href, part.index, grid, dtype, nodata, part.item.id)


def _grid(part: Part) -> GeoBox | None:
    """The grid that the catalogue says the file has; None if it does not say it completely."""
    own = part.item.assets[part.key].extra_fields

    def said(name: str) -> Any:
        return own.get(name, part.item.properties.get(name))

    code = said("proj:code") or (f"EPSG:{said('proj:epsg')}" if said("proj:epsg") else None) or said("proj:wkt2")
    shape, transform = said("proj:shape"), said("proj:transform")
    if not code or not shape or not transform or len(shape) != 2 or len(transform) not in (6, 9):
        return None
    return _geobox(str(code), tuple(map(int, shape)), tuple(map(float, transform[:6])))


@functools.lru_cache(4096)
def _geobox(crs: str, shape: tuple[int, int], transform: tuple[float, ...]) -> GeoBox:
    return GeoBox(shape, Affine(*transform), crs)
