"""Synthetic cubes of any size, made block by block where they are computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import dask.array as da
import dask.base
import numpy as np
import pandas as pd
import xarray as xr

from .grid import centres, georeferenced

BANDS = ("B02", "B03", "B04", "B08")


def synthetic(
    shape: Sequence[int] = (24, 4, 1024, 1024),
    chunks: Any = (6, 4, 512, 512),
    dtype: Any = "float32",
    gaps: float = 0.15,
    seed: int = 0,
    salt: Hashable = None,
) -> xr.DataArray:
    """Make a lazy cube of digital numbers from 1 to 10,000 over t, bands, y and x, one task per block.

    Building it costs the same whatever its size. Values follow from the seed, the chunks and the shape of a block;
    they are the same in whichever process a block is computed.

    Parameters
    ----------
    shape
        Dates, bands, rows, columns.
    chunks
        As dask takes them.
    dtype
        Floats have gaps as NaN; integers have gaps as 0, said so in `attrs["nodata"]`.
    gaps
        Share of pixels without a value.
    seed
        Of the values.
    salt
        Goes into the keys and not into the values: a cluster that knows a key does not compute it again.

    Raises
    ------
    ValueError
        A shape that is not four positive numbers, a share outside [0, 1), a dtype that cannot hold 10,000.
    """
    kind, sizes = _checked(shape, dtype, gaps)
    blocks = da.core.normalize_chunks(chunks, sizes, dtype=kind)
    array = da.map_blocks(
        _block_maker(blocks, kind.str, float(gaps), int(seed)),
        chunks=blocks,
        dtype=kind,
        meta=np.empty((0,) * 4, kind),
        name="synthetic-" + dask.base.tokenize(sizes, blocks, kind.str, float(gaps), int(seed), salt),
    )
    cube = xr.DataArray(array, _coordinates(sizes), ("t", "bands", "y", "x"), name="synthetic")
    if kind.kind != "f":
        cube.attrs["nodata"] = 0
    return georeferenced(cube)


def _checked(shape: Sequence[int], dtype: Any, gaps: float) -> tuple[np.dtype, tuple[int, ...]]:
    sizes = tuple(int(size) for size in shape)
    if len(sizes) != 4 or min(sizes) < 1:
        raise ValueError(f"shape is four positive numbers (t, bands, y, x), got {tuple(shape)!r}")
    if not 0 <= gaps < 1:
        raise ValueError(f"gaps is a share of at least 0 and below 1, got {gaps!r}")
    kind = np.dtype(dtype)
    if kind.kind not in "fiu" or (kind.kind != "f" and np.iinfo(kind).max < 10_000):
        raise ValueError(f"dtype must hold numbers up to 10,000, got {kind}")
    return kind, sizes


def _block_maker(blocks: tuple[tuple[int, ...], ...], dtype: str, gaps: float, seed: int) -> Callable[..., np.ndarray]:
    def make(block_id: tuple[int, ...]) -> np.ndarray:
        # A function inside a function cannot be pickled by name, so it travels to the workers as code:
        # they need numpy, not this package of benchmarks.
        shape = tuple(sizes[i] for sizes, i in zip(blocks, block_id, strict=True))
        random = np.random.Generator(np.random.SFC64([seed, *block_id]))
        values = random.random(shape, dtype="float64" if dtype.endswith("f8") else "float32")
        # one draw says both whether there is a value (above the share of gaps) and which
        holes = values < gaps
        values -= gaps
        values *= 9_999 / (1 - gaps)
        values += 1
        values[holes] = np.nan if dtype[1] == "f" else 0
        return values.astype(dtype, copy=False)

    return make


def _coordinates(sizes: tuple[int, ...]) -> dict[str, Any]:
    dates, bands, rows, cols = sizes
    return {
        "t": pd.date_range("2023-01-03", periods=dates, freq="10D"),
        "bands": [*BANDS[:bands], *(f"X{i:02}" for i in range(len(BANDS), bands))],
        **centres(rows, cols),
    }
