"""Reducing: a dimension goes, each of its rows becomes one value."""

from __future__ import annotations

from openeo_processes_dask import blocks, dimensions
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.declare import declare
from openeo_processes_dask.vocabulary import Anything, Cube, DimensionName, Reducer, Scaling


@declare("cubes", "reducer", scaling=Scaling.TREE)
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
