"""Blocks of a cube as they are computed, here or where they are computed: nobody ever holds the whole."""

from __future__ import annotations

import concurrent.futures
import contextvars
import functools
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.base
import dask.core
import numpy as np
from dask.optimization import cull
from dask.task_spec import DataNode

from openeo_processes_dask.exceptions import StorageFailure

from . import workers
from .workers import TIMEOUT, Finish, Gate, Where, Write, limit

PATIENCE = 2.0  # seconds without a word; what is done by then needs no progress
MOST_TOLD = 4  # blocks that an error names
AHEAD = 2  # blocks for each thread of a cluster that are computed, or wait to be written, at a time


def each_block(values: Any, write: Write, label: str) -> None:
    """Compute the blocks of an array and hand each to `write` with its position; one call at a time, in this process.

    On a cluster the blocks come here. Blocks that share no work are sent to the cluster only as others have been
    written; blocks that share work go there together, so that nothing is computed twice. Elsewhere each thread waits
    with its block until it is written.
    """
    _write(values, write, None, label, None)


def where_computed(values: Any, write: Write, label: str, folder: Path, finish: Finish | None = None) -> None:
    """Have the blocks of an array written where they are computed, several at once.

    On a cluster the workers write, if they see the folder; otherwise the blocks come here one by one. `write` may be
    called with a block a second time, after the loss of a worker, and goes to the workers as a pickle; so does
    `finish`, which is called for each chunk along the first dimension after all of its blocks were written.
    """
    _write(values, write, finish, label, folder)


def collected(values: Any, label: str) -> np.ndarray:
    """All values of an array in this process, for what is small and written in one go."""
    whole = np.empty(values.shape, values.dtype)
    each_block(values, whole.__setitem__, label)
    return whole


def _write(values: Any, write: Write, finish: Finish | None, label: str, folder: Path | None) -> None:
    if not isinstance(values, da.Array):
        array = np.asarray(values)
        write(tuple(slice(0, size) for size in array.shape), array)
        if finish is not None:
            finish(slice(0, array.shape[0]))
        return
    with _Progress(values.npartitions, label) as progress:
        get = dask.base.get_scheduler(collections=[values])
        client = getattr(get, "__self__", None)
        if client is None or not hasattr(client, "scheduler_info"):
            scheduler = "synchronous" if get is dask.local.get_sync else "threads"
            _in_threads(values, _Target(values, write, finish, progress, serial=folder is None), scheduler)
        elif folder is not None and workers.all_see(client, folder):
            workers.write(client, values, write, finish, progress.step)
        else:
            _from_cluster(client, values, _Target(values, write, finish, progress, serial=True))


def _in_threads(values: da.Array, target: Any, scheduler: str) -> None:
    """Compute on this process's threads, as long as blocks are written; see the setting `openeo.save.timeout`."""
    try:
        if scheduler == "synchronous":  # this thread computes itself, so there is nobody to wait for
            da.store([values], [target], lock=False, scheduler=scheduler)
            return
        # nobody can end a thread: what hangs is left to itself, and finds the gate closed if it ever goes on
        store = functools.partial(da.store, [values], [target], lock=False, scheduler=scheduler)
        ended: concurrent.futures.Future[Any] = concurrent.futures.Future()
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(_run, store, ended), name="openeo-save", daemon=True).start()
        target.wait_for(ended)
        ended.result()
    finally:
        # when one block fails, dask does not wait for the others, and their files will be closed or gone
        target.gate.close()


def _run(function: Callable[[], Any], ended: concurrent.futures.Future[Any]) -> None:
    """Call a function, and hand on whatever comes of it, an interrupt too."""
    try:
        ended.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
        ended.set_exception(error)


class _Closed(Exception):
    """Nothing is written any more: ends the computation of what is left."""


class _Target:
    """What dask's `store` asks of a place to write to."""

    def __init__(
        self, values: da.Array, write: Write, finish: Finish | None, progress: _Progress, serial: bool
    ) -> None:
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.write, self.finish, self.progress = write, finish, progress
        self.gate = Gate(1 if serial else None)
        self.lock = threading.Lock()
        self.chunks = {one.start: one for (one,) in _positions(values.chunks[:1])} if values.ndim else {}
        self.missing = dict.fromkeys(self.chunks, values.npartitions // max(len(self.chunks), 1))
        self.waiting = dict.fromkeys(map(_said, _positions(values.chunks)))
        self.moved = time.monotonic()

    def __setitem__(self, where: Where, block: np.ndarray) -> None:
        with self.gate.entered() as is_open:
            if not is_open:
                raise _Closed
            self.write(where, block)
            with self.lock:
                self.progress.step()
                self.moved = time.monotonic()
                self.waiting.pop(_said(where), None)
                start = where[0].start if where else None
                if start in self.missing:
                    self.missing[start] -= 1
                complete = self.finish is not None and self.missing.get(start) == 0
            if complete and self.finish is not None:
                self.finish(self.chunks[start])

    def wait_for(self, ended: concurrent.futures.Future[Any]) -> None:
        """Wait until all is written.

        Raises
        ------
        StorageFailure
            If for too long no block was.
        """
        timeout = limit("timeout", TIMEOUT)
        while not concurrent.futures.wait([ended], max(self.moved + timeout - time.monotonic(), 0)).done:
            if time.monotonic() - self.moved >= timeout:
                with self.lock:
                    left, inside = list(self.waiting), self.gate.inside
                named = ", ".join(left[:MOST_TOLD]) + (", …" if len(left) > MOST_TOLD else "")
                doing = f"{inside} being written" if inside else "none being written, they are still computed"
                raise StorageFailure(
                    f"for {timeout:.0f} s no block was written; of {self.progress.total} blocks {len(left)} are "
                    f"missing, {doing}: {named}. The setting openeo.save.timeout allows more time"
                )

    def __dask_tokenize__(self) -> object:
        return "openeo-target", id(self)


def _from_cluster(client: Any, values: da.Array, target: _Target) -> None:
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
    ready = workers.in_time(client, queue)
    pending: dict[Any, Any] = {}
    try:
        while True:
            while len(pending) < most and (group := next(groups, None)) is not None:
                futures = client.get(cull(graph, group)[0], group, sync=False)
                pending.update(zip(group, futures, strict=True))
                queue.update(futures)
            if not pending:
                return
            future = next(ready)
            target[where[future.key]] = future.result()
            pending.pop(future.key).release()
    finally:
        client.cancel(list(pending.values()))


def _positions(chunks: tuple[tuple[int, ...], ...]) -> Iterator[Where]:
    slices = []
    for sizes in chunks:
        ends = [0, *itertools.accumulate(sizes)]
        slices.append([slice(start, end) for start, end in itertools.pairwise(ends)])
    return itertools.product(*slices)


def _said(where: Where) -> str:
    return "[" + ", ".join(f"{one.start}:{one.stop}" for one in where) + "]"


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
