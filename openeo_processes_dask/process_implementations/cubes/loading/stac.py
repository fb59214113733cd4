"""Items of a STAC catalogue: which of them count, and the layers that their assets are."""

from __future__ import annotations

import contextlib
import math
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from openeo_processes_dask import arguments, turns
from openeo_processes_dask.exceptions import FileContentInvalid

from .catalogue import Item, local
from .layers import Header, Layer, Packing, geobox, headers, storable, unpacked
from .request import Band, Request

RASTERS = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg")
RASTER_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/png", "image/jpeg")
ARRAYS = (".nc", ".nc4", ".zarr")
ARRAY_TYPES = ("application/x-netcdf", "application/netcdf", "application/vnd+zarr", "application/vnd.zarr")
SHARED = ("data_type", "nodata", "eo:common_name", "raster:scale", "raster:offset")  # what an asset says of its bands
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
SIDE_SHOWS = {"thumbnail", "overview", "metadata", "visual"}


@dataclass(frozen=True)
class Part:
    """One band of one asset."""

    item: Item
    key: str
    href: str
    index: int
    band: Band
    time: np.datetime64
    about: Mapping[str, Any]  # what the catalogue says of the band
    described: int  # so many bands of the asset the catalogue tells of


def wanted(found: Iterable[Item], request: Request) -> Iterator[Item]:
    """The items that may hold something of what is asked for, by what the catalogue says of them."""
    box = request.lonlat
    for item in found:
        with _understood(item):
            beside = box is not None and item.bbox is not None and not _meets(item.bbox, box)
        if beside:
            continue
        if not request.accepts(item.properties):
            continue
        yield item


def arrays(found: Sequence[Item]) -> list[str]:
    """The files of netCDF and zarr that are data of the items."""
    stores = []
    for item in found:
        with _understood(item):
            assets = [one for one in item.assets.values() if _is_data(one) and _of_kind(one, ARRAY_TYPES, ARRAYS)]
            stores += [local(asset["href"]) for asset in assets]
    return stores


def layers(
    found: Sequence[Item], order: Sequence[str], request: Request
) -> tuple[list[Layer], list[Band], tuple[int, int]]:
    """The layers of raster files that are asked for, their bands in order, and the rows and columns of a file's block.

    Only the headers of files are read: of one file per band, and of those whose grid the catalogue does not say.
    """
    parts = [part for item in found for part in _parts(item) if request.keeps(part.time)]
    if not parts:
        return [], [], (1, 1)
    bands = request.choose(_ordered({part.band: None for part in parts}, order))
    names = {band.name for band in bands}
    parts = [part for part in parts if part.band.name in names]
    samples = _samples(parts)
    unsaid = _headers(part for part in parts if _grid(part) is None)
    made = [_layer(part, samples[part.key, part.band.name], unsaid.get(part.href)) for part in parts]
    block = next(iter(samples.values())).block
    return made, bands, block


@contextlib.contextmanager
def _understood(item: Item) -> Iterator[None]:
    """Name an item that says nonsense, of whatever kind.

    Raises
    ------
    FileContentInvalid
        If it does.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise FileContentInvalid(f"item {item.id} cannot be understood: {error!r}") from error


def _meets(bbox: Sequence[float], box: arguments.Box) -> bool:
    west, south, east, north = bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4])
    item = turns.straight(replace(box, west=west, east=east))  # it may cross the antimeridian too
    return bool(turns.offsets(box, item.west, item.east)) and box.north >= south and box.south <= north


def _is_data(asset: Mapping[str, Any]) -> bool:
    roles = set(asset.get("roles") or ())
    return "data" in roles or not SIDE_SHOWS & roles


def _of_kind(asset: Mapping[str, Any], types: Sequence[str], endings: Sequence[str]) -> bool:
    media = str(asset.get("type") or "").split(";")[0].strip().casefold()
    return media in types or (
        not media and urllib.parse.urlparse(asset["href"]).path.casefold().endswith(tuple(endings))
    )


def _parts(item: Item) -> list[Part]:
    """The bands of the item's raster files; a name that two files claim goes to the first, the other keeps its key."""
    with _understood(item):
        return list(_bands(item))


def _bands(item: Item) -> Iterator[Part]:
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
            hash(band)  # names of nonsense are found here
            yield Part(item, key, local(asset["href"]), index, band, time, about, len(described))


def _described(asset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the catalogue says of an asset's bands, in the way of STAC 1.1 or of the extensions before it."""
    shared = {name: asset[name] for name in SHARED if name in asset}
    merged: list[dict[str, Any]] = []
    for field in ("raster:bands", "eo:bands", "bands"):
        for index, about in enumerate(asset.get(field) or ()):
            if index == len(merged):
                merged.append(dict(shared))
            merged[index].update(about)
    return merged or [shared]


def _time(item: Item, asset: Mapping[str, Any]) -> np.datetime64:
    for source in (asset, item.properties):
        for name in ("datetime", "start_datetime"):
            if (given := source.get(name)) is not None and (moment := arguments.instant(given)) is not None:
                return moment
    raise FileContentInvalid(f"item {item.id} has neither a datetime nor a start_datetime")


def _ordered(bands: Iterable[Band], order: Sequence[str]) -> list[Band]:
    """Each name once, in the order of the collection, else as they were found."""
    unique: dict[str, Band] = {}
    for band in bands:
        unique.setdefault(band.name, band)
    place = {name: i for i, name in enumerate(order)}
    return sorted(unique.values(), key=lambda band: place.get(band.name, len(place)))


def _samples(parts: Iterable[Part]) -> dict[tuple[str, str], Header]:
    """The header of one file for each band: its blocks, and what the catalogue does not say."""
    first: dict[tuple[str, str], Part] = {}
    for part in parts:
        first.setdefault((part.key, part.band.name), part)
    read = _headers(first.values())
    return {key: read[part.href] for key, part in first.items()}


def _headers(parts: Iterable[Part]) -> dict[str, Header]:
    """The header of each file, once."""
    called = {part.href: f"{part.href} of item {part.item.id}" for part in parts}
    return dict(zip(called, headers(called.items()), strict=True))


def _layer(part: Part, sample: Header, own: Header | None) -> Layer:
    with _understood(part.item):
        return _told(part, sample, own)


def _told(part: Part, sample: Header, own: Header | None) -> Layer:
    known = own or sample
    if part.index > len(known.dtypes):
        raise FileContentInvalid(
            f"{part.href} of item {part.item.id} has {len(known.dtypes)} bands, band {part.index} is asked for"
        )
    said = part.about.get("data_type")
    dtype = np.dtype(said) if said in DTYPES else known.dtypes[part.index - 1]  # it may also be "other"
    nodata = storable(part.about.get("nodata"), dtype)
    if nodata is None:
        nodata = storable(known.nodata[part.index - 1], dtype)
    grid = own.grid if own is not None else _grid(part)
    assert grid is not None  # without a grid in the catalogue the header was read
    # the last of two or four bands counts as alpha in some formats, even where the catalogue says that it is data
    masked = known.masked[part.index - 1] and not 0 < known.alpha <= part.described
    packing = unpacked(_packing(part, known))
    return Layer(part.band.name, part.time, part.href, part.index, grid, dtype, nodata, part.item.id, masked, packing)


def _packing(part: Part, known: Header) -> Packing:
    """What the catalogue says of scale and offset, else what the file does.

    Raises
    ------
    FileContentInvalid
        If one of them is no number that values could have been packed with.
    """
    own = known.packings[part.index - 1]
    scale = part.about.get("raster:scale", part.about.get("scale", own.scale))
    offset = part.about.get("raster:offset", part.about.get("offset", own.offset))
    for value in (scale, offset):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise FileContentInvalid(f"{part.href} of item {part.item.id} has a scale or an offset of {value!r}")
    return Packing(float(scale), float(offset))


def _grid(part: Part) -> GeoBox | None:
    """The grid that the catalogue says the file has; None if it does not say it completely."""
    with _understood(part.item):
        return _said_grid(part)


def _said_grid(part: Part) -> GeoBox | None:
    own = part.item.assets[part.key]

    def said(name: str) -> Any:
        return own.get(name, part.item.properties.get(name))

    code = said("proj:code") or (f"EPSG:{said('proj:epsg')}" if said("proj:epsg") else None) or said("proj:wkt2")
    shape, transform = said("proj:shape"), said("proj:transform")
    if not code or not shape or not transform or len(shape) != 2 or len(transform) not in (6, 9):
        return None
    return geobox(str(code), tuple(map(int, shape)), tuple(map(float, transform[:6])))
