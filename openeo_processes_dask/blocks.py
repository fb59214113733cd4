"""How a child process meets the blocks of a cube: one task per block wherever its scaling allows."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed

from openeo_processes_dask import grouping, lazy, places, reducing, rows
from openeo_processes_dask.declare import declared
from openeo_processes_dask.dimensions import labels, nodata, role, with_indexes, with_role
from openeo_processes_dask.expressions import Expression
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.passages import Passage, passage
from openeo_processes_dask.vocabulary import Scaling

LARGEST_IN_TASK = 2**16  # bytes of a child process that may lie in each task
MOST_TRIED = 2**16  # values of a row on which a reducer is tried: all the pixels of a cube can be too many


def apply(expression: Expression, cube: xr.DataArray) -> xr.DataArray:
    """Run a child process of `x` on each value."""
    expression = places.prepared(expression)
    with places.trial(expression, cube):
        way = passage(expression, {"x": ((1,) * cube.ndim, cube.dtype)}, nodata(cube), {})
    run = places.placed(functools.partial(_on_values, expression, ("x",), way), expression, cube)
    return like(cube, blockwise(run, way.dtype, cube.data), way)


def combine(expression: Expression, cube1: xr.DataArray, cube2: xr.DataArray) -> xr.DataArray:
    """Run a child process of `x` and `y` on the values of two cubes whose shared labels are equal.

    A dimension that one of them lacks is taken from the other: its values meet each label there.
    """
    base, other = (cube1, cube2) if set(cube2.dims) <= set(cube1.dims) else (cube2, cube1)
    fill = nodata(cube1)
    if nodata(cube2) != fill:
        cube1, cube2, fill = without_nodata(cube1), without_nodata(cube2), None
    dims = (*base.dims, *(d for d in other.dims if d not in base.dims))
    one = (1,) * len(dims)
    way = passage(expression, {"x": (one, cube1.dtype), "y": (one, cube2.dtype)}, fill, {})
    run = functools.partial(_on_values, expression, ("x", "y"), way)
    values = blockwise(run, way.dtype, arranged(cube1, dims), arranged(cube2, dims))
    result = _cube(values, dims, {**other.coords, **base.coords}, cube1)
    return like(result, values, way)


def arranged(cube: xr.DataArray, dims: Sequence[Any]) -> Any:
    """The values of a cube with its axes in the order of some dimensions, of length one where it lacks one."""
    present = [d for d in dims if d in cube.dims]
    values = cube.transpose(*present).data
    return (
        values[tuple(slice(None) if d in cube.dims else np.newaxis for d in dims)]
        if len(present) < len(dims)
        else values
    )


def reduce(expression: Expression, cube: xr.DataArray, dimension: str) -> xr.DataArray:
    """Run a child process of the array `data` on each row of a dimension, which then is gone.

    A dimension in one chunk costs one task per block. One in several chunks is combined from partial results where
    the child process allows that, and brought into one chunk where it does not.
    """
    axis = cube.get_axis_num(dimension)
    expression = places.prepared(expression)
    engine = _engine(expression, cube, dimension)
    with places.trial(expression, cube, axis):
        way = passage(expression, {"data": (_row(cube.shape, axis, MOST_TRIED), cube.dtype)}, nodata(cube), engine)
    kept = {name: c for name, c in cube.coords.items() if dimension not in c.dims}
    dims = [d for d in cube.dims if d != dimension]
    data = cube.data
    tree = expression.scaling is Scaling.TREE and isinstance(data, da.Array)
    tree = tree and _worth_a_tree(expression, data, axis, way, engine)
    values = _on_dask(expression, data, way, {**engine, "keepdims": False}) if tree else None
    if values is None or values.ndim != len(dims):
        run = places.placed(functools.partial(_on_rows, expression, way, engine), expression, cube, axis)
        values = _rowwise(run, data, axis, None, way.dtype)
    return like(_cube(values, dims, kept, cube), values, way)


def along(expression: Expression, cube: xr.DataArray, dimension: str, target: str | None = None) -> xr.DataArray:
    """Run a child process of the array `data` on each row of a dimension, which becomes the array it returns.

    Labels stay where the dimension and its length do; else they count up from zero.
    """
    axis = cube.get_axis_num(dimension)
    expression = places.prepared(expression)
    engine = _engine(expression, cube, dimension)
    shape = _row(cube.shape, axis)
    with places.trial(expression, cube, axis):
        way = passage(expression, {"data": (shape, cube.dtype)}, nodata(cube), engine)
        length = _length(expression, shape, axis, cube.dtype, engine)
    run = places.placed(functools.partial(_on_arrays, expression, way, engine, length), expression, cube, axis)
    if expression.scaling is Scaling.BLOCKWISE and length == cube.sizes[dimension] and not _uses_labels(expression):
        values = blockwise(functools.partial(_on_values, expression, ("data",), way), way.dtype, cube.data)
    elif expression.scaling is Scaling.SCAN and isinstance(cube.data, da.Array) and cube.data.numblocks[axis] > 1:
        values = _on_dask(expression, cube.data, way, engine)
    else:
        values = _rowwise(run, cube.data, axis, length, way.dtype)
    new = dimension if target is None else target
    dims = [new if d == dimension else d for d in cube.dims]
    kept = {name: c for name, c in cube.coords.items() if dimension not in c.dims}
    result = _cube(values, dims, kept, cube)
    if new == dimension and length == cube.sizes[dimension]:
        result = result.assign_coords({n: c for n, c in cube.coords.items() if dimension in c.dims})
    else:
        result = with_role(result.assign_coords({new: np.arange(length)}), new, _role_of(cube, dimension, target))
    return like(result, values, way)


def grouped(
    expression: Expression, cube: xr.DataArray, dimension: str, groups: Sequence[Sequence[int]], names: Sequence[Any]
) -> xr.DataArray:
    """Run a child process of the array `data` on groups of labels of a dimension; each becomes one label.

    A dimension in few chunks costs one task for all of them. In one that lies in many, groups that begin in the same
    chunk are made in one task of the chunks, or slices of them, that hold their values: about two tasks per chunk.
    """
    axis = cube.get_axis_num(dimension)
    engine = _engine(expression, cube, dimension)
    way = passage(expression, {"data": (_row(cube.shape, axis), cube.dtype)}, nodata(cube), engine)
    if not all(len(group) for group in groups):
        way = way.with_nothing(expression, _row(cube.shape, axis, 0), cube.dtype, engine)
    known = np.asarray(engine["dim_labels"], dtype=object) if "dim_labels" in engine else None
    members = () if known is None else tuple(map(tuple, groups))
    statistic = _Groups(expression, way, engine, known, members, cube.ndim, cube.dtype)
    data = cube.data
    if isinstance(data, da.Array) and data.numblocks[axis] > lazy.MOST_BLOCKS_TOGETHER:
        values = grouping.on_dask(statistic, data, axis, groups, way.dtype, statistic.combines())
    else:
        made = tuple(map(tuple, groups))
        run = functools.partial(grouping.on_array, statistic, axis=axis, groups=made, dtype=way.dtype)
        if statistic.at_once():
            run = functools.partial(statistic.together, groups=made)
        values = _rowwise(run, data, axis, len(groups), way.dtype)
    kept = {name: c for name, c in cube.coords.items() if dimension not in c.dims}
    result = _cube(values, cube.dims, kept, cube)
    return like(result.assign_coords({dimension: list(names)}), values, way)


def _worth_a_tree(expression: Expression, data: da.Array, axis: int, way: Passage, engine: Mapping[str, Any]) -> bool:
    """Whether partial results are much less than the blocks of a row, or these are too many for one task.

    Blocks of several workers would meet as they are, so that partial results move fewer bytes. Where these are no
    less than half as large, as the totals and counts of a mean of a few dates, to make them costs more than it saves.
    """
    blocks, lengths = data.numblocks[axis], max(data.chunks[axis])
    if blocks == 1 or blocks > lazy.MOST_BLOCKS_TOGETHER:
        return blocks > 1
    sample = np.ones(
        _row(data.shape, axis, MOST_TRIED), data.dtype
    )  # a whole row: some of its elements may be asked for
    begun = reducing.begun(lambda: _on_arrays(expression, way, engine, 1, sample))
    partial = sum(part.nbytes for _, parts in begun for part in parts)
    return bool(begun) and 2 * partial < lengths * data.dtype.itemsize


def _engine(expression: Expression, cube: xr.DataArray, dimension: str) -> dict[str, Any]:
    """What a child process of rows is told: the axis, and the labels along it if it asks for them."""
    known = {"dim_labels": labels(cube, dimension)} if _uses_labels(expression) else {}
    return {"axis": cube.get_axis_num(dimension), "keepdims": True, **known}


def like(cube: xr.DataArray, values: Any, way: Passage) -> xr.DataArray:
    """A cube with other values, which says what its no-data value is."""
    result = undeclared(cube.copy(data=values))
    result.encoding = {k: v for k, v in cube.encoding.items() if k == "grid_mapping"}
    if way.keeps_nodata:
        declared = {k: v for k, v in cube.attrs.items() if k not in result.attrs}
        result.attrs = {**result.attrs, **(declared or {"nodata": way.fill})}
    return result


def undeclared(cube: xr.DataArray) -> xr.DataArray:
    """A cube that declares no no-data value."""
    result = cube.copy(deep=False)
    result.attrs = {k: v for k, v in cube.attrs.items() if k not in ("nodata", "_FillValue", "missing_value")}
    result.encoding = {k: v for k, v in cube.encoding.items() if k not in ("_FillValue", "missing_value")}
    return result


def without_nodata(cube: xr.DataArray) -> xr.DataArray:
    """A cube with NaN for its gaps instead of a declared no-data value."""
    fill = nodata(cube)
    if fill is None:
        return cube
    way = Passage(fill, False, missing.float_of(cube.dtype))
    return like(cube, blockwise(way.enter, way.dtype, cube.data), way)


def _cube(values: Any, dims: Sequence[Any], coordinates: Mapping[Any, Any], source: xr.DataArray) -> xr.DataArray:
    result = xr.DataArray(values, dims=dims, coords=coordinates, attrs=source.attrs)
    result.name = source.name  # said afterwards, for a cube without a name would be given that of its dask array
    result.encoding = source.encoding
    return with_indexes(result, source)


# --- the layouts


def blockwise(run: Callable[..., Any], dtype: np.dtype, *arrays: Any) -> Any:
    """One task per block on arrays with as many axes, which are broadcast."""
    if not any(isinstance(a, da.Array) for a in arrays):
        return run(*arrays)
    if isinstance(run, places.Placed):
        run, carried = _shared(run)
        return da.map_blocks(run, *arrays, dtype=dtype, meta=np.empty((0,) * arrays[0].ndim, dtype), **carried)
    axes = tuple(range(arrays[0].ndim))
    meta = np.empty((0,) * len(axes), dtype)
    pairs = [part for array in arrays for part in (array, axes)]
    run, carried = _shared(run)
    return da.blockwise(run, axes, *pairs, dtype=dtype, meta=meta, **carried)


def _shared(run: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A function for blocks and what it needs beside them: a large one is a task of its own, and lies in no other."""
    try:
        large = len(cloudpickle.dumps(run)) > LARGEST_IN_TASK
    except (TypeError, AttributeError, pickle.PicklingError):  # threads do not need to pickle it
        large = False
    if not large:
        return run, {}
    on_shared = _on_shared_placed if isinstance(run, places.Placed) else _on_shared
    return on_shared, {"program": delayed(run, pure=True, traverse=False)}


def _on_shared(*blocks: np.ndarray, program: Callable[..., Any]) -> Any:
    return program(*blocks)


def _on_shared_placed(
    *blocks: np.ndarray, program: Callable[..., Any], block_id: tuple[int, ...] | None = None
) -> np.ndarray:
    return program(*blocks, block_id=block_id)


def _rowwise(run: Callable[..., Any], data: Any, axis: int, length: int | None, dtype: np.dtype) -> Any:
    """Run on blocks that hold whole rows; the axis gets another length, or goes where that is None."""
    if not isinstance(data, da.Array):
        return run(data)
    if not isinstance(run, places.Placed):
        run, carried = _shared(run)
        return rows.rowwise(run, data, axis, dtype, length, **carried)
    data = rows.meeting(data, axis).rechunk({axis: -1})
    run, carried = _shared(places.Placed(run.run, run.place, data.chunks))
    meta = np.empty((0,) * (data.ndim - (length is None)), dtype)
    if length is None:
        return da.map_blocks(run, data, dtype=dtype, meta=meta, drop_axis=axis, **carried)
    chunks = tuple((length,) if i == axis else c for i, c in enumerate(data.chunks))
    return da.map_blocks(run, data, dtype=dtype, meta=meta, chunks=chunks, **carried)


def _on_dask(expression: Expression, data: da.Array, way: Passage, engine: Mapping[str, Any]) -> Any:
    """Run the child process on the whole dask array: its processes know how blocks of a row meet."""
    entered = data if way.fill is None else blockwise(way.enter, way.enter(np.ones(1, data.dtype)).dtype, data)
    result = expression({"data": entered}, **engine)
    if not isinstance(result, da.Array):
        return None
    if result.dtype == way.dtype and not way.keeps_nodata:
        return result
    return da.map_blocks(_leave, way, result, dtype=way.dtype, meta=np.empty((0,) * result.ndim, way.dtype))


# --- what runs in a task


def _leave(way: Passage, block: np.ndarray) -> np.ndarray:
    return way.leave(block, block.shape)


def _on_values(expression: Expression, names: Sequence[str], way: Passage, *blocks: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        result = expression({name: way.enter(block) for name, block in zip(names, blocks, strict=True)})
    return way.leave(result, np.broadcast_shapes(*(b.shape for b in blocks)))


def _on_rows(expression: Expression, way: Passage, engine: Mapping[str, Any], block: np.ndarray) -> np.ndarray:
    axis = engine["axis"]
    return np.squeeze(_on_arrays(expression, way, engine, 1, block), axis)


def _on_arrays(
    expression: Expression, way: Passage, engine: Mapping[str, Any], length: int, block: np.ndarray
) -> np.ndarray:
    axis = engine["axis"]
    with np.errstate(all="ignore"):
        result = expression({"data": way.enter(block)}, **engine)
    return way.leave(
        _aligned(result, axis, block.ndim), tuple(length if i == axis else n for i, n in enumerate(block.shape))
    )


@dataclass(frozen=True)
class _Groups:
    """A child process on groups of rows, whose labels it may ask for."""

    expression: Expression
    way: Passage
    engine: Mapping[str, Any]
    labels: np.ndarray | None
    groups: tuple[tuple[int, ...], ...]
    ndim: int
    dtype: np.dtype

    def whole(self, block: np.ndarray, number: int) -> np.ndarray:
        """The result of a group, on an axis of length one."""
        said = self.engine
        if self.labels is not None:
            said = {**said, "dim_labels": self.labels[list(self.groups[number])].tolist()}
        return _on_arrays(self.expression, self.way, said, 1, block)

    def together(self, block: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
        """The results of all groups of rows of a block, of which the child process runs once."""
        values, _ = self._reduced(block, groups)
        shape = tuple(len(groups) if i == self.engine["axis"] else n for i, n in enumerate(block.shape))
        return self.way.leave(_aligned(values, self.engine["axis"], block.ndim), shape)

    def at_once(self) -> bool:
        """Whether groups can be reduced together: where the child process makes all of reduced rows, one value each."""
        number = 0 if self.labels is not None else grouping.reducers(self.expression)
        if not number:
            return False
        axis, groups = self.engine["axis"], [[0], [0, 1]] * 2
        values, met = self._reduced(np.ones(tuple(2 if i == axis else 1 for i in range(self.ndim)), self.dtype), groups)
        return met == number and np.shape(values) == tuple(4 if i == axis else 1 for i in range(self.ndim))

    def _reduced(self, block: np.ndarray, groups: Sequence[Sequence[int]]) -> tuple[Any, int]:
        entered = {"data": self.way.enter(block)}
        with np.errstate(all="ignore"):
            return reducing.grouped(lambda: self.expression(entered, **self.engine), groups)

    def begin(self, block: np.ndarray) -> reducing.Parts:
        """Partial results of rows of a group."""
        return reducing.begun(lambda: _on_arrays(self.expression, self.way, self.engine, 1, block))

    def finish(self, parts: reducing.Parts) -> np.ndarray:
        """The result of a group from its partial results; without any, that of no rows."""
        if not parts:
            shape = tuple(0 if i == self.engine["axis"] else 1 for i in range(self.ndim))
            return _on_arrays(self.expression, self.way, self.engine, 1, np.empty(shape, self.dtype))
        one = self.way.enter(np.ones((1,) * self.ndim, self.dtype))
        with np.errstate(all="ignore"):
            result = reducing.finished(lambda: self.expression({"data": one}, **self.engine), parts)
        values = np.asarray(_aligned(result, self.engine["axis"], self.ndim))
        return self.way.leave(values, values.shape)

    def combines(self) -> bool:
        """Whether the results can be made of partial results of each of its statistics."""
        if self.labels is not None or self.expression.scaling is not Scaling.TREE:
            return False
        processes = [(declared(node.function), node.arguments.get("data")) for node in self.expression.nodes]
        gathering = [p for p, data in processes if p and p.scaling is Scaling.TREE and not isinstance(data, list)]
        return len(self.begin(np.ones((1,) * self.ndim, self.dtype))) == len(gathering)


def _aligned(result: Any, axis: int, ndim: int) -> Any:
    """A result that lost its axis gets it back, with length one; a list is an array along the axis."""
    if isinstance(result, (list, tuple)):
        parts = [_aligned(np.nan if part is None else part, axis, ndim) for part in result]
        shape = np.broadcast_shapes(*(np.shape(p) for p in parts)) if parts else (0,) * ndim
        full = [np.broadcast_to(p, shape if len(shape) == ndim else (1,) * ndim) for p in parts]
        return np.concatenate(full, axis) if full else np.empty((0,) * ndim)
    values = np.asarray(np.nan if result is None else result)
    return np.expand_dims(values, axis) if 0 < values.ndim == ndim - 1 else values


def _length(expression: Expression, shape: tuple[int, ...], axis: int, dtype: Any, engine: Mapping[str, Any]) -> int:
    with np.errstate(all="ignore"):
        result = _aligned(expression({"data": np.ones(shape, dtype)}, **engine), axis, len(shape))
    return int(np.shape(result)[axis]) if np.ndim(result) == len(shape) else 1


def _row(shape: tuple[int, ...], axis: int, most: int | None = None) -> tuple[int, ...]:
    return tuple((n if most is None else min(n, most)) if i == axis else 1 for i, n in enumerate(shape))


def _uses_labels(expression: Expression) -> bool:
    return any("dim_labels" in node.engine for node in expression.nodes)


def _role_of(cube: xr.DataArray, dimension: str, target: str | None) -> str:
    return role(cube, dimension) if target in (None, dimension) else "other"
