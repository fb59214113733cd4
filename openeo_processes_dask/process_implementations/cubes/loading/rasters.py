"""Layers of raster files as one lazy cube: each of its blocks is read by one task."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.blockwise import BlockwiseDepDict, blockwise
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from openeo_processes_dask import dimensions, grids
from openeo_processes_dask.exceptions import FileContentInvalid, OpenEOException, ProcessParameterInvalid
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.kernels import rasters as warping
from openeo_processes_dask.vocabulary import METHODS

from . import chunking, coverage, cutting
from .layers import Layer, is_remote, opened
from .request import Band, Request


@dataclass(frozen=True)
class Block:
    """What one task reads: layers by their position in the block's dates and bands."""

    grid: GeoBox
    dates: int
    bands: int
    layers: tuple[tuple[int, int, Layer], ...]


def cube(
    layers: Sequence[Layer], bands: Sequence[Band], block: tuple[int, int], request: Request, source: str
) -> xr.DataArray:
    """The cube of some layers, cropped to the area that is asked for.

    Args
    ----
    layers: what there is of the bands; of those with one band and time the first that has a value counts.
    bands: the bands in their order.
    block: rows and columns of the files' blocks.
    request: whose area counts.
    source: what to call the whole in errors.

    Raises
    ------
    NoDataAvailable
        If nothing lies in the area.
    CRSInvalid
        If there is an area, but no CRS.
    """
    whole = coverage.common(layer.grid for layer in layers)
    grid, polygons = coverage.limited(whole, request, source)
    reached = _reaching(layers, grid)
    layers = [layer for layer in layers if id(layer.grid) in reached]
    if not layers:
        raise request.nothing(source, "no image lies")
    layers = _ways(_grouped(layers), grid)
    times = sorted({layer.time for layer in layers if layer.time is not None})
    cells = _cells(layers, times, bands)
    masked = any(layer.masked and layer.nodata is None for layer in layers)
    gaps = bool(polygons) or masked or _uncovered(cells, max(len(times), 1) * len(bands), grid)
    dtype, nodata = chunking.shared({layer.given for layer in layers}, gaps)
    row, column = coverage.offset(grid, layers[0].grid) or (0, 0)
    shape = (max(len(times), 1), len(bands), *grid.shape)
    sizes = chunking.chunks(shape, dtype.itemsize, (1, *block), (0, row, column))
    shapes = cutting.Polygons.of(polygons)
    values = _lazy(cells, grid, sizes, dtype, nodata, shapes)
    return _labelled(values, times, bands, grid, shapes, nodata)


def _grouped(layers: Sequence[Layer]) -> Sequence[Layer]:
    """The layers as they are, or with the setting `openeo.load.group_by` at `day` all of one day as of its first.

    Raises
    ------
    ProcessParameterInvalid
        If the setting is anything else.
    """
    by = dask.config.get("openeo.load.group_by", "instant")
    if by not in ("instant", "day"):
        raise ProcessParameterInvalid(f"the setting openeo.load.group_by is instant or day, not {by!r}")
    if by == "instant":
        return layers
    first: dict[Any, Any] = {}
    made = [layer for layer in layers if layer.time is None]
    # the earliest comes first, whose values count
    for moment, layer in sorted(((one.time, one) for one in layers if one.time is not None), key=lambda pair: pair[0]):
        made.append(replace(layer, time=first.setdefault(moment.astype("datetime64[D]"), moment)))
    return made


def _ways(layers: Sequence[Layer], grid: GeoBox) -> Sequence[Layer]:
    """The layers, each with its way to the pixels of a grid that it does not lie on.

    The setting `openeo.load.resampling` says how: `near`, or one of the other methods of resample_spatial.

    Raises
    ------
    ProcessParameterInvalid
        If there is no such method.
    """
    method = dask.config.get("openeo.load.resampling", "near")
    if method not in METHODS:
        raise ProcessParameterInvalid(f"the setting openeo.load.resampling is one of {', '.join(METHODS)}")
    if method == "near":
        return layers
    every = coverage.distinct_grids(layer.grid for layer in layers)
    # the values are warped as floating point, with NaN for gaps
    ways = {id(one): grids.warp(one, grid, method, None) for one in every if coverage.offset(grid, one) is None}
    return [replace(layer, way=ways.get(id(layer.grid))) for layer in layers]


def _cells(layers: Iterable[Layer], times: list[np.datetime64], bands: Sequence[Band]) -> dict[Any, list[Layer]]:
    """The layers by the positions of their time and band."""
    when: dict[Any, int] = {time: i for i, time in enumerate(times)}
    which = {band.name: i for i, band in enumerate(bands)}
    cells: dict[Any, list[Layer]] = defaultdict(list)
    for layer in layers:
        cells[when.get(layer.time, 0), which[layer.band]].append(layer)
    return cells


def _uncovered(cells: dict[Any, list[Layer]], expected: int, grid: GeoBox) -> bool:
    """Whether there may be a pixel that no layer covers."""
    every = coverage.distinct_grids(layer.grid for found in cells.values() for layer in found)
    covers = {id(one) for one in every if coverage.contains(one, grid)}
    return len(cells) < expected or not all(any(id(one.grid) in covers for one in found) for found in cells.values())


def _reaching(layers: Iterable[Layer], grid: GeoBox) -> set[int]:
    """The grids, by their object, that reach into another one."""
    return {id(one) for one in coverage.distinct_grids(layer.grid for layer in layers) if coverage.overlap(one, grid)}


def _labelled(
    values: da.Array,
    times: list[np.datetime64],
    bands: Sequence[Band],
    grid: GeoBox,
    polygons: cutting.Polygons | None,
    nodata: Any,
) -> xr.DataArray:
    coordinates = coverage.coordinates(grid)
    coordinates["bands"] = xr.Variable("bands", [band.name for band in bands])
    if any(band.common_name for band in bands):
        coordinates[dimensions.COMMON_NAME] = xr.Variable("bands", [band.common_name or "" for band in bands])
    attributes = {} if nodata is None or nodata != nodata else {"nodata": nodata}
    if times:
        coordinates["t"] = xr.Variable("t", np.array(times, "datetime64[ns]"))
        cube = xr.DataArray(values, coordinates, ("t", "bands", "y", "x"), attrs=attributes)
        cube = dimensions.with_role(cube, "t", "temporal")
    else:
        cube = xr.DataArray(values[0], coordinates, ("bands", "y", "x"), attrs=attributes)
    if polygons is not None:
        cube = cutting.masked(cube, grid, polygons, nodata)
    for name in ("bands", "y", "x"):
        cube = dimensions.with_role(cube, name, name)
    return cube.rename(None)


def _lazy(
    cells: dict[Any, list[Layer]],
    grid: GeoBox,
    sizes: chunking.Chunks,
    dtype: np.dtype,
    nodata: Any,
    polygons: cutting.Polygons | None,
) -> da.Array:
    """One task per block, each with the layers it needs and no others."""
    place = grid.affine, grid.shape, str(grid.crs), polygons
    name = "load-" + tokenize(_identity(cells), place, sizes, dtype.str, str(nodata))
    blocks = _Blocks(mapping=_blocks(cells, grid, sizes), numblocks=tuple(map(len, sizes)))
    blocks.name = name
    layer = blockwise(
        read_block, name, "tbyx", blocks, "tbyx", dtype.str, None, nodata, None, polygons, None, numblocks={}
    )
    return da.Array(HighLevelGraph.from_collections(name, layer), name, sizes, dtype=dtype)


class _Blocks(BlockwiseDepDict):
    """What each task gets; named, because dask would otherwise pickle all of it to tell it from others."""

    name = ""

    def __dask_tokenize__(self) -> object:
        return self.name


def _identity(cells: dict[Any, list[Layer]]) -> list[str]:
    """What tells one set of files from another, and from what they held before they were written again."""
    parts = []
    states: dict[str, Any] = {}
    for cell, found in cells.items():
        for one in found:
            if one.path not in states:
                states[one.path] = None if is_remote(one.path) else _state(one.path)
            values = f"{one.nodata} {one.packing} {one.way}"
            parts.append(f"{cell} {one.path} {one.index} {one.grid.affine} {values} {states[one.path]}")
    return parts


def _state(path: str) -> tuple[int, int] | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


def _blocks(cells: dict[Any, list[Layer]], grid: GeoBox, sizes: chunking.Chunks) -> dict[Any, Block]:
    by_date: dict[int, list[tuple[int, Layer]]] = defaultdict(list)
    for (date, band), cell in cells.items():
        by_date[date].extend((band, layer) for layer in cell)
    every = [layer for cell in cells.values() for layer in cell]
    found = {}
    for (j, rows), (k, columns) in itertools.product(*(enumerate(_slices(one)) for one in sizes[2:])):
        part = coverage.part(grid, rows.start, columns.start, rows.stop, columns.stop)
        reached = _reaching(every, part)
        for i, dates in enumerate(_slices(sizes[0])):
            layers = tuple(
                (date - dates.start, band, layer)
                for date in range(dates.start, dates.stop)
                for band, layer in by_date.get(date, ())
                if id(layer.grid) in reached
            )
            found[i, 0, j, k] = Block(part, dates.stop - dates.start, sizes[1][0], layers)
    return found


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum((0, *sizes)).tolist()
    return [slice(start, end) for start, end in itertools.pairwise(ends)]


# --- on the workers


def read_block(
    block: Block, dtype: str, nodata: float | int | None, polygons: cutting.Polygons | None = None
) -> np.ndarray:
    """The pixels of a block; each file is opened once, and of its tiles only those that polygons meet are read.

    Raises
    ------
    FileNotFound, FileContentInvalid
        If a file is gone, is damaged, or is not what its catalogue says.
    """
    shape = (block.dates, block.bands, *block.grid.shape)
    out = np.full(shape, 0 if nodata is None else nodata, np.dtype(dtype))
    filled: dict[tuple[int, int], np.ndarray] = {}
    alone = _alone(block)
    files: dict[str, list[tuple[int, int, Layer]]] = defaultdict(list)
    for entry in block.layers:
        files[entry[2].path].append(entry)
    try:
        for path, entries in files.items():
            with opened(path, entries[0][2].called) as file:
                for date, band, layer in entries:
                    done = None if (date, band) in alone else filled.setdefault((date, band), np.zeros(shape[2:], bool))
                    for rows, columns in _asked(file, layer, block.grid, polygons):
                        part = coverage.part(block.grid, rows.start, columns.start, rows.stop, columns.stop)
                        left = None if done is None else done[rows, columns]
                        _read_layer(file, layer, part, out[date, band, rows, columns], left, nodata)
    except OpenEOException as error:
        # rasterio's errors cannot be unpickled, and a cluster would lose ours with them
        error.__cause__ = error.__context__ = None
        raise
    return out


def _asked(file: Any, layer: Layer, grid: GeoBox, polygons: cutting.Polygons | None) -> list[tuple[slice, slice]]:
    """Rows and columns of a block that polygons ask for, in tiles of the file where its pixels are the block's."""
    start = coverage.offset(grid, layer.grid)
    if start is None:
        return cutting.rectangles(polygons, grid, (chunking.SMALLEST, chunking.SMALLEST), (0, 0))
    return cutting.rectangles(polygons, grid, file.block_shapes[layer.index - 1], start)


def _read_layer(
    file: Any, layer: Layer, grid: GeoBox, cell: np.ndarray, done: np.ndarray | None, nodata: float | int | None
) -> None:
    """Read what a layer has of a block's grid into a cell; `done` are the pixels that other layers filled before."""
    _check(file, layer, cell.dtype)
    if layer.way is not None:
        values, apart = _warped(file, layer, layer.way, grid)
        _paste(cell, (slice(None), slice(None)), values, apart, done)  # outside of the image there are gaps as well
        return
    rows, columns, inside = coverage.nearest(grid, layer.grid)
    if not rows.size or not columns.size:
        return
    top, left = int(rows.min()), int(columns.min())
    window = Window(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    aligned = coverage.offset(grid, layer.grid) is not None
    if aligned and done is None and _same_gaps(file, layer, cell.dtype, nodata):
        file.read(layer.index, window=window, out=cell[inside])  # nothing to be done to the values
        return
    values, gaps = _measured(file, layer, window)
    if not aligned:
        values = values[rows - top, columns - left]
        gaps = None if gaps is None else gaps[rows - top, columns - left]
    if gaps is not None and nodata is None and gaps.any():
        raise FileContentInvalid(f"{layer.called} has no-data pixels, which its catalogue does not say")
    _paste(cell, inside, values, gaps, done)


def _measured(file: Any, layer: Layer, window: Window) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of a window, with scale and offset where that is wanted, and where the gaps are, if there can be."""
    values = file.read(layer.index, window=window)
    gaps = chunking.is_gap(values, _own_nodata(file, layer))
    if layer.masked:
        hidden = file.read_masks(layer.index, window=window) == 0
        gaps = hidden if gaps is None else gaps | hidden
    if layer.packing is not None:
        kind = layer.given[0].type
        values = values.astype(kind) * kind(layer.packing.scale) + kind(layer.packing.offset)
    return values, gaps


def _warped(file: Any, layer: Layer, way: warping.Warp, grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """The values of a layer on another grid, and where there are none."""
    dtype = layer.given[0]
    source = grids.window_under(layer.grid, grid, (0, 0), grid.shape.yx, way)
    if source is None:
        return np.zeros(grid.shape.yx, dtype), np.ones(grid.shape.yx, bool)
    top, bottom, left, right = source
    values, gaps = _measured(file, layer, Window(left, top, right - left, bottom - top))
    values = values.astype(missing.float_of(dtype))
    if gaps is not None:
        values[gaps] = np.nan
    corner = coverage.part(layer.grid, top, left, bottom, right).affine
    made = warping.warp(values, corner, grid.affine, grid.shape.yx, way)
    gaps = np.isnan(made)
    return (made if dtype.kind == "f" else np.where(gaps, 0, made).astype(dtype)), gaps


def _own_nodata(file: Any, layer: Layer) -> Any:
    return layer.nodata if layer.nodata is not None else file.nodatavals[layer.index - 1]


def _same_gaps(file: Any, layer: Layer, dtype: np.dtype, nodata: float | int | None) -> bool:
    """Whether values of a file are those of the cube as they are stored."""
    stored, own = np.dtype(file.dtypes[layer.index - 1]), _own_nodata(file, layer)
    if layer.masked or layer.packing is not None or stored != dtype:
        return False
    return bool(own == nodata or (stored.kind == "f" and (own is None or own != own)))


def _alone(block: Block) -> set[tuple[int, int]]:
    """The cells that only one layer fills."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for date, band, _ in block.layers:
        counts[date, band] += 1
    return {cell for cell, count in counts.items() if count == 1}


def _paste(cell: np.ndarray, where: Any, values: np.ndarray, gaps: np.ndarray | None, done: np.ndarray | None) -> None:
    """Write values where there is one and none has been written before."""
    if gaps is None and done is None:
        cell[where] = values
        return
    wanted = np.ones(values.shape, bool) if gaps is None else ~gaps
    if done is not None:
        wanted &= ~done[where]
        done[where] |= wanted
    cell[where] = np.where(wanted, values.astype(cell.dtype, copy=False), cell[where])


def _check(file: Any, layer: Layer, dtype: np.dtype) -> None:
    """The file must be what the plan, which may come from a catalogue, says of it."""
    stored = np.dtype(file.dtypes[layer.index - 1]) if layer.index <= file.count else None
    if stored is None:
        raise FileContentInvalid(f"{layer.called} has {file.count} bands, and band {layer.index} is asked for")
    if stored != layer.dtype and not np.can_cast(stored, dtype):
        raise FileContentInvalid(f"{layer.called} holds {stored}, its catalogue says {layer.dtype}")
    there, said = file.transform, layer.grid.affine
    same = file.shape == tuple(layer.grid.shape) and there.almost_equals(said, abs(said.a) * coverage.SAME)
    if not same or coverage.different_crs(file.crs, layer.grid.crs):
        raise FileContentInvalid(
            f"{layer.called} has {file.shape} pixels from {tuple(there)[:6]} on in {file.crs}, its catalogue says "
            f"{tuple(layer.grid.shape)} from {tuple(said)[:6]} on in {layer.grid.crs}"
        )
