"""Aggregating: labels of a dimension come together in groups."""

from __future__ import annotations

import numpy as np

from openeo_processes_dask import blocks, dimensions
from openeo_processes_dask.arguments import instants
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.kernels import periods
from openeo_processes_dask.vocabulary import (
    PERIODS,
    Anything,
    OptionalDimensionName,
    Period,
    Reducer,
    Scaling,
    TemporalCube,
)


@declare("aggregate", "climatology", "cubes", scaling=Scaling.TREE)
def aggregate_temporal_period(
    data: TemporalCube,
    period: Period,
    reducer: Reducer,
    dimension: OptionalDimensionName = None,
    context: Anything = None,
) -> TemporalCube:
    """Make one value of all that falls into each period of the calendar.

    Every period from the first to the last instant gets a label, such as `2020-06` for a month; one without values
    holds no-data, as far as the reducer says so. Instants are in UTC. Dekads count from 01 to 36 in a year, and
    seasons that reach over the turn of the year are named after the year of their first month. A temporal
    dimension in few chunks costs one task per block; in many, each period is reduced by itself.

    Raises
    ------
    TooManyDimensions
        If there are several temporal dimensions and none is named.
    DimensionNotAvailable
        If the named dimension does not exist, or there is no temporal one.
    """
    cube = dimensions.as_cube(data)
    name = dimensions.require_temporal(cube, dimension)
    if period not in PERIODS:
        raise ProcessParameterInvalid(f"no period {period!r}; there are {', '.join(PERIODS)}")
    numbers = periods.numbers(instants(cube, name), period)
    every = range(int(numbers.min()), int(numbers.max()) + 1) if numbers.size else range(0)
    groups = [np.flatnonzero(numbers == number).tolist() for number in every]
    names = [periods.label(number, period) for number in every]
    result = blocks.grouped(trace(reducer, "data", context=context), cube, name, groups, names)
    return dimensions.with_role(result, name, "temporal")
