"""Running code of users on blocks of cubes, tables of features and plain values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import dask
import numpy as np
import xarray as xr

from openeo_processes_dask import blocks, dimensions, lazy, places, usercode
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, UserCodeFailed
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.vocabulary import NO_OPTIONS, Anything, Code, CodeVersion, Runtime, Scaling

logger = logging.getLogger(__name__)


@declare("cubes", "import", "udf", scaling=Scaling.SHUFFLE)
@checked
def run_udf(
    data: Anything,
    udf: Code,
    runtime: Runtime,
    version: CodeVersion = None,
    context: Anything = NO_OPTIONS,
    *,
    axis: int | None = None,
    keepdims: bool = False,
) -> Anything:
    """Run code of users.

    The code is in Python and follows the conventions of `openeo.udf`: `apply_datacube(cube, context)` and the like.
    In a child process it gets each block as a cube with the dimensions, labels and reference system that the block
    has, and gaps as NaN; rows along a dimension are whole. It runs where the block is, with all the rights of the
    worker. A cube that is given directly is handed over block by block and keeps its shape; a vector cube brings its
    features, a table of features and plain values are given as such.

    What comes out is found by running the code on a block of ones, once, when the graph is built. Where that fails,
    or the setting `openeo.udf-trial` is off, it is taken to be as many floating-point numbers as went in. Code is
    read from files and addresses once, while the graph is built.

    Raises
    ------
    InvalidRuntime
        If the runtime is not Python.
    InvalidVersion
        If the version is not that of the workers' Python.
    FileNotFound
        If there is no file of this name among those of the user.
    """
    usercode.require_runtime(runtime, version)
    code = usercode.source(udf)
    options = dict(context) if isinstance(context, Mapping) else context
    place = places.HERE.get()
    if isinstance(data, xr.Dataset) or (isinstance(data, xr.DataArray) and place is None):
        usercode.require_function(code)
        arguments = {"udf": code, "runtime": runtime, "context": options}
        node = {"process_id": "run_udf", "arguments": {"data": {"from_parameter": "x"}, **arguments}, "result": True}
        return blocks.apply(trace({"process_graph": {"udf": node}}, "x"), dimensions.as_cube(data))
    if place is not None and place.trial:
        return _tried(code, data, options, place)
    if isinstance(data, xr.DataArray):
        return usercode.on_cube(code, data, options)
    if isinstance(data, np.ndarray):
        return _on_block(code, data, options, place)
    if lazy.is_lazy(data):
        raise ProcessParameterInvalid("run_udf: an array has no labels, give it as a cube")
    if hasattr(data, "geometry"):
        return usercode.on_features(code, data, options)
    return usercode.on_plain(code, data, options)


def _prepared(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the code itself; all that can be wrong with them is."""
    found = dict(arguments)
    if isinstance(found.get("runtime"), str):
        version = found.get("version")
        usercode.require_runtime(found["runtime"], version if isinstance(version, str) else None)
    if isinstance(found.get("udf"), str):
        found["udf"] = usercode.source(found["udf"])
        usercode.require_function(found["udf"])
    return found


setattr(run_udf, places.PREPARE, _prepared)


def _tried(code: str, data: Any, context: Any, place: places.Place) -> Any:
    """What comes out of made-up values; as many numbers as went in where that is not tried, or fails."""
    if dask.config.get("openeo.udf-trial", True):
        try:
            if isinstance(data, xr.DataArray):
                return usercode.on_cube(code, data, context)
            return _on_block(code, data, context, place)
        except UserCodeFailed as error:
            logger.warning("run_udf: tried on ones, and taken to return as many numbers as it gets: %s", error)
    if isinstance(data, xr.DataArray):
        return data.astype(missing.float_of(data.dtype))
    return np.ones(np.shape(data), missing.float_of(getattr(data, "dtype", np.float64)))


def _on_block(code: str, block: np.ndarray, context: Any, place: places.Place | None) -> np.ndarray:
    """Run on a block of numbers, whose dimensions come back in their order."""
    if place is None or block.ndim != len(place.dims):
        return usercode.on_cube(code, xr.DataArray(block), context).values
    cube = place.cube(block)
    made = usercode.on_cube(code, cube, context)
    new = [d for d in made.dims if d not in cube.dims]
    gone = [d for d in cube.dims if d not in made.dims]
    row = None if place.axis is None else place.dims[place.axis]
    if len(new) == 1 and gone == [row]:  # rows that became something else
        made, new, gone = made.rename({new[0]: row}), [], []
    if new or set(gone) - {row}:
        raise UserCodeFailed(f"the user's code returned the dimensions {made.dims} of {cube.dims}")
    return made.transpose(*(d for d in cube.dims if d in made.dims)).values
