"""Merging: two cubes become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import shapely
import xarray as xr

from openeo_processes_dask import blocks, dimensions, vectors
from openeo_processes_dask.arguments import instants
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import (
    IncompatibleGeometryTypes,
    OverlapResolverMissing,
    ProcessParameterInvalid,
)
from openeo_processes_dask.expressions import Expression
from openeo_processes_dask.process_implementations.cubes.resample import resample_cube_spatial
from openeo_processes_dask.vocabulary import Anything, Cube, OverlapResolver, Scaling

NEW_DIM_NAME = "__cubes__"  # known addresses of the drop-in; nothing here needs a stacked dimension
NEW_DIM_COORDS = ["cube1", "cube2"]
_KINDS = {**dict.fromkeys("biuf", "numbers"), **dict.fromkeys("UST", "texts"), "M": "instants"}  # of labels
FLOAT_TOLERANCE = 1e-6  # labels that differ by less, in units of their step, are the same


@declare("cubes", scaling=Scaling.BLOCKWISE)
@checked
def merge_cubes(cube1: Cube, cube2: Cube, overlap_resolver: OverlapResolver = None, context: Anything = None) -> Cube:
    """Merge two cubes into one that has the labels of both.

    Cubes with the same labels are combined block by block; cubes with other labels in one dimension are put side
    by side; where they overlap, the resolver decides. A dimension that one cube lacks is taken from the other. If
    the grids differ, the second cube is brought to the first one's, nearest pixel. Labels in space and time stay
    sorted; others of the second cube follow those of the first. Where neither cube has a value there is no-data.
    Geometries that cover the same points are one label; where both cubes have properties of it, the first one's count.

    Raises
    ------
    OverlapResolverMissing
        If the cubes overlap and no resolver is given.
    IncompatibleGeometryTypes
        If the cubes hold other kinds of geometries, or one of them pixels and the other geometries.
    """
    first, second, features = _numbered(dimensions.as_cube(cube1), dimensions.as_cube(cube2))
    first, second = _comparable(first, second)
    merged = _merged(first, second, overlap_resolver, context)
    if features is None:
        return merged
    kept = merged.coords[features.dimension].values
    properties = {key: column[kept] for key, column in features.properties.items()}
    return vectors.with_features(merged, features._replace(shapes=features.shapes[kept], properties=properties))


def _merged(first: xr.DataArray, second: xr.DataArray, overlap_resolver: Any, context: Any) -> xr.DataArray:
    """Two cubes, whose labels can be compared, in one."""
    second = _aligned(first, _turned(first, second))
    resolver = None if overlap_resolver is None else trace(overlap_resolver, "x", "y", context=context)
    differing = [d for d in first.dims if d in second.dims and not _equal(_labels(first, d), _labels(second, d))]
    if not differing:
        return blocks.combine(_needed(resolver, first.dims), first, second)
    first, second = _labelled(first, differing), _labelled(second, differing)
    if len(differing) == 1:
        first, second = _spread(first, second), _spread(second, first)
        return _side_by_side(first, second.transpose(*first.dims), differing[0], resolver)
    return _padded(first, second, differing, resolver)


def _needed(resolver: Expression | None, dims: Sequence[Any]) -> Expression:
    if resolver is None:
        raise OverlapResolverMissing(f"the cubes overlap in {tuple(map(str, dims))}: give an overlap_resolver")
    return resolver


def _numbered(first: xr.DataArray, second: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, vectors.Features | None]:
    """Two cubes whose geometries are numbers that count in the features of both; none where they share no geometries.

    Raises
    ------
    IncompatibleGeometryTypes
        If the cubes hold other kinds of geometries, or one of them pixels and the other geometries.
    ProcessParameterInvalid
        If the geometries have other CRSs.
    """
    here, there = (dimensions.of_role(cube, "geometry") for cube in (first, second))
    if bool(here) != bool(there) and dimensions.of_role(second if here else first, "x", "y"):
        raise IncompatibleGeometryTypes(f"one cube is of geometries, the other of pixels: {first.dims}, {second.dims}")
    if not here or here != there:
        return first, second, None
    mine, theirs = vectors.read(first, "cube1"), vectors.read(second, "cube2")
    kinds = [{_kind(shape) for shape in found.shapes if not shape.is_empty} for found in (mine, theirs)]
    if all(kinds) and kinds[0] != kinds[1]:
        raise IncompatibleGeometryTypes(f"cube1 holds {sorted(kinds[0])}, cube2 {sorted(kinds[1])}")
    crss = [found.crs or vectors.LONGITUDE_LATITUDE for found in (mine, theirs)]
    if crss[0] != crss[1]:
        raise ProcessParameterInvalid(f"geometries in {crss[0].name} and in {crss[1].name}: bring cube2 to cube1's CRS")
    numbers = _numbers(mine.shapes, theirs.shapes)
    new = [int(np.flatnonzero(numbers == n)[0]) for n in range(len(mine.shapes), int(numbers.max(initial=-1)) + 1)]
    properties = {key: _joined(mine, theirs, key, new) for key in {**mine.properties, **theirs.properties}}
    both = vectors.Features(np.concatenate([mine.shapes, theirs.shapes[new]]), mine.crs, properties, mine.dimension)
    counted = np.arange(len(mine.shapes))
    return _renumbered(first, mine.dimension, counted), _renumbered(second, mine.dimension, numbers), both


def _kind(shape: Any) -> str:
    """The kind of a geometry, the same for several of them in one."""
    return str(shape.geom_type).removeprefix("Multi").replace("LinearRing", "LineString")


def _joined(mine: vectors.Features, theirs: vectors.Features, key: str, new: Sequence[int]) -> np.ndarray:
    """A property of all geometries of one cube and of the new ones of another."""
    known, others = mine.properties.get(key), theirs.properties.get(key)
    if known is not None and not new:
        return known
    if known is not None and others is not None and known.dtype == others.dtype:
        return np.concatenate([known, others[list(new)]])
    first = [None] * len(mine.shapes) if known is None else known.astype(object).tolist()
    second = [None] * len(theirs.shapes) if others is None else others.astype(object).tolist()
    return vectors.column([*first, *(second[i] for i in new)])


def _numbers(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The positions of their geometries among mine, by the points that they cover and each once; others count on."""
    known: dict[tuple[float, ...], list[int]] = {}
    for i, key in enumerate(_extents(mine)):
        known.setdefault(key, []).append(i)
    found, count = [], len(mine)
    for shape, key in zip(theirs, _extents(theirs), strict=True):
        same = next((i for i in known.get(key, ()) if shapely.equals(mine[i], shape)), count)
        if same == count:
            count += 1
        else:
            known[key].remove(same)
        found.append(same)
    return np.array(found, np.int64)


def _extents(shapes: np.ndarray) -> list[tuple[float, ...]]:
    """What is equal where geometries cover the same points; nothing of empty ones."""
    return [() if math.isnan(one[0]) else tuple(one) for one in shapely.bounds(shapes).tolist()]


def _renumbered(cube: xr.DataArray, dimension: str, numbers: np.ndarray) -> xr.DataArray:
    """A cube with numbers for its geometries, and without what else is known of them."""
    stale = [n for n, c in cube.coords.items() if dimension in c.dims]
    return cube.drop_vars(stale).assign_coords({dimension: (dimension, numbers, {dimensions.ROLE: "geometry"})})


def _with_instants(cube: xr.DataArray, name: Any) -> xr.DataArray:
    """The cube with instants for labels that were written in another way."""
    moments = instants(cube, name).astype("datetime64[ns]")
    return cube.assign_coords({name: (name, moments, cube.coords[name].attrs if name in cube.coords else {})})


def _comparable(first: xr.DataArray, second: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Two cubes of which the labels can be compared: instants are instants in both, however they were written.

    Raises
    ------
    ProcessParameterInvalid
        If labels cannot be compared, or if those that differ repeat or lack a value.
    """
    for name in (str(d) for d in first.dims if d in second.dims):
        mine, theirs = _labels(first, name), _labels(second, name)
        temporal = {dimensions.role(first, name), dimensions.role(second, name)} == {"temporal"}
        if temporal and mine.dtype.kind != theirs.dtype.kind and {mine.dtype.kind, theirs.dtype.kind} & {"M", "O"}:
            first, second = _with_instants(first, name), _with_instants(second, name)
            mine, theirs = _labels(first, name), _labels(second, name)
        kinds = [_KINDS.get(labels.dtype.kind, "mixed") for labels in (mine, theirs)]
        ordered = dimensions.role(first, name) in ("x", "y", "z", "temporal")
        if ordered and mine.size and theirs.size and kinds[0] != kinds[1]:
            raise ProcessParameterInvalid(f"labels of {name!r} are {kinds[0]} in cube1 and {kinds[1]} in cube2")
        for given, labels in (("cube1", mine), ("cube2", theirs)) if not _equal(mine, theirs) else ():
            if labels.dtype.kind in "fM" and (labels != labels).any():
                raise ProcessParameterInvalid(f"a label of {name!r} in {given} has no value, so it equals none")
            if len(set(labels.tolist())) < labels.size:
                raise ProcessParameterInvalid(f"labels of {name!r} in {given} repeat, and those of the cubes differ")
    return first, second


def _turned(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    """The second cube with spatial labels that ascend or descend as those of the first do."""
    for dimension in dimensions.of_role(first, "x", "y", "z"):
        if dimension in second.dims and min(first.sizes[dimension], second.sizes[dimension]) > 1:
            mine, theirs = _labels(first, dimension), _labels(second, dimension)
            if (mine[0] < mine[-1]) != (theirs[0] < theirs[-1]):
                second = second.isel({dimension: slice(None, None, -1)})
    return second


def _labelled(cube: xr.DataArray, names: Sequence[Any]) -> xr.DataArray:
    """The cube with labels that count up from zero where a dimension has none."""
    return cube.assign_coords({d: _labels(cube, d) for d in names if d not in cube.coords})


def _aligned(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    """The second cube with the grid of the first, with labels that are almost equal made equal."""
    spatial = [d for d in dimensions.of_role(first, "x", "y") if d in second.dims]
    other_grid = any(
        first.sizes[d] > 1 and second.sizes[d] > 1 and not _same_step(_labels(first, d), _labels(second, d))
        for d in spatial
    )
    crs1, crs2 = dimensions.crs(first), dimensions.crs(second)
    if len(spatial) == 2 and (other_grid or (crs1 is not None and crs2 is not None and crs1 != crs2)):
        return resample_cube_spatial(second, first)
    for dimension in first.dims:
        if dimension in second.dims and dimension in first.coords and dimension in second.coords:
            mine, theirs = _labels(first, dimension), _labels(second, dimension)
            if len(mine) == len(theirs) and set(mine) == set(theirs) and not _equal(mine, theirs):
                order = np.argsort(theirs)[np.argsort(np.argsort(mine))]
                second = second.isel({dimension: order})
            elif _equal(mine, theirs):
                if not np.array_equal(mine, theirs):
                    second = second.assign_coords({dimension: first.coords[dimension]})
            elif mine.dtype.kind == "f" and theirs.dtype.kind == "f":
                snapped = second.coords[dimension].copy(data=_snapped(mine, theirs))
                second = second.assign_coords({dimension: snapped})
    return second


def _snapped(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Labels that are almost those of the first cube, made equal to them."""
    if not mine.size or not theirs.size:
        return theirs
    known = np.sort(mine)
    step = abs(mine[1] - mine[0]) if mine.size > 1 else 1.0
    places = np.clip(np.searchsorted(known, theirs), 1, max(known.size - 1, 1))
    below, above = known[places - 1], known[np.minimum(places, known.size - 1)]
    nearest = np.where(np.abs(theirs - below) < np.abs(theirs - above), below, above)
    return np.where(np.abs(theirs - nearest) <= FLOAT_TOLERANCE * step, nearest, theirs)


def _same_step(mine: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two grids of pixel centres have the same step and lie on each other."""
    step = mine[1] - mine[0]
    offset = (theirs[0] - mine[0]) / step
    return bool(
        np.isclose(theirs[1] - theirs[0], step, rtol=FLOAT_TOLERANCE)
        and abs(offset - np.round(offset)) < FLOAT_TOLERANCE
    )


def _labels(cube: xr.DataArray, dimension: Any) -> np.ndarray:
    known = cube.coords.variables
    return known[dimension].values if dimension in known else np.arange(cube.sizes[dimension])


def _equal(mine: np.ndarray, theirs: np.ndarray) -> bool:
    if mine.shape != theirs.shape:
        return False
    if mine.dtype.kind == "f" and theirs.dtype.kind == "f":
        step = abs(mine[1] - mine[0]) if mine.size > 1 else 1.0
        return bool(np.all(np.abs(mine - theirs) <= FLOAT_TOLERANCE * step))
    return bool(np.array_equal(mine, theirs))


def _union(first: xr.DataArray, second: xr.DataArray, dimension: Any) -> np.ndarray:
    """All labels: sorted in space and time, in the direction of the first cube; else in the order of the cubes."""
    mine, theirs = _labels(first, dimension), _labels(second, dimension)
    joined = np.concatenate([mine, theirs[~np.isin(theirs, mine)]])
    if dimensions.role(first, dimension) in ("x", "y", "z", "temporal"):
        joined = np.sort(joined)
        if mine.size > 1 and mine[0] > mine[-1]:
            joined = joined[::-1]
    return joined


def _side_by_side(
    first: xr.DataArray, second: xr.DataArray, dimension: Any, resolver: Expression | None
) -> xr.DataArray:
    """Cubes that differ in the labels of one dimension: what is in one, in both and in the other, put together."""
    if dimensions.nodata(first) != dimensions.nodata(second) and (first.dtype != second.dtype or _gapped(second)):
        first, second = blocks.without_nodata(first), blocks.without_nodata(second)
    mine, theirs = _labels(first, dimension), _labels(second, dimension)
    shared = np.isin(mine, theirs)
    parts = [first]
    if shared.any():
        both = blocks.combine(
            _needed(resolver, first.dims),
            first.isel({dimension: np.flatnonzero(shared)}),
            second.isel({dimension: [int(np.flatnonzero(theirs == label)[0]) for label in mine[shared]]}),
        )
        parts = [first.isel({dimension: np.flatnonzero(~shared)}), both] if not shared.all() else [both]
    only = ~np.isin(theirs, mine)
    if only.any():
        parts.append(second if only.all() else second.isel({dimension: np.flatnonzero(only)}))
    merged = _concatenated(_with_same_coordinates(parts, dimension), dimension)
    merged.attrs = dict(first.attrs)
    wanted = _union(first, second, dimension)
    have = merged.coords[dimension].values if dimension in merged.coords else wanted
    if not np.array_equal(have, wanted):
        merged = merged.isel({dimension: [int(np.flatnonzero(have == label)[0]) for label in wanted]})
    return dimensions.with_role(merged, dimension, dimensions.role(first, dimension))


def _spread(cube: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """A cube that has the dimensions of another too: its values are the same at each label of those that it lacks."""
    lacked = [d for d in other.dims if d not in cube.dims]
    if not lacked:
        return cube
    base = other if set(cube.dims) <= set(other.dims) else cube
    dims = [*base.dims, *(d for d in lacked if d not in base.dims)]
    values = blocks.arranged(cube, dims)
    shape = tuple((cube if d in cube.dims else other).sizes[d] for d in dims)
    if isinstance(cube.data, da.Array) or isinstance(other.data, da.Array):
        sizes = {d: (n,) for one in (cube, other) for d, n in one.sizes.items()}
        cut = {**sizes, **other.chunksizes, **cube.chunksizes}
        spread = da.broadcast_to(da.asarray(values), shape, chunks=tuple(cut[d] for d in dims))
    else:
        spread = np.broadcast_to(values, shape)
    coordinates = {n: c for n, c in other.coords.items() if set(c.dims) <= set(lacked) and n not in cube.coords}
    made = xr.DataArray(spread, dims=dims, coords={**coordinates, **cube.coords}, attrs=cube.attrs)
    made.name, made.encoding = cube.name, cube.encoding
    return made


def _gapped(cube: xr.DataArray) -> bool:
    return cube.dtype.kind == "f" or dimensions.nodata(cube) is not None


def _concatenated(parts: list[xr.DataArray], dimension: Any) -> xr.DataArray:
    if len(parts) == 1:
        return parts[0]
    return xr.concat(parts, dimension, coords="minimal", compat="override", join="override", combine_attrs="override")


def _with_same_coordinates(parts: list[xr.DataArray], dimension: Any) -> list[xr.DataArray]:
    """Cubes that have the same coordinates along a dimension: texts are empty where they were missing."""
    along = {n: c for p in parts for n, c in p.coords.items() if dimension in c.dims and n != dimension}
    for name, coordinate in along.items():
        if coordinate.dtype.kind in "OUT" and coordinate.ndim == 1:
            parts = [
                p if name in p.coords else p.assign_coords({name: (dimension, [""] * p.sizes[dimension])})
                for p in parts
            ]
        elif not all(name in p.coords for p in parts):
            parts = [p.drop_vars([name], errors="ignore") for p in parts]
    return parts


def _padded(
    first: xr.DataArray, second: xr.DataArray, differing: Sequence[Any], resolver: Expression | None
) -> xr.DataArray:
    """Cubes that differ in several dimensions: both are extended to all labels, gaps where they had none."""
    every = {d: _union(first, second, d) for d in differing}
    inside1 = {d: np.isin(every[d], _labels(first, d)) for d in differing}
    inside2 = {d: np.isin(every[d], _labels(second, d)) for d in differing}
    overlap = all((inside1[d] & inside2[d]).any() for d in differing)
    extended1 = _extended(blocks.without_nodata(first), every)
    extended2 = _extended(blocks.without_nodata(second), every)
    extended1, extended2 = _spread(extended1, extended2), _spread(extended2, extended1)
    both = blocks.combine(_needed(resolver, first.dims), extended1, extended2) if overlap else extended1
    dims = both.dims
    of1, of2 = _inside(inside1, dims), _inside(inside2, dims)
    values = _where(
        of1 & of2, both.data, _where(of1, blocks.arranged(extended1, dims), blocks.arranged(extended2, dims))
    )
    return both.copy(data=values)


def _extended(cube: xr.DataArray, every: dict[Any, np.ndarray]) -> xr.DataArray:
    return cube.reindex(every) if cube.dtype.kind == "f" else cube.astype(float).reindex(every)


def _inside(inside: dict[Any, np.ndarray], dims: Sequence[Any]) -> Any:
    """Where all labels are a cube's own, in the axes of the result."""
    mask = np.ones((1,) * len(dims), bool)
    for dimension, own in inside.items():
        shape = [1] * len(dims)
        shape[list(dims).index(dimension)] = own.size
        mask = mask & own.reshape(shape)
    return mask


def _where(condition: np.ndarray, yes: Any, no: Any) -> Any:
    return (
        da.where(condition, yes, no)
        if isinstance(yes, da.Array) or isinstance(no, da.Array)
        else np.where(condition, yes, no)
    )
