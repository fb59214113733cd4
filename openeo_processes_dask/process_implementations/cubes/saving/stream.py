"""Blocks of a cube one after the other, as they are computed: nobody ever holds the whole."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dask
import dask.array as da
import dask.base
import dask.core
import numpy as np
from dask.optimization import cull
from dask.task_spec import DataNode

Where = tuple[slice, ...]
Write = Callable[[Where, np.ndarray], None]
PATIENCE = 2.0  # seconds without a word; what is done by then needs no progress
AHEAD = 2  # blocks for each thread of a cluster that are computed, or wait to be written, at a time


def each_block(values: Any, write: Write, label: str) -> None:
    """Compute the blocks of an array and hand each to `write` with its position; one call at a time.

    On a cluster the blocks come to this process, whose file system the workers need not share. Blocks that share
    no work are sent to the cluster only as others have been written; blocks that share work go there together, so
    that nothing is computed twice. Elsewhere each thread waits with its block until it is written.
    """
    if not isinstance(values, da.Array):
        array = np.asarray(values)
        write(tuple(slice(0, size) for size in array.shape), array)
        return
    with _Progress(values.npartitions, label) as progress:
        get = dask.base.get_scheduler(collections=[values])
        client = getattr(get, "__self__", None)
        if client is not None and hasattr(client, "scheduler_info"):
            _from_cluster(client, values, write, progress)
        else:
            _in_threads(values, write, progress, "synchronous" if get is dask.local.get_sync else "threads")


def _in_threads(values: da.Array, write: Write, progress: _Progress, scheduler: str) -> None:
    lock = threading.Lock()
    target: Any = _Target(values, write, progress)
    try:
        da.store([values], [target], lock=lock, scheduler=scheduler)
    finally:
        # when one block fails, dask does not wait for the others, and their files will be closed
        with lock:
            target.is_open = False


class _Target:
    """What dask's `store` asks of a place to write to."""

    is_open = True

    def __init__(self, values: da.Array, write: Write, progress: _Progress) -> None:
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.write, self.progress = write, progress

    def __setitem__(self, where: Where, block: np.ndarray) -> None:
        if self.is_open:
            self.write(where, block)
            self.progress.step()

    def __dask_tokenize__(self) -> object:
        return "openeo-target", id(self)


def _from_cluster(client: Any, values: da.Array, write: Write, progress: _Progress) -> None:
    from distributed import as_completed, futures_of

    (optimized,) = dask.base.optimize(values)
    work = dict(optimized.__dask_graph__())
    # What lies in the cluster's memory already is a future, which the optimized graph names and does not hold.
    graph = {future.key: future for future in futures_of(values)} | work
    keys = list(dask.core.flatten(optimized.__dask_keys__()))
    where = dict(zip(keys, _positions(optimized.chunks), strict=True))
    groups = _groups(work, keys)
    most = max(AHEAD * sum(client.nthreads().values()), 4)
    queue = as_completed(loop=client.loop)
    pending: dict[Any, Any] = {}
    try:
        while True:
            while len(pending) < most and (group := next(groups, None)) is not None:
                futures = client.get(cull(graph, group)[0], group, sync=False)
                pending.update(zip(group, futures, strict=True))
                queue.update(futures)
            if not pending:
                return
            future = next(queue)
            write(where[future.key], future.result())
            pending.pop(future.key).release()
            progress.step()
    finally:
        client.cancel(list(pending.values()))


def _positions(chunks: tuple[tuple[int, ...], ...]) -> Iterator[Where]:
    slices = []
    for sizes in chunks:
        ends = [0, *itertools.accumulate(sizes)]
        slices.append([slice(start, end) for start, end in itertools.pairwise(ends)])
    return itertools.product(*slices)


def _groups(graph: Mapping[Any, Any], keys: list[Any]) -> Iterator[list[Any]]:
    """The keys in groups that share no work with each other, in the order in which each group's first key comes."""
    owner: dict[Any, Any] = {}
    parent = {key: key for key in keys}

    def root(key: Any) -> Any:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for key in keys:
        waiting = [key]
        while waiting:
            task = waiting.pop()
            if task in owner:
                parent[root(key)] = root(owner[task])
            elif task in graph and not isinstance(graph[task], DataNode):  # a constant is no work
                owner[task] = key
                waiting.extend(dask.core.get_dependencies(graph, task))
    groups: dict[Any, list[Any]] = {}
    for key in keys:
        groups.setdefault(root(key), []).append(key)
    return iter(list(groups.values()))


class _Progress:
    """A line on the error stream, if somebody watches it and it takes long; the setting `openeo.progress` ends it."""

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label = total, label
        self.done = 0
        self.started = time.monotonic()
        self.watched = bool(dask.config.get("openeo.progress", True)) and sys.stderr.isatty()
        self.drawn = False

    def step(self) -> None:
        self.done += 1
        if self.watched and time.monotonic() - self.started > PATIENCE:
            share = self.done / self.total
            bar = "#" * round(30 * share)
            sys.stderr.write(f"\r{self.label} [{bar:<30}] {share:4.0%}")
            sys.stderr.flush()
            self.drawn = True

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.drawn:
            sys.stderr.write("\n")
