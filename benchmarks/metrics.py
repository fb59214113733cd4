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
import xarray as xr
from dask._task_spec import Alias, DataNode, convert_legacy_graph
from dask.callbacks import Callback
from distributed.protocol import pickle

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


def in_memory(cube: xr.DataArray) -> xr.DataArray:
    """The cube as it looks in a graph once its blocks lie in memory: the graph can be counted, and not run."""
    array = cube.data
    name = f"in-memory-{dask.base.tokenize(array.name)}"
    blocks = {(name, *key[1:]): 0 for key in dask.core.flatten(array.__dask_keys__())}
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
        return self.client.run_on_scheduler(_finished_tasks()) if self.client else 0


@contextlib.contextmanager
def run_locally() -> Iterator[None]:
    """Let everything compute in this thread, whichever client there is."""
    with dask.config.set(scheduler="sync"):
        yield


def measure(client: distributed.Client, build: Callable[[], Any], work: Callable[[], Any]) -> Run:
    """Build something and compute it on the cluster of a client, once, and say what that cost."""
    client.run_on_scheduler(_watch(), name=_watcher(client), owner=client.id)
    with Tally(client) as tally:
        began = time.perf_counter()
        build()
        built = time.perf_counter() - began
    client.run(_forget_peak())
    before = _worker_numbers(client)
    offset = _clock(client)
    client.run_on_scheduler(_reset(), name=_watcher(client))
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
        peak_worker_memory=max(client.run(_peak()).values()) if processes else math.nan,
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
    found: dict[str, dict[str, float]] = client.run(_digests())
    return found


def _clock(client: distributed.Client) -> float:
    """By how much the scheduler's clock is ahead of this one's."""
    asked = time.time()
    there = client.run_on_scheduler(_time())
    return there - (asked + time.time()) / 2


def _seen(client: distributed.Client) -> dict[str, Any]:
    """What the scheduler has seen of the run, once it has been told which results nobody needs any more."""
    deadline = time.monotonic() + SETTLING
    while True:
        seen: dict[str, Any] = client.run_on_scheduler(_tell(), name=_watcher(client))
        if not seen["kept"] or time.monotonic() > deadline:
            return seen
        time.sleep(0.01)


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


def _digests() -> Callable[..., dict[str, float]]:
    """What a worker has read, moved, spilled and computed since it was started."""

    def read(dask_worker: Any) -> dict[str, float]:
        found = {"moved": dask_worker.transfer_outgoing_bytes_total, "read": 0.0, "spilled": 0.0, "cpu": 0.0}
        for key, value in dask_worker.digests_total.items():
            if not isinstance(key, tuple):
                continue
            kind, what = key[0], key[-2:]
            if kind == "execute" and what == ("memory-read", "bytes"):
                found["read"] += value
            elif kind == "execute" and what == ("thread-cpu", "seconds"):
                found["cpu"] += value
            elif what == ("disk-write", "bytes"):
                found["spilled"] += value
        return found

    return read


def _time() -> Callable[[], float]:
    def now() -> float:
        import time

        return time.time()

    return now


def _watch() -> Callable[..., None]:
    """Let the scheduler note what becomes of the tasks of one client."""

    def watch(dask_scheduler: Any, name: str, owner: str) -> None:
        import time

        from distributed.diagnostics.plugin import SchedulerPlugin

        class Watcher(SchedulerPlugin):
            def __init__(self) -> None:
                self.reset()

            def reset(self) -> None:
                self.own: set[Any] = set()
                self.inside: dict[Any, float] = {}
                self.told: dict[str, Any] = dict.fromkeys(
                    ("made", "largest", "computed", "foreign", "lost", "joined", "busy", "longest", "first", "updated"),
                    0,
                )

            def update_graph(self, scheduler: Any, *, client: str, tasks: Any, **kwargs: Any) -> None:
                if client == owner:
                    self.own.update(tasks)
                    self.told["updated"] = time.time()

            def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
                if finish != "memory":
                    self.inside.pop(key, None)
                elif start == "processing" and key not in self.own:
                    self.told["foreign"] += 1
                elif start == "processing":
                    self.note(dask_scheduler.tasks.get(key), kwargs.get("startstops") or ())

            def note(self, task: Any, startstops: Any) -> None:
                told = self.told
                size = max(task.nbytes, 0) if task is not None else 0
                told["made"] += size
                told["computed"] += 1
                if task is not None:
                    self.inside[task.key] = size
                    read = sum(max(dependency.nbytes, 0) for dependency in task.dependencies)
                    told["largest"] = max(told["largest"], read + size)
                for step in startstops:
                    if step["action"] == "compute":
                        told["busy"] += step["stop"] - step["start"]
                        told["longest"] = max(told["longest"], step["stop"] - step["start"])
                        told["first"] = min(told["first"] or step["start"], step["start"])

            def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
                self.told["lost"] += 1

            def add_worker(self, scheduler: Any, worker: str) -> None:
                self.told["joined"] += 1

        if name not in dask_scheduler.plugins:
            dask_scheduler.add_plugin(Watcher(), name=name)

    return watch


def _reset() -> Callable[..., None]:
    def reset(dask_scheduler: Any, name: str) -> None:
        dask_scheduler.plugins[name].reset()

    return reset


def _tell() -> Callable[..., dict[str, Any]]:
    def tell(dask_scheduler: Any, name: str) -> dict[str, Any]:
        watcher = dask_scheduler.plugins[name]
        return {**watcher.told, "kept": sum(watcher.inside.values())}

    return tell


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
