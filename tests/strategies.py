"""Arrays as hypothesis draws them: all types, gaps, infinities, empty axes, awkward chunks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import dask.array as da
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

FLOATS = ("float32", "float64")
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6)


def values(dtype: str, limit: int = 1000) -> st.SearchStrategy[Any]:
    """Numbers that differ from each other by no more than a type can tell, and gaps among floats."""
    if dtype.startswith("float"):
        numbers = st.integers(-limit * 4, limit * 4).map(lambda n: n / 4)  # exact in float32
        return st.one_of(numbers, numbers, st.just(float("nan")))
    bounds = np.iinfo(dtype)
    return st.integers(max(int(bounds.min), -limit), min(int(bounds.max), limit))


def blocks(*dtypes: str, shape: Any = SHAPES, limit: int = 1000) -> st.SearchStrategy[np.ndarray]:
    """Arrays of one of these types."""
    return st.sampled_from(dtypes or FLOATS).flatmap(
        lambda dtype: arrays.arrays(dtype, shape, elements=values(dtype, limit), fill=st.nothing())
    )


@st.composite
def patterns(draw: st.DrawFn, dtype: str, shape: tuple[int, ...], limit: int = 5) -> np.ndarray:
    """An array of a few small numbers of a type, among floats infinities and gaps too, in any order.

    Drawn are the few values and where a generator of random numbers starts, which is quicker than each of many values.
    """
    kind = np.dtype(dtype)
    if kind.kind == "b":
        numbers: st.SearchStrategy[Any] = st.booleans()
    elif kind.kind == "f":
        halves = st.integers(-2 * limit, 2 * limit).map(lambda n: n / 2)
        numbers = st.one_of(halves, halves, st.sampled_from([math.nan, math.inf, -math.inf, -0.0]))
    else:
        numbers = values(dtype, limit)
    few = np.array(draw(st.lists(numbers, min_size=1, max_size=8)), kind)
    return np.random.default_rng(draw(st.integers(0, 999))).choice(few, shape)


@st.composite
def chunked(draw: st.DrawFn, block: np.ndarray) -> da.Array:
    """The same values in chunks of any sizes."""
    chunks = []
    for length in block.shape:
        cuts = sorted(draw(st.sets(st.integers(1, max(length - 1, 1)), max_size=3)))
        edges = [0, *(cut for cut in cuts if cut < length), length]
        chunks.append(tuple(after - before for before, after in itertools.pairwise(edges)))
    return da.from_array(block, chunks=tuple(chunks))
