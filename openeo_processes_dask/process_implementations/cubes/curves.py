"""Curves: a function of parameters and time laid through the values of each row, and its values at other times."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask import blocks, dimensions, lazy, values
from openeo_processes_dask.arguments import instant
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare, declared
from openeo_processes_dask.exceptions import (
    DimensionAmbiguous,
    DimensionExists,
    ProcessParameterInvalid,
    ProcessParameterMissing,
    TargetDimensionExists,
)
from openeo_processes_dask.expressions import Expression, Parameter, Ref, references
from openeo_processes_dask.kernels import fitting, missing
from openeo_processes_dask.vocabulary import (
    Cube,
    CurveParameters,
    DimensionName,
    FittedFunction,
    Flag,
    KnownFunction,
    LabeledNumbers,
    PredictedLabels,
    Scaling,
)

PARAMETERS = "param"  # the dimension of the parameters of a fitted cube
LARGEST_GROWTH = 4  # a block of predictions is at most so many times as large as its block of parameters
_ADDING = ("add", "subtract", "sum", "mean")
_PICKING = ("array_element", "first", "last")


@declare("arrays", "math", scaling=Scaling.SHUFFLE, experimental=True)
@checked
def fit_curve(
    data: LabeledNumbers,
    parameters: CurveParameters,
    function: FittedFunction,
    ignore_nodata: Flag = True,
    *,
    axis: int | None = None,
    dim_labels: Sequence[Any] | None = None,
    dimension: str | None = None,
) -> CurveParameters:
    """Fit a curve: the parameters with which a function comes closest to values, by least squares.

    The function's `x` are the labels of the array: numbers, or instants in seconds since 1970-01-01; without labels,
    positions. A function that is seen to be linear in its parameters is solved for all rows of a block at once. Any
    other is fitted from the given parameters by steps of Levenberg and Marquardt, in which all rows of a block take
    part until each has ended. Gaps do not count, or with `ignore_nodata` off make a row without result. Neither has
    a row with fewer values than parameters, one that does not determine them, and one that has not ended after 200
    steps. The axis is brought into one chunk; the parameters are in float64.

    A whole cube is fitted along `dimension`, or its only temporal one, whose place `param` takes.
    """
    skip = values.flag("fit_curve", "ignore_nodata", ignore_nodata)
    guess = _guess(parameters)
    expression = trace(function, "x", "parameters")
    if isinstance(data, xr.Dataset) or (isinstance(data, xr.DataArray) and (data.ndim > 1 or dimension is not None)):
        return _fitted_cube(dimensions.as_cube(data), guess, expression, skip, dimension)
    if values.is_list(data, axis):
        labels = values.labels_of(data)
        block = np.array([math.nan if v is None else v for v in values.listed(data)], np.float64)
        return lazy.silent(_on_rows(expression, guess, _times(labels, len(block)), skip), block, 0).tolist()
    if not lazy.is_array(data) or data.dtype.kind not in "biuf":
        raise ProcessParameterInvalid(f"fit_curve: data must be an array of numbers, not {type(data).__name__}")
    along = values.axis_of(data, axis)
    return lazy.along(_on_rows(expression, guess, _times(dim_labels, data.shape[along]), skip), data, along)


@declare("cubes", "math", scaling=Scaling.BLOCKWISE, experimental=True)
@checked
def predict_curve(
    parameters: Cube,
    function: KnownFunction,
    dimension: DimensionName,
    labels: PredictedLabels = None,
    *,
    data: xr.DataArray | None = None,
) -> Cube:
    """Predict values: those of a function with fitted parameters, at labels of a dimension.

    The dimension takes the place of that of the parameters: the one of its name, else `param`, else the only one that
    is neither spatial, temporal nor of bands. Labels are numbers, or dates, which the function gets in seconds since
    1970-01-01. Each block of parameters makes blocks of predictions of at most four times its size.

    With a cube `data` and no labels, the gaps of that cube are filled.
    """
    cube = lazy.gaps_as_nan(dimensions.as_cube(parameters))
    source = _parameter_dimension(cube, dimension)
    expression = trace(function, "x", "parameters")
    if labels is not None:
        return _predicted(cube, expression, source, dimension, *_coordinate(labels))
    if data is None:
        raise ProcessParameterMissing("predict_curve: labels are needed")
    gapped = lazy.gaps_as_nan(dimensions.as_cube(data))
    dimensions.require(gapped, dimension)
    times = _times(_labels(gapped, dimension), gapped.sizes[dimension])
    pieces = dict(zip(gapped.dims, gapped.chunks or (), strict=False)).get(dimension, ())
    made = _predicted(cube, expression, source, dimension, times, gapped.coords.get(dimension), pieces)
    filler = blocks.arranged(made, gapped.dims)
    return gapped.copy(data=lazy.elementwise(_filled, gapped.data, filler))


# --- what callers hand over


def _guess(parameters: Any) -> tuple[float, ...]:
    found = values.listed(parameters) if isinstance(parameters, (list, tuple, np.ndarray, xr.DataArray)) else []
    if not found or not all(values.is_number(v) and math.isfinite(v) for v in found):
        raise ProcessParameterInvalid(f"fit_curve: parameters must be one or more numbers, not {parameters!r}")
    return tuple(map(float, found))


def _labels(cube: xr.DataArray, dimension: str) -> np.ndarray | None:
    return cube.coords[dimension].values if dimension in cube.coords else None


def _times(labels: Any, length: int) -> np.ndarray:
    """Labels as numbers: instants in seconds since 1970; positions where there are none.

    Raises
    ------
    ProcessParameterInvalid
        If one is neither a number nor a date.
    """
    if labels is None:
        return np.arange(length, dtype=np.float64)
    found = np.asarray(labels)
    if found.dtype.kind in "iuf":
        return found.astype(np.float64)
    if found.dtype.kind != "M":
        if all(values.is_number(label) for label in found.tolist()):
            return found.astype(np.float64)
        found = np.array([instant(label) for label in found.tolist()], "datetime64[us]")
    return found.astype("datetime64[us]").astype(np.int64) / 1e6


def _coordinate(labels: Any) -> tuple[np.ndarray, xr.Variable]:
    """The numbers that labels stand for, and the labels as a coordinate: of instants where they are dates."""
    found = values.listed(labels) if isinstance(labels, (list, tuple, np.ndarray, xr.DataArray)) else [labels]
    if len({str(label) for label in found}) < len(found):
        raise ProcessParameterInvalid(f"predict_curve: labels must differ from each other: {found[:12]}")
    times = _times(found, len(found))
    if all(values.is_number(label) for label in found):
        return times, xr.Variable("labels", np.asarray(found))
    moments = (times * 1e6).round().astype(np.int64).astype("datetime64[us]")
    return times, xr.Variable("labels", moments.astype("datetime64[ns]"), {dimensions.ROLE: "temporal"})


def _parameter_dimension(cube: xr.DataArray, dimension: str) -> str:
    """The dimension along which the parameters lie."""
    if PARAMETERS in cube.dims:
        if dimension in cube.dims and dimension != PARAMETERS:
            raise DimensionExists(f"dimension {dimension!r} is one of {tuple(cube.dims)}, beside {PARAMETERS!r}")
        return PARAMETERS
    if dimension in cube.dims:
        return dimension
    others = dimensions.of_role(cube, "other")
    if len(others) != 1:
        raise DimensionAmbiguous(
            f"predict_curve: no dimension {dimension!r} or {PARAMETERS!r} holds the parameters among {tuple(cube.dims)}"
        )
    return others[0]


# --- fitting


def _fitted_cube(
    cube: xr.DataArray, guess: tuple[float, ...], expression: Expression, skip: bool, dimension: str | None
) -> xr.DataArray:
    name = dimensions.require_temporal(cube, dimension)
    if PARAMETERS in cube.dims and name != PARAMETERS:
        raise TargetDimensionExists(f"the cube has a dimension {PARAMETERS!r} among {tuple(cube.dims)}")
    run = _on_rows(expression, guess, _times(_labels(cube, name), cube.sizes[name]), skip)
    plain = lazy.gaps_as_nan(cube)
    made = lazy.along(run, plain.data, cube.get_axis_num(name))
    kept = {n: c for n, c in cube.coords.items() if name not in c.dims}
    dims = [PARAMETERS if d == name else d for d in cube.dims]
    result = xr.DataArray(made, dims=dims, coords=kept, attrs=plain.attrs)
    result.name, result.encoding = cube.name, {k: v for k, v in cube.encoding.items() if k == "grid_mapping"}
    result = result.assign_coords({PARAMETERS: [f"{PARAMETERS}_{i}" for i in range(len(guess))]})
    return dimensions.with_role(dimensions.with_indexes(blocks.undeclared(result), cube), PARAMETERS, "other")


def _on_rows(expression: Expression, guess: tuple[float, ...], times: np.ndarray, skip: bool) -> Any:
    """A kernel that fits all rows of a block along an axis."""
    model, count = _model(expression), len(guess)
    lazy.silent(model, times[:1], [np.array([g]) for g in guess])  # what is wrong with it shows here
    if linear(expression):
        parts = lazy.silent(fitting.design, model, times, count)
        rows = functools.partial(fitting.linear, parts=parts, count=count)
        return functools.partial(_fitted, fit=rows, count=count, most=fitting.TILE // max(len(times), 1), skip=skip)
    rows = functools.partial(_nonlinear, expression=expression, times=times, guess=guess)
    most = fitting.TILE // max(len(times) * count, 1)
    return functools.partial(_fitted, fit=rows, count=count, most=most, skip=skip)


def _fitted(
    block: np.ndarray,
    axis: int,
    *,
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray],
    count: int,
    most: int,
    skip: bool,
) -> np.ndarray:
    """The parameters of all rows of a block, some rows at a time."""
    moved = np.moveaxis(block, axis, -1)
    rows = moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
    out = np.empty((len(rows), count))
    for start in range(0, len(rows), max(most, 1)):
        tile = missing.as_float(rows[start : start + max(most, 1)]).astype(np.float64)
        held = ~np.isnan(tile)
        made = fit(tile, held)
        lost = ~np.isfinite(made).all(axis=1) | (False if skip else ~held.all(axis=1))
        made[lost] = np.nan
        out[start : start + max(most, 1)] = made
    return np.moveaxis(out.reshape(*moved.shape[:-1], count), -1, axis)


def _nonlinear(
    rows: np.ndarray, held: np.ndarray, *, expression: Expression, times: np.ndarray, guess: tuple[float, ...]
) -> np.ndarray:
    return fitting.nonlinear(rows, held, _model(expression), times, guess)


def _model(expression: Expression) -> fitting.Model:
    def model(x: np.ndarray, parameters: Sequence[np.ndarray]) -> np.ndarray:
        made = expression({"x": x, "parameters": list(parameters)})
        return np.asarray(np.nan if made is None else made, np.float64)

    return model


# --- what a function is


def linear(expression: Expression) -> bool:
    """Whether a function is seen to be linear in `parameters`, give or take what does not depend on them."""
    degrees: list[float] = []
    for node in expression.nodes:
        process = declared(node.function)
        arguments = {name: _degree(value, expression, degrees) for name, value in node.arguments.items()}
        degrees.append(_degree_of(process.id if process else "", arguments))
    return _degree(expression.result, expression, degrees) <= 1


def _degree(value: Any, expression: Expression, degrees: Sequence[float]) -> float:
    found = [
        degrees[r.index]
        if isinstance(r, Ref)
        else float(r == Parameter("parameters") and r.name not in expression.bound)
        for r in references(value)
    ]
    return max(found, default=0)


def _degree_of(process: str, arguments: Mapping[str, float]) -> float:
    """The degree in the parameters of what a process makes of arguments of some degrees; infinite if unknown."""
    if not any(arguments.values()):
        return 0
    data = arguments.get("data", 0)
    rest = max((degree for name, degree in arguments.items() if name != "data"), default=0)
    if process in _PICKING or (process in _ADDING and "data" in arguments):
        return data if not rest else math.inf
    if process in _ADDING:
        return rest
    if process == "multiply":
        return arguments["x"] + arguments["y"]
    if process == "divide" and not arguments["y"]:
        return arguments["x"]
    return math.inf


# --- predicting


def _predicted(
    cube: xr.DataArray,
    expression: Expression,
    source: str,
    target: str,
    times: np.ndarray,
    labels: Any,
    pieces: Sequence[int] = (),
) -> xr.DataArray:
    axis = cube.get_axis_num(source)
    run = functools.partial(_curve, expression, axis)
    if isinstance(cube.data, da.Array):
        along = lazy.together(cube.data, axis)
        most = max(LARGEST_GROWTH * cube.sizes[source] * cube.dtype.itemsize // 8, 1)
        x = da.from_array(times, chunks=(tuple(pieces) or most,), name=False)
        around = tuple(range(cube.ndim))
        out = tuple(cube.ndim if i == axis else i for i in around)
        made = da.blockwise(
            run,
            out,
            along,
            around,
            x,
            (cube.ndim,),
            concatenate=True,
            align_arrays=False,  # nothing is cut anew, so there is nothing to warn of
            dtype=np.float64,
            meta=np.empty((0,) * cube.ndim),
        )
    else:
        made = run(cube.data, times)
    kept = {n: c for n, c in cube.coords.items() if source not in c.dims}
    dims = [target if d == source else d for d in cube.dims]
    result = xr.DataArray(made, dims=dims, coords=kept, attrs=cube.attrs)
    result.name, result.encoding = cube.name, {k: v for k, v in cube.encoding.items() if k == "grid_mapping"}
    result = dimensions.with_indexes(result, cube)
    if labels is None:
        return result
    return result.assign_coords({target: (target, labels.values, labels.attrs)})


def _curve(expression: Expression, axis: int, block: np.ndarray, times: np.ndarray) -> np.ndarray:
    first = np.moveaxis(block, axis, 0).astype(np.float64)
    x = times.reshape(-1, *(1,) * (block.ndim - 1))
    made = lazy.silent(_model(expression), x, [part[None] for part in first])
    lost = np.isnan(first).any(axis=0)
    out = np.array(np.broadcast_to(made, (len(times), *first.shape[1:])))
    out[:, lost] = np.nan
    return np.moveaxis(out, 0, axis)


def _filled(block: np.ndarray, filler: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(block), filler, block).astype(missing.float_of(block.dtype), copy=False)
