"""How large the blocks of a loaded cube are, and what type and no-data value all its bands share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import dask
import dask.utils
import numpy as np

SMALL = 16 * 2**20  # bytes; dates are put together until blocks are as large as this
FEWEST = 4  # as long as there are at least so many blocks, one for each core of a small machine
SMALLEST = 256  # rows and columns: blocks of files that are smaller are taken together

Chunks = tuple[tuple[int, ...], ...]


def chunks(
    shape: Sequence[int],
    itemsize: int,
    blocks: Sequence[int] = (1, 1, 1),
    starts: Sequence[int] = (0, 0, 0),
) -> Chunks:
    """Sizes of the blocks of a cube of dates, bands, rows and columns; all bands lie together.

    One date is one block, unless that is more than dask's `array.chunk-size`: then rows and columns are cut, at
    multiples of the file's blocks. Where one date is little, several lie together, but not so many that fewer than
    four blocks are left. Files whose blocks hold several dates keep them together.

    Args
    ----
    shape: dates, bands, rows, columns.
    itemsize: bytes of a value.
    blocks: dates, rows and columns of the blocks in the files.
    starts: the date, row and column of the files at which the cube begins.
    """
    dates, bands, rows, columns = shape
    limit = dask.utils.parse_bytes(dask.config.get("array.chunk-size"))
    per_pixel = bands * itemsize
    deep = min(blocks[0], max(dates, 1))  # a block of the file is not read twice, so that many dates stay together
    height, width = _tile(rows, columns, max(limit // (per_pixel * deep), 1), blocks[1:])
    pieces = math.ceil(rows / height) * math.ceil(columns / width)
    small = max(SMALL // max(height * width * per_pixel, 1), 1)
    together = max(min(small, dates * pieces // FEWEST) // deep, 1) * deep
    return (
        _cut(dates, together, starts[0]),
        (bands,),
        _cut(rows, height, starts[1]),
        _cut(columns, width, starts[2]),
    )


def shared(stored: Iterable[tuple[np.dtype, float | int | None]], gaps: bool) -> tuple[np.dtype, float | int | None]:
    """The type and no-data value that hold the values and gaps of all, given the type and no-data value of each.

    Args
    ----
    stored: types and declared no-data values.
    gaps: whether there are pixels that no file covers.
    """
    kinds = set(stored)
    dtype = np.result_type(*(kind for kind, _ in kinds))
    if dtype.kind == "b" and gaps:
        dtype = np.dtype("uint8")
    if dtype.kind not in "iu":
        return dtype, math.nan if dtype.kind == "f" else None
    declared = {nodata for _, nodata in kinds}
    if declared == {None} and not gaps:
        return dtype, None
    if len(declared) == 1 and declared != {None}:
        return dtype, declared.pop()
    # A value that means a gap in one band may be a measurement in another, so the gaps get one that is free in all.
    if dtype.itemsize == 8:
        return np.dtype("float64"), math.nan
    wider = np.dtype(f"i{dtype.itemsize * 2}")
    return wider, int(np.iinfo(wider).min)


def is_gap(values: np.ndarray, nodata: float | int | None) -> np.ndarray | None:
    """Which values mean no-data; None if none can."""
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        return missing if nodata is None or nodata != nodata else missing | (values == values.dtype.type(nodata))
    return None if nodata is None else values == nodata


def _tile(rows: int, columns: int, most: int, block: Sequence[int]) -> tuple[int, int]:
    """Height and width of a piece of at most so many pixels, in multiples of the file's blocks."""
    if rows * columns <= most:
        return max(rows, 1), max(columns, 1)
    high, wide = (math.ceil(SMALLEST / size) * size if size < SMALLEST else size for size in block)
    # strips are as wide as the file, so cutting them lengthwise would read all of them again
    width = columns if wide >= columns else min(max(math.isqrt(most) // wide, 1) * wide, columns)
    height = min(max(most // width // high, 1) * high, rows)
    return height, width


def _cut(size: int, step: int, start: int) -> tuple[int, ...]:
    """Sizes of the pieces between multiples of a step, counted from where the file begins."""
    if step >= size:
        return (size,)
    first = step - start % step
    if first >= size:
        return (size,)
    rest = size - first
    return (first, *(step,) * (rest // step), *((rest % step,) if rest % step else ()))
