"""The cubes that suites get: held in the cluster's memory, only drawn in the graph, or plain numpy."""

from __future__ import annotations

import functools
import operator
import os
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import dask.base
import dask.local
import distributed
import xarray as xr
from dask._task_spec import convert_legacy_graph

from . import metrics

SALT = "OPENEO_BENCHMARKS_SALT"
HELD = "OPENEO_BENCHMARKS_HELD"  # names of what the process that started this one holds until this one has ended
TIMEOUT = 120.0  # seconds

Preparation = Callable[[xr.DataArray], xr.DataArray]


@functools.cache
def salt() -> str:
    """What this run's keys have in them, so that no other run's blocks are taken for its own.

    Processes of one run share it through the environment: what one of them holds, the others find computed.
    """
    return os.environ.get(SALT) or uuid.uuid4().hex[:12]


def loaded(cube: Any) -> Any:
    """The cube, or bare array, as plain numpy, computed in this process; what holds no graph is that already."""
    (computed,) = dask.base.compute(cube, scheduler="threads")
    return computed


class Held:
    """Holds cubes in the memory of a cluster's workers; each call gives blocks that no other worker has copied.

    A worker keeps what it once fetched from another one. A second run over the same blocks would move less than
    the first, so that each run gets them under new keys, which cost neither a copy nor a transfer.
    """

    def __init__(self, client: distributed.Client, workers: Sequence[str] = ()):
        self.client = client
        self.workers = list(workers)  # on which they are held, and on no others; all if none are named
        self.cubes: dict[str, xr.DataArray] = {}

    def __call__(self, cube: xr.DataArray) -> xr.DataArray:
        own = f"input-{uuid.uuid4().hex}"
        if distributed.futures_of(cube):  # made of such blocks, and so a new one each time
            return self._placed(self._persisted(cube), own)
        # What has a name of its own is held to the end. A client that releases a key and asks for it again at the
        # same moment may find it cancelled, and the cluster's memory of a key may be on its way out: only what the
        # process that started this one promises to hold is taken from there.
        name = f"held-{salt()}-{cube.data.name}"
        if name not in self.cubes:
            shared = name in os.environ.get(HELD, "").split()
            self.cubes[name] = self._adopted(cube, name) if shared else self._placed(self._persisted(cube), name)
        return self._placed(self.cubes[name], own)

    def _adopted(self, cube: xr.DataArray, name: str) -> xr.DataArray:
        """What the process that started this one holds under this name."""
        keys = [(name, *key[1:]) for key in dask.core.flatten(cube.data.__dask_keys__())]
        blocks: dict[Any, distributed.Future] = {key: distributed.Future(key, self.client) for key in keys}
        return cube.copy(data=da.Array(blocks, name, cube.data.chunks, meta=cube.data._meta))

    def _persisted(self, cube: xr.DataArray) -> xr.DataArray:
        pinned: dict[str, Any] = {"workers": self.workers, "allow_other_workers": False} if self.workers else {}
        held: xr.DataArray = self.client.persist(cube, **pinned)
        return held

    def _placed(self, cube: xr.DataArray, name: str) -> xr.DataArray:
        """The same blocks under other keys, in equal shares of neighbours on the workers."""
        workers = self.workers or sorted(metrics.workers(self.client))
        futures = {future.key: future for future in distributed.futures_of(cube)}
        keys = list(dask.core.flatten(cube.data.__dask_keys__()))
        blocks: dict[Any, distributed.Future] = {}
        for number, worker in enumerate(workers):
            share = keys[number * len(keys) // len(workers) : (number + 1) * len(keys) // len(workers)]
            graph = {(name, *key[1:]): (dask.local.identity, futures[key]) for key in share}
            placed = self.client.get(
                graph, list(graph), workers=[worker], allow_other_workers=not self.workers, sync=False
            )
            blocks.update(zip(graph, placed, strict=True))
        distributed.wait(list(blocks.values()), timeout=TIMEOUT)
        return cube.copy(data=da.Array(blocks, name, cube.data.chunks, meta=cube.data._meta))


def on_workers(collection: Any) -> da.Array:
    """One small number that needs every block of a collection, made where the blocks are.

    One value is taken of each block: carrying or adding up all of them would be measured too.
    """
    arrays = [array for array in _arrays(collection) if array.size]
    return functools.reduce(operator.add, [_corners(array).sum() for array in arrays])


def streamed(collection: Any) -> dict[Any, Any]:
    """The optimized graph of one value of each block of a collection, as what writes blocks to a file: nobody adds up.

    A sum over all dimensions lets dask begin blocks that lie side by side along each of them, and hold what waits for
    its neighbours of all of those.
    """
    corners = [_corners(array) for array in _arrays(collection) if array.size]
    return {key: task for array in dask.base.optimize(*corners) for key, task in dict(array.__dask_graph__()).items()}


def ends(graph: dict[Any, Any]) -> list[Any]:
    """What in a graph nothing else needs, in its order."""
    needed = {key for task in convert_legacy_graph(graph).values() for key in task.dependencies}
    return [key for key in graph if key not in needed]


def _arrays(collection: Any) -> list[da.Array]:
    if isinstance(collection, da.Array):
        return [collection]
    if isinstance(collection, xr.Dataset):
        return [array for variable in collection.data_vars.values() for array in _arrays(variable)]
    if isinstance(collection, xr.DataArray):
        return _arrays(collection.data)
    raise TypeError(f"a suite builds a lazy cube, not {type(collection).__name__}")


def _corners(array: da.Array) -> da.Array:
    # A function inside a function goes with its code: this package workers do not have.
    first = (slice(0, 1),) * array.ndim

    def corner(block: Any) -> Any:
        return block[first].copy()  # for a view would keep its whole block in memory until it has been added up

    chunks = tuple((1,) * count for count in array.numblocks)
    name = f"corner-{uuid.uuid4().hex}"  # new at each call, or a scheduler that still has the result would give it
    return da.map_blocks(corner, array, dtype=array.dtype, chunks=chunks, meta=array._meta, name=name)
