"""Loading: a cube from a folder, a file, an address or a STAC catalogue; only what is asked for is read."""

from __future__ import annotations

import tempfile
import urllib.parse
from pathlib import Path, PurePosixPath
from typing import Any

import dask
import xarray as xr

from openeo_processes_dask import arguments
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    CollectionNotFound,
    FileContentInvalid,
    FileNotFound,
    ProcessParameterInvalid,
    PropertiesUnsupported,
)
from openeo_processes_dask.vocabulary import (
    NO_OPTIONS,
    CollectionId,
    CollectionSpatialExtent,
    Cube,
    FilePaths,
    InputFormat,
    InputOptions,
    MetadataFilter,
    OptionalBandNames,
    OptionalInterval,
    Scaling,
    SpatialExtent,
    Url,
)

from .loading import address, arrays, catalogue, files, formats, rasters, stac
from .loading.layers import is_remote
from .loading.request import Request, request


@declare("cubes", "import", scaling=Scaling.BLOCKWISE)
def load_collection(
    id: CollectionId,
    spatial_extent: CollectionSpatialExtent,
    temporal_extent: OptionalInterval,
    bands: OptionalBandNames = None,
    properties: MetadataFilter = None,
) -> Cube:
    """A cube from files: GeoTIFF, netCDF, zarr or a STAC catalogue.

    The id is a path: of a folder with a STAC catalogue, of a folder of GeoTIFFs, of a single GeoTIFF, of a netCDF
    file or a folder of them, or of a zarr store. With the setting `openeo.collections` it is relative to that folder
    and cannot leave it, otherwise to the working directory.

    Without a catalogue, dates come from the names of files and bands from their descriptions, else from their names.
    What is asked for is found from headers alone; pixels are read when they are computed, one task per block, and
    only those in the extents. The dimensions are t, bands, y and x; there is no t where no file has a date.
    Integers keep their no-data value, floats have NaN; where bands differ in type or no-data value, they get a type
    that holds all and a value that means a gap in every one. Scales and offsets of catalogues and images are applied
    with the setting `openeo.load.scale` only; those of packed netCDF and zarr variables always, because they belong to
    the encoding. The setting `openeo.load.resampling` says how images come to the cube's pixels, as for load_stac.

    Unknown bands raise LabelNotAvailable, an unknown id CollectionNotFound, a file that is no raster
    FileContentInvalid; properties are known for STAC only, elsewhere they raise PropertiesUnsupported.

    Raises
    ------
    NoDataAvailable
        If nothing lies in the extents.
    TemporalExtentEmpty
        If the interval does not end after its start.
    """
    asked = request(spatial_extent, temporal_extent, bands, properties)
    return _load(_path(id), asked)


@declare("cubes", "import", scaling=Scaling.BLOCKWISE, experimental=True)
def load_stac(
    url: Url,
    spatial_extent: SpatialExtent = None,
    temporal_extent: OptionalInterval = None,
    bands: OptionalBandNames = None,
    properties: MetadataFilter = None,
) -> Cube:
    """A cube from a STAC Item, Collection, static Catalog, ItemCollection or the Collection of a STAC API.

    The address may also be a path. Nothing but documents of the catalogue and headers of files is read before the
    cube is computed, and files of items outside of the extents are not opened at all.

    The grid of pixels is the items' own; where they have several, it covers all of them in the CRS of most, with the
    finest resolution, and those that do not lie on it contribute their nearest pixels, or what another method of
    resample_spatial makes of them: the setting `openeo.load.resampling` (near). Methods that mix pixels give floating
    point. One label of t is one instant; of images of one instant the first that has a value at a pixel counts. An
    item without one of the bands has gaps there. With the setting `openeo.load.group_by` at `day` all images of one
    day (in UTC) make one label, the instant of the first. Gaps are what the no-data value, a mask or an alpha band
    says. Scales and offsets are not applied unless the setting `openeo.load.scale` is true: then values are floating
    point, and those of the catalogue go before those of the files.

    An API gets the box, the interval and conditions on properties, as far as CQL2 can say them, and is asked page by
    page; what it sends is looked through again.

    Unknown bands raise LabelNotAvailable, what is no STAC FileContentInvalid, and what is missing FileNotFound.

    Raises
    ------
    NoDataAvailable
        If nothing lies in the extents.
    TemporalExtentEmpty
        If the interval does not end after its start.
    PropertiesUnsupported
        If conditions on properties are given for something without properties.
    """
    return _load_catalogue(str(url), request(spatial_extent, temporal_extent, bands, properties))


@declare("cubes", "import", scaling=Scaling.EAGER, experimental=True)
def load_url(url: Url, format: InputFormat, options: InputOptions = NO_OPTIONS) -> Cube:
    """A cube from a file at an address: GTiff, netCDF, GeoJSON, GeoParquet or JSON.

    The file is fetched and read when this is called, because nobody knows whether it will be the same later. The
    setting `openeo.load.size` limits its size (256 MiB), `openeo.load.schemes` the schemes (https, http; `file` gives
    access to local files) and `openeo.load.hosts` the hosts; without it all that are in the public network. That is
    also true of where an address leads to. What is not allowed raises ProcessParameterInvalid, what is not there
    FileNotFound, what is too large or comes too slowly FileContentInvalid, an unknown format FormatUnsupported. There
    are no options.

    Raises
    ------
    FormatUnsuitable
        If the file is not of the format.
    """
    chosen = formats.named(format, options)
    with tempfile.TemporaryDirectory(prefix="openeo-url-") as folder:
        # names tell dates and bands, so the file keeps that of the address
        name = PurePosixPath(urllib.parse.urlsplit(address.check(url)).path).name or "file"
        path = Path(folder, "".join(c if c.isalnum() or c in "-_." else "-" for c in name[-100:]))
        address.fetch(str(url), path)
        return formats.at_once(formats.read([path], Path(folder), chosen))


@declare("cubes", "import", scaling=Scaling.BLOCKWISE, experimental=True)
def load_uploaded_files(paths: FilePaths, format: InputFormat, options: InputOptions = NO_OPTIONS) -> Cube:
    """A cube from the user's files: GTiff, netCDF, GeoJSON, GeoParquet or JSON.

    The files lie in the folder of the setting `openeo.uploads`, which is the root of all paths. Images become a cube
    as those of load_collection do, block by block when they are computed; geometries are read at once, those of
    several files one after the other. An unknown format raises FormatUnsupported; there are no options.

    Raises
    ------
    FormatUnsuitable
        If a file is not of the format, or the files make no cube together.
    FileNotFound
        If there is no such file in the folder, or no such folder.
    """
    chosen = formats.named(format, options)
    root, given = dask.config.get("openeo.uploads", None), arguments.plain(paths)
    if not isinstance(given, (list, tuple)) or not given or not all(isinstance(path, str) for path in given):
        raise ProcessParameterInvalid(f"paths is a list of paths, not {given!r}")
    if root is None:
        raise FileNotFound("there are no uploaded files: the setting openeo.uploads names no folder")
    return formats.read([_uploaded(path, Path(root).resolve()) for path in given], Path(root).resolve(), chosen)


def _uploaded(path: str, root: Path) -> Path:
    """Where an uploaded file lies, which must be inside the root."""
    try:
        found = (root / path.lstrip("/")).resolve()
        if found.is_relative_to(root) and found.is_file():
            return found
    except (ValueError, OSError) as error:  # a path of nonsense
        raise FileNotFound(f"there is no file {path!r}: {error}") from error
    raise FileNotFound(f"there is no file {path!r} among those that were uploaded")


def _load(path: Path, asked: Request) -> xr.DataArray:
    document = path if path.suffix == ".json" else _document(path)
    if document is not None:
        return _load_catalogue(str(document), asked)
    if asked.properties:
        raise PropertiesUnsupported(f"{path} is no STAC catalogue, so that there are no properties to filter by")
    if arrays.is_store(path):
        return arrays.cube([path], asked)
    if found := [path] if path.is_file() else files.rasters_in(path):
        made, chosen, block = files.layers(found, path if path.is_dir() else path.parent, asked)
        return rasters.cube(made, chosen, block, asked, str(path))
    if stores := [one for one in sorted(path.iterdir()) if arrays.is_store(one)]:
        return arrays.cube(stores, asked)
    raise FileContentInvalid(f"{path} holds neither a STAC catalogue nor GeoTIFF, netCDF or zarr")


def _load_catalogue(url: str, asked: Request) -> xr.DataArray:
    if not is_remote(url) and Path(catalogue.local(url)).is_dir():
        document = _document(Path(catalogue.local(url)))
        if document is None:
            raise FileContentInvalid(f"{url} is a folder with neither collection.json nor catalog.json")
        url = str(document)
    every = catalogue.read(url, asked)
    found = list(stac.wanted(every.items, asked))
    if not found:
        raise asked.nothing(url, f"none of {len(every.items)} items lies")
    made, chosen, block = stac.layers(found, every.bands, asked)
    if made:
        return rasters.cube(made, chosen, block, asked, url)
    if stores := stac.arrays(found):
        return arrays.cube([Path(store) for store in stores], asked)
    raise asked.nothing(url, f"no raster of {len(found)} items lies")


def _document(folder: Path) -> Path | None:
    """The catalogue in a folder; a collection comes first, because it says more."""
    found = (folder / name for name in ("collection.json", "catalog.json"))
    return next((path for path in found if path.is_file()), None)


def _path(id: Any) -> Path:
    """Where a collection lies, which must be inside the root if one is set."""
    root = dask.config.get("openeo.collections", None)
    base = Path.cwd() if root is None else Path(root).resolve()
    path = (base / str(id)).resolve()
    if root is not None and not path.is_relative_to(base):
        raise CollectionNotFound(f"{id!r} is outside of the collections; there are {_listed(base)}")
    if not path.exists():
        raise CollectionNotFound(f"no collection {id!r}; there are {_listed(base)}")
    return path


def _listed(folder: Path, most: int = 12) -> str:
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    shown = ", ".join(found[:most]) or "none"
    return f"{shown}{f', … {len(found)} in all' if len(found) > most else ''} in {folder}"
