"""The pixels of one block of a cube, as a task on a worker reads them from files."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from openeo_processes_dask import grids
from openeo_processes_dask.exceptions import FileContentInvalid, OpenEOException
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.kernels import rasters as warping

from . import chunking, coverage, cutting
from .layers import Layer, opened


@dataclass(frozen=True)
class Block:
    """What one task reads: layers by their position in the block's dates and bands."""

    grid: GeoBox
    dates: int
    bands: int
    layers: tuple[tuple[int, int, Layer], ...]


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
    out = np.empty(shape, np.dtype(dtype))
    filled: dict[tuple[int, int], np.ndarray] = {}
    alone = _alone(block)
    for cell in np.ndindex(shape[:2]):
        if polygons is not None or cell not in alone:
            out[cell] = 0 if nodata is None else nodata
    files: dict[str, list[tuple[int, int, Layer]]] = defaultdict(list)
    for entry in block.layers:
        files[entry[2].path].append(entry)
    try:
        for path, entries in files.items():
            first = entries[0][2]
            with opened(path, first.called, placed=not first.grid.affine.is_identity) as file:
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
    fill = 0 if nodata is None else nodata
    if layer.way is not None:
        if done is None:
            cell[:] = fill
        values, apart = _warped(file, layer, layer.way, grid)
        _paste(cell, (slice(None), slice(None)), values, apart, done)  # outside of the image there are gaps as well
        return
    rows, columns, inside = coverage.nearest(grid, layer.grid)
    aligned = coverage.offset(grid, layer.grid) is not None
    as_stored = aligned and _same_gaps(file, layer, cell.dtype, nodata)
    if done is None and not (as_stored and cell[inside].shape == cell.shape):
        cell[:] = fill
    elif done is not None and aligned:
        down, across = _left(done[inside])
        rows, columns, inside = rows[down], columns[:, across], (_within(inside[0], down), _within(inside[1], across))
    if not rows.size or not columns.size:
        return
    top, left = int(rows.min()), int(columns.min())
    window = Window(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    if as_stored and (done is None or not done[inside].any()):
        file.read(layer.index, window=window, out=cell[inside])  # nothing to be done to the values
        if done is not None:
            gaps = chunking.is_gap(cell[inside], _own_nodata(file, layer))
            done[inside] = True if gaps is None else ~gaps
        return
    values, gaps = _measured(file, layer, window)
    if not aligned:
        values = values[rows - top, columns - left]
        gaps = None if gaps is None else gaps[rows - top, columns - left]
    if gaps is not None and nodata is None and gaps.any():
        raise FileContentInvalid(f"{layer.called} has no-data pixels, which its catalogue does not say")
    _paste(cell, inside, values, gaps, done)


def _left(done: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold all that is not done."""
    left = ~done
    down, across = np.flatnonzero(left.any(axis=1)), np.flatnonzero(left.any(axis=0))
    return (slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)) if len(down) else (slice(0), slice(0))


def _within(outer: slice, inner: slice) -> slice:
    return slice(outer.start + (inner.start or 0), outer.start + inner.stop)


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
    if isinstance(where[0], slice):
        np.copyto(cell[where], values, where=wanted, casting="unsafe")
    else:
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
