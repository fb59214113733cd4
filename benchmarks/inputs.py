"""The cubes that suites get: held in the cluster's memory, only drawn in the graph, or plain numpy."""

from __future__ import annotations

import functools
import operator
import os
import uuid
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import distributed
import numpy as np
import xarray as xr

SALT = "OPENEO_BENCHMARKS_SALT"
TIMEOUT = 120.0  # seconds
MOST_HELD = 4  # cubes; what is made of an input has another name each time, and would pile up

Preparation = Callable[[xr.DataArray], xr.DataArray]


@functools.cache
def salt() -> str:
    """What this run's keys have in them, so that no other run's blocks are taken for its own.

    Processes of one run share it through the environment: what one of them holds, the others find computed.
    """
    return os.environ.get(SALT) or uuid.uuid4().hex[:12]


def loaded(cube: Any) -> Any:
    """The cube, or bare array, as plain numpy, computed in this process."""
    return cube.compute(scheduler="threads")


class Held:
    """Holds cubes in the memory of a cluster's workers; each call gives blocks that no other worker has copied.

    A worker keeps what it once fetched from another one. A second run over the same blocks would move less than
    the first, so that each run gets them under new keys, which cost neither a copy nor a transfer.
    """

    def __init__(self, client: distributed.Client):
        self.client = client
        self.cubes: dict[str, tuple[xr.DataArray, xr.DataArray]] = {}

    def __call__(self, cube: xr.DataArray) -> xr.DataArray:
        name = cube.data.name
        if name not in self.cubes:
            computed = self.client.persist(cube)
            # What was computed is kept beside what was placed, or the next process would compute it again.
            self.cubes[name] = computed, self._placed(computed, f"held-{salt()}-{name}")
            if len(self.cubes) > MOST_HELD:
                del self.cubes[next(iter(self.cubes))]
        return self._placed(self.cubes[name][1], f"input-{uuid.uuid4().hex}")

    def _placed(self, cube: xr.DataArray, name: str) -> xr.DataArray:
        """The same blocks under other keys, in equal shares of neighbours on the workers."""
        workers = sorted(self.client.scheduler_info(n_workers=-1)["workers"])
        futures = {future.key: future for future in distributed.futures_of(cube)}
        keys = list(dask.core.flatten(cube.data.__dask_keys__()))
        same = _itself()
        blocks: dict[Any, distributed.Future] = {}
        for number, worker in enumerate(workers):
            share = keys[number * len(keys) // len(workers) : (number + 1) * len(keys) // len(workers)]
            graph = {(name, *key[1:]): (same, futures[key]) for key in share}
            placed = self.client.get(graph, list(graph), workers=[worker], allow_other_workers=True, sync=False)
            blocks.update(zip(graph, placed, strict=True))
        distributed.wait(list(blocks.values()), timeout=TIMEOUT)
        return cube.copy(data=da.Array(blocks, name, cube.data.chunks, meta=cube.data._meta))


def _itself() -> Callable[[Any], Any]:
    # Inside a function, so that it is pickled with its code: remote workers do not have this package.
    def itself(block: Any) -> Any:
        return block

    return itself


def on_workers(collection: Any) -> da.Array:
    """One small number that needs every block of a collection, made where the blocks are.

    One value is taken of each block: carrying or adding up all of them would be measured too.
    """
    arrays = [array for array in _arrays(collection) if array.size]
    return functools.reduce(operator.add, [_corners(array).sum() for array in arrays])


def _arrays(collection: Any) -> list[da.Array]:
    if isinstance(collection, da.Array):
        return [collection]
    if isinstance(collection, xr.Dataset):
        return [array for variable in collection.data_vars.values() for array in _arrays(variable)]
    if isinstance(collection, xr.DataArray):
        return _arrays(collection.data)
    raise TypeError(f"a suite builds a lazy cube, not {type(collection).__name__}")


def _corners(array: da.Array) -> da.Array:
    def corner(block: Any) -> Any:
        return block[(slice(0, 1),) * block.ndim].astype("float64")

    chunks = tuple((1,) * count for count in array.numblocks)
    meta = np.empty((0,) * array.ndim)
    name = f"corner-{uuid.uuid4().hex}"  # new at each call, or a scheduler that still has the result would give it
    return da.map_blocks(corner, array, dtype="float64", chunks=chunks, meta=meta, name=name)
