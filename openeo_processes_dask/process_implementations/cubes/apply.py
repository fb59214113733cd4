"""Applying: a child process on each value, or on each row of a dimension; the dimensions stay."""

from __future__ import annotations

from openeo_processes_dask import blocks, dimensions
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import DimensionExists
from openeo_processes_dask.vocabulary import (
    Anything,
    ArrayProcess,
    Cube,
    DimensionName,
    OptionalDimensionName,
    Process,
    Scaling,
)


@declare("cubes", scaling=Scaling.BLOCKWISE)
def apply(data: Cube, process: Process, context: Anything = None) -> Cube:
    """Run a process on every value.

    The child process is read once and runs as one task per block, however many nodes it has. An integer cube with
    a declared no-data value keeps it where integers come out, else its gaps become NaN.
    """
    cube = dimensions.as_cube(data)
    return blocks.apply(trace(process, "x", context=context), cube)


@declare("cubes", scaling=Scaling.SHUFFLE)
def apply_dimension(
    data: Cube,
    process: ArrayProcess,
    dimension: DimensionName,
    target_dimension: OptionalDimensionName = None,
    context: Anything = None,
) -> Cube:
    """Run a process on the array of values along a dimension.

    The dimension keeps its place and, if as many values come out as went in, its labels; else labels count up from
    zero. With another target dimension that takes the place of the source. A dimension in one chunk costs one task
    per block; one in several is brought together first.

    Raises
    ------
    DimensionNotAvailable
        If the cube has no such dimension.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, dimension)
    if target_dimension not in (None, dimension) and target_dimension in cube.dims:
        raise DimensionExists(f"the target dimension {target_dimension!r} is one of {tuple(cube.dims)}")
    return blocks.along(trace(process, "data", context=context), cube, dimension, target_dimension)
