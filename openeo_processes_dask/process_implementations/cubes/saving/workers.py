"""Blocks written by the tasks that compute them, and an end of that on which one can rely."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.base
import dask.core
import numpy as np
from dask.highlevelgraph import HighLevelGraph
from dask.utils import format_bytes, parse_timedelta

from openeo_processes_dask.exceptions import FileContentInvalid, OpenEOException, StorageFailure

Where = tuple[slice, ...]
Write = Callable[[Where, np.ndarray], None]
Finish = Callable[[slice], None]
PATIENCE = 60  # seconds for the workers to say what they see, and for those that write to end
STANDSTILL = "60s"  # in which no block is written and no worker does anything
TIMEOUT = "1h"  # in which no block is written, whatever the workers do
MOST_TOLD = 8  # workers that an error names
LOOKS = 10  # how often the workers are looked at until it is called a standstill


class Gate:
    """Lets writers in until it is closed; closing waits for those inside, and sends away those that wait outside."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most  # writers at once
        self.inside = 0
        self.closed = False
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def entered(self) -> Iterator[bool]:
        """Whether the gate is open; if so it waits for what is done inside."""
        with self.changed:
            while not self.closed and self.most is not None and self.inside >= self.most:
                self.changed.wait()
            is_open = not self.closed
            self.inside += is_open
        try:
            yield is_open
        finally:
            with self.changed:
                self.inside -= is_open
                self.changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and wait until nobody is inside."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: not self.inside, PATIENCE)


def all_see(client: Any, folder: Path) -> bool:
    """Whether all workers of a cluster see a folder of this process."""
    mark = folder / f".seen-{uuid.uuid4().hex}"
    mark.touch()
    try:
        seen = asked(client, mark.exists)
    finally:
        mark.unlink()
    return bool(seen) and all(seen)


def asked(client: Any, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function gives on each worker; those that are just being lost do not count."""
    answers = client.run(function, *arguments, on_error="return", callback_timeout=2 * PATIENCE)
    return [answer for answer in answers.values() if not isinstance(answer, OSError)]


def write(client: Any, values: da.Array, write: Write, finish: Finish | None, step: Callable[[], None]) -> None:
    """Write the blocks of an array on a cluster's workers; after a failure nobody writes any more.

    Raises
    ------
    FileContentInvalid
        If not all of the values were written.
    StorageFailure
        If the cluster stands still.
    """
    from distributed import as_completed, futures_of

    save = uuid.uuid4().hex
    written = _written(values, write, finish, save)
    (optimized,) = dask.base.optimize(written)
    graph = {future.key: future for future in futures_of(values)} | dict(optimized.__dask_graph__())
    futures = client.get(graph, list(dask.core.flatten(optimized.__dask_keys__())), sync=False)
    count = 0
    try:
        for future in in_time(client, as_completed(futures, loop=client.loop)):
            count += int(future.result().sum())
            future.release()
            step()
    except BaseException:
        client.cancel(futures, force=True)
        asked(client, _close, save)
        raise
    asked(client, _forget, save)
    if count != values.size:
        raise FileContentInvalid(f"the cube was not written whole: {count} of {values.size} values")


def in_time(client: Any, queue: Any) -> Iterator[Any]:
    """The futures of an `as_completed` as they end, as long as the cluster does anything for them.

    A worker that has too little memory pauses, and what only it could do is never done. The setting
    `openeo.save.standstill` says how long no worker may do anything, `openeo.save.timeout` how long no future may end.

    Raises
    ------
    StorageFailure
        If nothing goes on any more.
    """
    standstill, timeout = limit("standstill", STANDSTILL), limit("timeout", TIMEOUT)
    step = standstill / LOOKS
    ended = moved = looked = time.monotonic()
    while not queue.is_empty():
        if queue.has_ready():
            yield next(queue)
            ended = moved = time.monotonic()
            continue
        with queue.thread_condition:
            queue.thread_condition.wait(min(step, 0.1))
        now = time.monotonic()
        if now - looked > step:
            looked = now
            known = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=2 * PATIENCE)["workers"]
            moved = now if _busy(known) else moved
            if now - moved > standstill:
                raise StorageFailure(_stands(known, f"for {standstill:.0f} s no worker has done anything"))
            if now - ended > timeout:
                raise StorageFailure(_stands(known, f"for {timeout:.0f} s no block was written"))


def limit(name: str, default: str) -> float:
    """The seconds that a setting of saving allows."""
    return float(parse_timedelta(dask.config.get(f"openeo.save.{name}", default)))


def _busy(known: Mapping[str, Any]) -> bool:
    """Whether a worker of a cluster runs a task or is sent something."""
    metrics = [one.get("metrics", {}) for one in known.values()]
    return any(
        one.get("task_counts", {}).get("executing") or one.get("transfer", {}).get("incoming_count") for one in metrics
    )


def _stands(known: Mapping[str, Any], what: str) -> str:
    """What is wrong with the workers of a cluster, and what to do about it."""
    if not known:
        return f"{what}: the cluster has no workers left"
    paused = [address for address, one in known.items() if one.get("status") == "paused"]
    used = [f"{_memory(known[address])} of {address}" for address in (paused or known)][:MOST_TOLD]
    if not paused:
        return f"{what}; none of {len(known)} is paused; they use {', '.join(used)}. See what they do on the dashboard"
    remedy = "give them more memory, or the cube smaller chunks or fewer threads to compute them"
    return f"{what}; {len(paused)} of {len(known)} are paused, out of memory: {', '.join(used)}. Remedy: {remedy}"


def _memory(one: Mapping[str, Any]) -> str:
    limit = one.get("memory_limit")
    used = format_bytes(int(one.get("metrics", {}).get("memory", 0)))
    return f"{used} of {format_bytes(limit)}" if limit else used


def _written(values: da.Array, write: Write, finish: Finish | None, save: str) -> da.Array:
    """The numbers of values written for each block, or with `finish` for each chunk along the first dimension."""
    ones = tuple((1,) * len(sizes) for sizes in values.chunks)
    counts = da.map_blocks(_write_block, values, write, save, dtype="int64", chunks=ones, meta=_nothing(values.ndim))
    if finish is None:
        return counts
    name = f"finish-{save}"
    # blockwise over the first dimension alone: each task gets the counts of all blocks of one chunk
    sums = counts.sum(axis=tuple(range(1, values.ndim))) if values.ndim > 1 else counts
    ends = np.cumsum([0, *values.chunks[0]])
    layer = {
        (name, i): (_finish, (sums.name, i), finish, slice(int(ends[i]), int(ends[i + 1])), save)
        for i in range(len(values.chunks[0]))
    }
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[sums])  # type: ignore[arg-type]
    return da.Array(graph, name, (ones[0],), "int64", meta=_nothing(1))


def _nothing(ndim: int) -> np.ndarray:
    return np.empty((0,) * ndim, "int64")


# --- on the workers

_gates: dict[str, Gate] = {}
_lock = threading.Lock()


def _gate(save: str) -> Gate:
    with _lock:
        return _gates.setdefault(save, Gate())


async def _close(save: str) -> None:
    """Wait, in a thread, because the worker's own must go on."""
    await asyncio.to_thread(_gate(save).close)


def _forget(save: str) -> None:
    with _lock:
        _gates.pop(save, None)


def _write_block(block: np.ndarray, write: Write, save: str, block_info: Any = None) -> np.ndarray:
    where = tuple(slice(start, stop) for start, stop in block_info[0]["array-location"])
    with _gate(save).entered() as is_open:
        if is_open:
            _portable(write, where, block)
    return np.full((1,) * block.ndim, block.size if is_open else 0, "int64")


def _finish(count: np.ndarray, finish: Finish, dates: slice, save: str) -> np.ndarray:
    with _gate(save).entered() as is_open:
        if is_open:
            _portable(finish, dates)
    return count


def _portable(function: Callable[..., None], *arguments: Any) -> None:
    """Rasterio's errors cannot be unpickled, and a cluster would lose ours with them."""
    try:
        function(*arguments)
    except OpenEOException as error:
        error.__cause__ = error.__context__ = None
        raise
