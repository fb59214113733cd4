"""Dimensions and their labels: added, dropped, renamed, trimmed, combined and split; values stay what they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from dask.base import compute

from openeo_processes_dask import dimensions
from openeo_processes_dask.arguments import instant
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    DimensionExists,
    DimensionLabelCountMismatch,
    LabelExists,
    LabelMismatch,
    LabelNotAvailable,
    LabelsNotEnumerated,
    ProcessParameterInvalid,
    TargetDimensionExists,
)
from openeo_processes_dask.vocabulary import (
    DIMENSION_TYPES,
    Cube,
    DimensionName,
    DimensionNames,
    DimensionType,
    Label,
    LabelList,
    Labels,
    Scaling,
    Separator,
    SeveralDimensionNames,
)

_SHORTEST_DATE = len("2020-01-01")


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def create_data_cube() -> Cube:
    """A cube without dimensions, for `add_dimension` to build on.

    It holds a single value, no-data.
    """
    return xr.DataArray(np.array(np.nan))


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def add_dimension(data: Cube, name: DimensionName, label: Label, type: DimensionType = "other") -> Cube:
    """Put a dimension with one label in front of the others.

    The label of a temporal dimension becomes an instant where it is a date, with or without a time. A spatial
    dimension is x if the cube has none, else y, else z.

    Raises
    ------
    DimensionExists
        If the name is taken, or all of x, y and z are there.
    """
    cube = dimensions.as_cube(data)
    if name in cube.dims:
        raise DimensionExists(f"the new dimension {name!r} is one of {tuple(map(str, cube.dims))}")
    if type not in DIMENSION_TYPES:
        raise ProcessParameterInvalid(f"type must be one of {', '.join(DIMENSION_TYPES)}, not {type!r}")
    new = _free_axis(cube) if type == "spatial" else type
    values = _as_instants([label]) if type == "temporal" else None
    cube = cube.drop_vars(name, errors="ignore")  # a coordinate that was left where such a dimension went
    made = cube.expand_dims({name: [label] if values is None else values})
    made.encoding = cube.encoding
    return dimensions.with_role(made, name, new)


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def drop_dimension(data: Cube, name: DimensionName) -> Cube:
    """Take away a dimension that has one label.

    Raises
    ------
    DimensionNotAvailable
        If there is no such dimension.
    DimensionLabelCountMismatch
        If it has more than one label, or none.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, name)
    if cube.sizes[name] != 1:
        raise DimensionLabelCountMismatch(f"dimension {name!r} has {cube.sizes[name]} labels, one is needed")
    return cube.isel({name: 0}, drop=True)


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def rename_dimension(data: Cube, source: DimensionName, target: DimensionName) -> Cube:
    """Give a dimension another name; its type stays, whatever the new name suggests.

    Raises
    ------
    DimensionNotAvailable
        If there is no dimension with the old name.
    DimensionExists
        If there is one with the new name.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, source)
    if target in cube.dims:
        raise DimensionExists(f"the new name {target!r} is one of {tuple(map(str, cube.dims))}")
    kept = dimensions.role(cube, source)
    renamed = cube.drop_vars(target, errors="ignore").rename({source: target})
    if target not in renamed.coords and dimensions.role(renamed, target) != kept:
        renamed = renamed.assign_coords({target: np.arange(renamed.sizes[target])})  # a type needs labels to sit on
    return dimensions.with_role(renamed, target, kept)


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def rename_labels(data: Cube, dimension: DimensionName, target: LabelList, source: LabelList = ()) -> Cube:
    """Give labels of a dimension other names; their order and their values stay.

    Without source labels those of the dimension must count up from zero, and the first of them get the new names.
    Instants answer to texts. A temporal dimension whose new labels are dates stays one of instants.

    Raises
    ------
    LabelsNotEnumerated
        If no source labels are given and those of the dimension do not count up from zero.
    LabelMismatch
        If more or fewer labels are given than are to be replaced.
    LabelNotAvailable
        If a source label does not exist.
    LabelExists
        If a new label is among those of the dimension.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, dimension)
    old, new = dimensions.json_labels(cube, dimension), list(target)
    where = _places(cube, dimension, [] if source is None else list(source), new)
    moments = cube.coords[dimension].dtype.kind == "M" if dimension in cube.coords else False
    for label in new:
        if _find(old, label, moments) is not None:
            raise LabelExists(f"the new label {label!r} is one of dimension {dimension!r}")
    if len(set(new)) < len(new):
        raise LabelExists(f"the new labels {new} are not distinct")
    for place, label in zip(where, new, strict=True):
        old[place] = label
    kept = dimensions.role(cube, dimension)
    attrs = cube.coords[dimension].attrs if dimension in cube.coords else {}
    values = _as_instants(old) if moments else None
    renamed = cube.assign_coords({dimension: (dimension, _labels(old) if values is None else values, attrs)})
    return dimensions.with_role(renamed, dimension, kept)


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def dimension_labels(data: Cube, dimension: DimensionName) -> Labels:
    """The labels of a dimension, in their order.

    Instants come as texts in UTC, geometries as WKT. A dimension without labels counts up from zero.

    Raises
    ------
    DimensionNotAvailable
        If there is no such dimension.
    """
    cube = dimensions.as_cube(data)
    return dimensions.json_labels(cube, dimensions.require(cube, dimension))


@declare("cubes", scaling=Scaling.EAGER)
@checked
def trim_cube(data: Cube) -> Cube:
    """Take away labels under which there is nothing but no-data.

    Where labels are evenly spaced numbers or instants, as in x and y, only those before the first and after the
    last value go, so that they stay so; else, as among bands, they go anywhere. Which labels hold something is
    computed at once, and no more than that: the values stay lazy. A cube in which no-data cannot occur is not read.
    """
    cube = dimensions.as_cube(data)
    fill = dimensions.nodata(cube)
    if cube.ndim == 0 or (fill is None and cube.dtype.kind not in "fc"):
        return cube
    held = cube.data == cube.data if fill is None else (cube.data != fill) & (cube.data == cube.data)
    every = range(cube.ndim)
    masks = compute(*(held.any(axis=tuple(a for a in every if a != axis)) for axis in every))
    chosen = {}
    for dimension, mask in zip(cube.dims, masks, strict=True):
        kept = np.asarray(mask)
        if _evenly_spaced(cube, str(dimension)):
            kept = np.logical_or.accumulate(kept) & np.logical_or.accumulate(kept[::-1])[::-1]
        chosen[dimension] = dimensions.positions(kept)
    return cube.isel(chosen)


@declare("cubes", scaling=Scaling.SHUFFLE, experimental=True)
@checked
def flatten_dimensions(
    data: Cube, dimensions: DimensionNames, target_dimension: DimensionName, label_separator: Separator = "~"
) -> Cube:
    """Make one dimension of several; each of its labels joins one of each.

    The new dimension stands where the first of the others stood in the cube. The last dimension asked for varies
    fastest, and must lie in one chunk wherever more than one label of the one before it does: else the cube is
    rechunked once.

    Raises
    ------
    DimensionNotAvailable
        If one of the dimensions does not exist.
    TargetDimensionExists
        If the name of the new dimension is taken.
    """
    return _flattened(data, list(dimensions), target_dimension, label_separator)


@declare("cubes", scaling=Scaling.SHUFFLE, experimental=True)
@checked
def unflatten_dimension(
    data: Cube, dimension: DimensionName, target_dimensions: SeveralDimensionNames, label_separator: Separator = "~"
) -> Cube:
    """Make several dimensions of one, whose labels are split.

    The new dimensions stand where the old one stood, with labels that are texts, in the order of their first
    appearance. Each combination of them must be there once.

    Raises
    ------
    DimensionNotAvailable
        If the dimension does not exist.
    TargetDimensionExists
        If the name of a new dimension is taken.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, dimension)
    targets = list(target_dimensions)
    if len(targets) < 2 or len(set(targets)) < len(targets):
        raise ProcessParameterInvalid(f"target_dimensions must be two or more different names, not {targets}")
    _require_free(cube, targets)
    parts = _split(dimensions.json_labels(cube, dimension), len(targets), label_separator)
    news = [list(dict.fromkeys(column)) for column in zip(*parts, strict=True)] or [[] for _ in targets]
    order = {part: place for place, part in enumerate(parts)}
    wanted = list(itertools.product(*news))
    if len(order) != len(parts) or len(wanted) != len(parts):
        raise ProcessParameterInvalid(
            f"the {len(parts)} labels of dimension {dimension!r} are not each of the {len(wanted)} combinations once"
        )
    if list(order) != wanted:
        cube = cube.isel({dimension: [order[part] for part in wanted]})
    axis = cube.get_axis_num(dimension)
    shape = (*cube.shape[:axis], *map(len, news), *cube.shape[axis + 1 :])
    dims = [d for old in cube.dims for d in (targets if old == dimension else [old])]
    return _reshaped(cube, cube.data, shape, dims, dict(zip(targets, news, strict=True)))


def _flattened(data: Any, names: list[str], target: str, separator: str) -> xr.DataArray:
    """One dimension of several; here the module of dimensions is not hidden by the parameter of that name."""
    cube = dimensions.as_cube(data)
    for name in names:
        dimensions.require(cube, name)
    if not names or len(set(names)) < len(names):
        raise ProcessParameterInvalid(f"dimensions must be different names, at least one, not {names}")
    _require_free(cube, [target])
    columns = [[str(label) for label in dimensions.json_labels(cube, name)] for name in names]
    labels = [separator.join(parts) for parts in itertools.product(*columns)]
    place = min(cube.get_axis_num(name) for name in names)
    others = [d for d in cube.dims if d not in names]
    ordered = cube.transpose(*others[:place], *names, *others[place:])
    sizes = [cube.sizes[d] for d in others]
    shape = (*sizes[:place], math.prod(cube.sizes[name] for name in names), *sizes[place:])
    return _reshaped(ordered, ordered.data, shape, [*others[:place], target, *others[place:]], {target: labels})


def _reshaped(
    cube: xr.DataArray, values: Any, shape: tuple[int, ...], dims: Sequence[Any], labels: dict[str, list[Any]]
) -> xr.DataArray:
    """A cube in another shape: coordinates of dimensions that stay are kept, new ones are of no particular type."""
    if 0 in shape:
        values = np.empty(shape, values.dtype)  # nothing is left that could be lazy
    kept = {name: c for name, c in cube.coords.items() if set(c.dims) <= set(dims)}
    made = xr.DataArray(values.reshape(shape), dims=dims, coords=kept, attrs=cube.attrs)
    made.name, made.encoding = cube.name, cube.encoding
    for name, new in labels.items():
        made = dimensions.with_role(made.assign_coords({name: _labels(new)}), name, "other")
    return dimensions.with_indexes(made, cube)


def _free_axis(cube: xr.DataArray) -> str:
    for axis in ("x", "y", "z"):
        if not dimensions.of_role(cube, axis):
            return axis
    raise DimensionExists(f"x, y and z are there already, among {tuple(map(str, cube.dims))}")


def _require_free(cube: xr.DataArray, names: list[str]) -> None:
    for name in names:
        if name in cube.dims:
            raise TargetDimensionExists(f"the new dimension {name!r} is one of {tuple(map(str, cube.dims))}")


def _split(labels: list[Any], count: int, separator: str) -> list[tuple[str, ...]]:
    parts = [tuple(str(label).split(separator)) for label in labels]
    for label, part in zip(labels, parts, strict=True):
        if len(part) != count:
            raise ProcessParameterInvalid(
                f"label {label!r} has {len(part)} parts between {separator!r}, there are {count} target dimensions"
            )
    return parts


def _places(cube: xr.DataArray, dimension: str, source: list[Any], target: list[Any]) -> list[int]:
    """The positions of the labels that get new names."""
    known = dimensions.json_labels(cube, dimension)
    if not source:
        if known != list(range(len(known))):
            raise LabelsNotEnumerated(f"the labels of {dimension!r} do not count up from zero, so name those to rename")
        if len(target) > len(known):
            raise LabelMismatch(f"dimension {dimension!r} has {len(known)} labels, {len(target)} are given")
        return list(range(len(target)))
    if len(source) != len(target):
        raise LabelMismatch(f"{len(source)} labels are to be renamed, {len(target)} are given")
    moments = dimension in cube.coords and cube.coords[dimension].dtype.kind == "M"
    where = []
    for label in source:
        found = _find(known, label, moments)
        if found is None:
            raise LabelNotAvailable(f"no label {label!r} in dimension {dimension!r} with {known[:12]}")
        where.append(found)
    return where


def _find(known: list[Any], label: Any, moments: bool) -> int | None:
    """The position of a label; an instant may be written in another way."""
    if moments and isinstance(label, str):
        wanted = _as_instants([label])
        found: Any = () if wanted is None else np.flatnonzero(_as_instants(known) == wanted[0])
        return int(found[0]) if len(found) else None
    return next(
        (i for i, one in enumerate(known) if one == label and isinstance(one, str) == isinstance(label, str)), None
    )


def _as_instants(labels: list[Any]) -> np.ndarray | None:
    """Labels that are all dates, with or without times, as instants; None if one is not."""
    if not all(isinstance(label, str) and len(label) >= _SHORTEST_DATE for label in labels):
        return None
    try:
        return np.array([instant(label) for label in labels], "datetime64[ns]")
    except ProcessParameterInvalid:
        return None


def _labels(values: list[Any]) -> np.ndarray:
    """Labels as an array; texts and numbers among each other stay what they are."""
    if len({isinstance(value, str) for value in values}) > 1:
        mixed = np.empty(len(values), object)
        mixed[:] = values
        return mixed
    return np.array(values) if values else np.array([], str)


def _evenly_spaced(cube: xr.DataArray, dimension: str) -> bool:
    """Whether labels are numbers or instants with equal steps between them."""
    if dimensions.role(cube, dimension) in ("x", "y"):
        return True
    if dimension not in cube.coords or cube.coords[dimension].dtype.kind not in "iufM":
        return False
    steps = np.diff(cube.coords[dimension].values).astype(float)
    return bool(steps.size and np.allclose(steps, steps[0], rtol=1e-6, atol=0))
