"""Layers of raster files as one lazy cube: each of its blocks is read by one task."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.blockwise import BlockwiseDepDict, blockwise
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox

from openeo_processes_dask import dimensions, grids, turns
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.vocabulary import METHODS

from . import chunking, coverage, cutting
from .layers import Layer, is_remote
from .pixels import Block, read_block
from .request import Band, Request


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
    parts = coverage.limited(whole, request, source)
    reached = set().union(*(_reaching(layers, part.grid) for part in parts))
    layers = _grouped([layer for layer in layers if id(layer.grid) in reached])
    if not layers:
        raise request.nothing(source, "no image lies")
    times = sorted({layer.time for layer in layers if layer.time is not None})
    cells = [_cells(_ways(layers, part.grid), times, bands) for part in parts]
    expected = max(len(times), 1) * len(bands)
    masked = any(layer.masked and layer.nodata is None for layer in layers)
    polygons = any(part.polygons for part in parts)
    gaps = polygons or masked or any(_uncovered(c, expected, p.grid) for c, p in zip(cells, parts, strict=True))
    given = {layer.given for one in cells for found in one.values() for layer in found}
    dtype, nodata = chunking.shared(given, gaps)
    made = []
    for one, part in zip(cells, parts, strict=True):
        row, column = coverage.offset(part.grid, layers[0].grid) or (0, 0)
        shape = (max(len(times), 1), len(bands), *part.grid.shape)
        sizes = chunking.chunks(shape, dtype.itemsize, (1, *block), (0, row, column))
        shapes = cutting.Polygons.of(part.polygons)
        values = _lazy(one, part.grid, sizes, dtype, nodata, shapes)
        made.append((part.turn, _labelled(values, times, bands, part.grid, shapes, nodata)))
    return turns.joined(made, "x", coverage.crs_of(whole))


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
