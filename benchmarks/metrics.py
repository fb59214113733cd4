"""What a run costs, counted and measured; the only file here that knows the insides of dask and distributed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import dask
import dask.array as da
import dask.base
import distributed
import xarray as xr
from dask._task_spec import Alias, DataNode, convert_legacy_graph
from dask.callbacks import Callback
from distributed.protocol import pickle

RECORDS = "OPENEO_BENCHMARKS_RECORDS"  # a folder in which the processes of one run share what they have measured


@dataclass(frozen=True)
class Graph:
    """What is exact of a graph, without running it: nodes that hold data or only rename are not counted."""

    tasks: int
    edges: int
    critical_path: int  # tasks on the longest chain
    bytes: int  # of the pickle that goes to the scheduler


@dataclass(frozen=True)
class Run:
    """What one run cost."""

    seconds: float
    eager_tasks: int  # computed while building
    bytes_moved: int  # between workers
    peak_worker_memory: float  # bytes; NaN where a worker is no process of its own or its system does not say


def in_memory(cube: xr.DataArray) -> xr.DataArray:
    """The cube as it looks in a graph once its blocks lie in memory: the graph can be counted, and not run."""
    array = cube.data
    name = f"in-memory-{dask.base.tokenize(array.name)}"
    blocks = {(name, *key[1:]): 0 for key in dask.core.flatten(array.__dask_keys__())}
    return cube.copy(data=da.Array(blocks, name, array.chunks, meta=array._meta))


def graph_of(collection: Any) -> Graph:
    """Count the optimized graph of a collection."""
    (optimized,) = dask.base.optimize(collection)
    nodes = convert_legacy_graph(dict(optimized.__dask_graph__()))
    tasks = {key: node for key, node in nodes.items() if not isinstance(node, (DataNode, Alias))}
    inputs = {key: _tasks_behind(task, nodes, tasks) for key, task in tasks.items()}
    depth: dict[Any, int] = {}
    for key in dask.core.toposort(dict(inputs), dependencies=inputs):
        depth[key] = 1 + max((depth[k] for k in inputs[key]), default=0)
    return Graph(
        tasks=len(tasks),
        edges=sum(map(len, inputs.values())),
        critical_path=max(depth.values(), default=0),
        bytes=len(pickle.dumps(dask.base.collections_to_expr((collection,)))),
    )


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
        return self.client.run_on_scheduler(_finished_tasks()) if self.client else 0


@contextlib.contextmanager
def run_locally() -> Iterator[None]:
    """Let everything compute in this thread, whichever client there is."""
    with dask.config.set(scheduler="sync"):
        yield


def measure(client: distributed.Client, build: Callable[[], Any], work: Callable[[], Any]) -> Run:
    """Build something and compute it on the cluster of a client, once, and say what that cost."""
    with Tally(client) as tally:
        build()
    client.run(_forget_peak())
    moved = sum(client.run(_bytes_sent()).values())
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    return Run(
        seconds=seconds,
        eager_tasks=tally.tasks,
        bytes_moved=sum(client.run(_bytes_sent()).values()) - moved,
        peak_worker_memory=max(client.run(_peak()).values()) if workers_are_processes(client) else math.nan,
    )


def once(what: str, run: Callable[[], Run]) -> Run:
    """The costs of a run that processes share, if they have been given a folder to share them in."""
    folder = os.environ.get(RECORDS)
    if not folder:
        return run()
    path = pathlib.Path(folder, hashlib.sha256(what.encode()).hexdigest()[:32] + ".json")
    if not path.exists():
        path.write_text(json.dumps({"what": what, **asdict(run())}))
    record = json.loads(path.read_text())
    del record["what"]
    return Run(**record)


def workers_are_processes(client: distributed.Client) -> bool:
    """Whether workers are processes of their own, not threads of this one."""
    return not any(address.startswith("inproc:") for address in client.scheduler_info(n_workers=-1)["workers"])


# Remote workers do not have this package. A function inside a function cannot be found by name and so is pickled
# with its code, which is what the following are for.


def _finished_tasks() -> Callable[..., int]:
    def count(dask_scheduler: Any) -> int:
        return sum(prefix.state_counts["memory"] for prefix in dask_scheduler.task_prefixes.values())

    return count


def _bytes_sent() -> Callable[..., int]:
    def read(dask_worker: Any) -> int:
        return dask_worker.transfer_outgoing_bytes_total

    return read


def _forget_peak() -> Callable[[], None]:
    """Linux keeps the peak of a process's memory since this was last written."""

    def forget() -> None:
        import pathlib

        control = pathlib.Path("/proc/self/clear_refs")
        if control.exists():
            control.write_text("5")

    return forget


def _peak() -> Callable[[], float]:
    def read() -> float:
        import pathlib
        import re

        status = pathlib.Path("/proc/self/status")
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
        return int(found.group(1)) * 1024 if found else float("nan")

    return read
