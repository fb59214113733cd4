"""What a run costs, counted and measured; the only file here that knows the insides of dask and distributed."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import dask
import dask.array as da
import dask.base
import distributed
import numpy as np
import xarray as xr
from dask._task_spec import Alias, DataNode, convert_legacy_graph
from dask.callbacks import Callback
from distributed.protocol import pickle

from . import remote
from .measures import MEASURES

NUMBERS = ("moved", "read", "spilled", "cpu")
SETTLING = 1.0  # seconds until a scheduler has let go of what nobody needs
RECORDS = "OPENEO_BENCHMARKS_RECORDS"  # a folder in which the processes of one run share what they have measured


@dataclass(frozen=True)
class Graph:
    """What is exact of a graph, without running it: nodes that hold data or only rename are not counted."""

    tasks: int
    edges: int
    critical_path: int  # tasks on the longest chain
    width: int  # tasks at the most crowded distance from the inputs
    bytes: int  # of the pickle that goes to the scheduler

    def counts(self) -> dict[str, int]:
        """The same by the names of `measures.MEASURES`."""
        counts = asdict(self)
        counts["graph_bytes"] = counts.pop("bytes")
        return counts


@dataclass(frozen=True)
class Run:
    """What one run cost, by the names of `measures.MEASURES`, and what makes that doubtful."""

    eager_tasks: int
    bytes_read: float
    output_bytes: float
    largest_chunk: float
    kept_bytes: float
    bytes_moved: float
    bytes_spilled: float
    peak_worker_memory: float  # NaN where a worker is no process of its own or its system does not say
    build_seconds: float
    submit_seconds: float
    first_task_seconds: float
    compute_seconds: float
    cpu_seconds: float
    computed: int  # tasks
    flags: dict[str, str] = field(default_factory=dict)

    def costs(self) -> dict[str, float]:
        """Those of them that are measures."""
        return {name: value for name, value in asdict(self).items() if name in MEASURES}


class Blank(np.ndarray):
    """A block of zeros that takes no memory, nor bytes in a pickle: a process that needs values at once gets some."""

    def __reduce__(self) -> tuple[Any, ...]:
        return blank, (self.shape, self.dtype.str)


def blank(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A block that looks like one in memory."""
    return np.broadcast_to(np.zeros((), dtype), shape).view(Blank)


def in_memory(cube: xr.DataArray) -> xr.DataArray:
    """The cube as it looks in a graph once its blocks lie in memory: the graph can be counted, and not run."""
    array = cube.data
    name = f"in-memory-{dask.base.tokenize(array.name)}"
    keys = dask.core.flatten(array.__dask_keys__())
    blocks = {
        (name, *key[1:]): blank(tuple(sizes[i] for sizes, i in zip(array.chunks, key[1:], strict=True)), array.dtype)
        for key in keys
    }
    return cube.copy(data=da.Array(blocks, name, array.chunks, meta=array._meta))


def graph_of(collection: Any) -> Graph:
    """Count the optimized graph of a collection."""
    nodes, tasks = _nodes(collection)
    inputs = {key: _tasks_behind(task, nodes, tasks) for key, task in tasks.items()}
    depth: dict[Any, int] = {}
    for key in dask.core.toposort(dict(inputs), dependencies=inputs):
        depth[key] = 1 + max((depth[k] for k in inputs[key]), default=0)
    return Graph(
        tasks=len(tasks),
        edges=sum(map(len, inputs.values())),
        critical_path=max(depth.values(), default=0),
        width=max(collections.Counter(depth.values()).values(), default=0),
        bytes=len(pickle.dumps(dask.base.collections_to_expr((collection,)))),
    )


def tasks_of(collection: Any) -> int:
    """The tasks of the optimized graph of a collection, whatever data it holds."""
    return len(_nodes(collection)[1])


def _nodes(collection: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """All nodes of the optimized graph, and those that are tasks."""
    (optimized,) = dask.base.optimize(collection)
    nodes = convert_legacy_graph(dict(optimized.__dask_graph__()))
    return nodes, {key: node for key, node in nodes.items() if not isinstance(node, (DataNode, Alias))}


def _tasks_behind(task: Any, nodes: dict[Any, Any], tasks: dict[Any, Any]) -> set[Any]:
    """The tasks that a task waits for, whichever other names their results go by."""
    behind = set()
    for key in task.dependencies:
        while key in nodes and isinstance(nodes[key], Alias):
            (key,) = nodes[key].dependencies
        if key in tasks:
            behind.add(key)
    return behind


class Tally(Callback):
    """Counts the tasks that are computed within it: by dask's local schedulers, and on the cluster of a client."""

    def __init__(self, client: distributed.Client | None = None):
        super().__init__()
        self.client = client
        self.local = 0
        self.remote = 0

    @property
    def tasks(self) -> int:
        """All of them."""
        return self.local + self.remote

    def _pretask(self, key: Any, graph: Any, state: Any) -> None:
        self.local += 1

    def __enter__(self) -> Tally:
        self.remote = -self._finished()
        super().__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        super().__exit__(*args)
        self.remote += self._finished()

    def _finished(self) -> int:
        return self.client.run_on_scheduler(remote.finished_tasks()) if self.client else 0


@contextlib.contextmanager
def run_locally() -> Iterator[None]:
    """Let everything compute in this thread, whichever client there is."""
    with dask.config.set(scheduler="sync"):
        yield


def measure(client: distributed.Client, build: Callable[[], Any], work: Callable[[], Any]) -> Run:
    """Build something and compute it on the cluster of a client, once, and say what that cost."""
    client.run_on_scheduler(remote.watch(), name=_watcher(client), owner=client.id)
    with Tally(client) as tally:
        began = time.perf_counter()
        build()
        built = time.perf_counter() - began
    client.run(remote.forget_peak())
    before = _worker_numbers(client)
    offset = _clock(client)
    client.run_on_scheduler(remote.reset(), name=_watcher(client))
    submitted, began = time.time() + offset, time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    seen = _seen(client)
    after = _worker_numbers(client)
    spent = {name: sum(after[w][name] - before.get(w, {}).get(name, 0) for w in after) for name in NUMBERS}
    processes = workers_are_processes(client)
    return Run(
        eager_tasks=tally.tasks,
        bytes_read=spent["read"],
        output_bytes=seen["made"],
        largest_chunk=seen["largest"],
        kept_bytes=seen["kept"],
        bytes_moved=spent["moved"],
        bytes_spilled=spent["spilled"],
        peak_worker_memory=max(client.run(remote.peak()).values()) if processes else math.nan,
        build_seconds=built,
        submit_seconds=max(seen["updated"] - submitted, 0.0) if seen["updated"] else math.nan,
        first_task_seconds=max(seen["first"] - submitted, 0.0) if seen["first"] else math.nan,
        compute_seconds=seconds,
        cpu_seconds=spent["cpu"],
        computed=seen["computed"],
        flags=dict(_doubts(client, seen, seconds)),
    )


def _doubts(client: distributed.Client, seen: dict[str, Any], seconds: float) -> Iterator[tuple[str, str]]:
    """What of a run makes its numbers another thing than they seem."""
    threads = sum(client.nthreads().values())
    if seen["lost"]:
        yield "lost-workers", f"{seen['lost']} workers were lost in the meantime"
    if seen["joined"]:
        yield "new-workers", f"{seen['joined']} workers came in the meantime"
    if seen["foreign"]:
        yield "foreign-load", f"{seen['foreign']} tasks of other clients were computed in the meantime"
    # Two clocks, each good to some milliseconds.
    if threads and seconds < (floor := max(seen["longest"], seen["busy"] / threads)) * 0.9 - 0.02:
        yield "below-floor", f"took {seconds:.3g} s, though its tasks needed {floor:.3g} s on {threads} threads"


def _watcher(client: distributed.Client) -> str:
    return f"openeo-benchmarks-{client.id}"


def _worker_numbers(client: distributed.Client) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = client.run(remote.digests())
    return found


def _clock(client: distributed.Client) -> float:
    """By how much the scheduler's clock is ahead of this one's."""
    asked = time.time()
    there = client.run_on_scheduler(remote.clock())
    return there - (asked + time.time()) / 2


def _seen(client: distributed.Client) -> dict[str, Any]:
    """What the scheduler has seen of the run, once it has been told which results nobody needs any more."""
    deadline = time.monotonic() + SETTLING
    while True:
        seen: dict[str, Any] = client.run_on_scheduler(remote.tell(), name=_watcher(client))
        if not seen["kept"] or time.monotonic() > deadline:
            return seen
        time.sleep(0.01)


def once(what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What processes measure once for all of them, if they have been given a folder to share it in."""
    folder = os.environ.get(RECORDS)
    if not folder:
        return measure()
    path = pathlib.Path(folder, hashlib.sha256(what.encode()).hexdigest()[:32] + ".json")
    if not path.exists():
        path.write_text(json.dumps(measure()))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def still_busy(client: distributed.Client) -> bool:
    """Whether workers still compute, though nobody waits for it, after they had a moment to end."""
    deadline = time.monotonic() + 10 * SETTLING
    while any(client.run(remote.executing()).values()):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.1)
    return False


def workers(client: distributed.Client) -> dict[str, dict[str, Any]]:
    """What the scheduler knows of its workers, by address.

    `Client.scheduler_info` keeps the answer where the client's own periodic question, which asks for no workers,
    overwrites it: on a busy machine it now and then says that there are none.
    """
    assert client.scheduler is not None  # of a client that is connected
    found: dict[str, dict[str, Any]] = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
    return found


def workers_are_processes(client: distributed.Client) -> bool:
    """Whether workers are processes of their own, not threads of this one."""
    return not any(address.startswith("inproc:") for address in workers(client))
