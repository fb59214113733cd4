"""Reducing: a dimension goes, each of its rows becomes one value."""

from __future__ import annotations

import itertools
import math
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from openeo_processes_dask import blocks, dimensions, selecting
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.vocabulary import (
    Anything,
    Cube,
    DimensionName,
    PixelReducer,
    RasterCube,
    Reducer,
    Scaling,
)


@declare("cubes", "reducer", scaling=Scaling.TREE)
@checked
def reduce_dimension(data: Cube, reducer: Reducer, dimension: DimensionName, context: Anything = None) -> Cube:
    """Make one value of each row along a dimension.

    A dimension in one chunk costs one task per block. Where it is cut, statistics that can be combined (sum, mean,
    min …) make partial results per block and a small tree of tasks; any other reducer gets the dimension in one
    chunk first.

    Raises
    ------
    DimensionNotAvailable
        If the cube has no such dimension.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, dimension)
    return blocks.reduce(trace(reducer, "data", context=context), cube, dimension)


@declare("aggregate", "cubes", "reducer", scaling=Scaling.TREE, experimental=True)
@checked
def reduce_spatial(data: RasterCube, reducer: PixelReducer, context: Anything = None) -> Cube:
    """Make one value of all pixels of each plane; the dimensions x and y go.

    The values come in no particular order. Statistics that can be combined (sum, mean, min …) make partial results
    per block and a small tree of tasks. Median and quantiles are found exactly without bringing a plane together, by
    reading the cube several times: once for values of 8 and 16 bits, twice for 32, four times for 64. Any other
    reducer must see all values at once (SHUFFLE): then a block is brought together that holds at least one whole
    plane, and a warning is logged that says how large that is.
    """
    cube = dimensions.as_cube(data)
    y, x = dimensions.require_spatial(cube)
    kept = {name: c for name, c in cube.coords.items() if y not in c.dims and x not in c.dims}
    dims = [name for name in cube.dims if name not in (y, x)]
    expression = trace(reducer, "data", context=context)
    upright = cube.transpose(*dims, y, x)
    cut = isinstance(cube.data, da.Array) and math.prod(upright.data.numblocks[-2:]) > 1
    found = selecting.planes(expression, upright) if cut and expression.scaling is Scaling.SHUFFLE else None
    if found is not None:
        values, way = found
        result = xr.DataArray(values, dims=dims, coords=kept, attrs=cube.attrs)
        result.name, result.encoding = cube.name, cube.encoding
        return blocks.like(result, values, way)
    if cut and expression.scaling is Scaling.SHUFFLE:
        selecting.warn_of_gathering(expression, "whole planes", math.prod(upright.shape[-2:]), cube.dtype)
    pixels = f"{y}, {x}"
    flat = xr.DataArray(_rows(upright.data), dims=[*dims, pixels], coords=kept, attrs=cube.attrs)
    flat.name, flat.encoding = cube.name, cube.encoding
    return blocks.reduce(expression, flat, pixels)


def _rows(data: Any) -> Any:
    """Planes as rows, the pixels of each block together, so that no block meets another."""
    if not isinstance(data, da.Array):
        return _row(data)
    name = f"openeo-rows-{tokenize(data.name)}"
    across = data.numblocks[-1]
    layer: dict[Any, Any] = {}
    for *index, row, column in itertools.product(*map(range, data.numblocks)):
        layer[(name, *index, row * across + column)] = (_row, (data.name, *index, row, column))
    lengths = tuple(math.prod(pair) for pair in itertools.product(*data.chunks[-2:]))
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[data])  # type: ignore[list-item]  # dask types its own arrays too narrowly
    meta = np.empty((0,) * (data.ndim - 1), data.dtype)
    return da.Array(graph, name, (*data.chunks[:-2], lengths), data.dtype, meta=meta)


def _row(block: np.ndarray) -> np.ndarray:
    return block.reshape(*block.shape[:-2], block.shape[-2] * block.shape[-1])
