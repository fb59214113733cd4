"""What schedulers and workers are asked to do for a measurement; beside metrics.py the only file that knows them.

Remote workers do not have this package. A function inside a function cannot be found by name and so is pickled with
its code, which is what all of these are for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def finished_tasks() -> Callable[..., int]:
    """How many tasks a scheduler has seen end."""

    def count(dask_scheduler: Any) -> int:
        return sum(prefix.state_counts["memory"] for prefix in dask_scheduler.task_prefixes.values())

    return count


def executing() -> Callable[..., int]:
    """How many tasks a worker computes at this moment."""

    def count(dask_worker: Any) -> int:
        return dask_worker.state.executing_count

    return count


def probe() -> Callable[[], float]:
    """A fixed piece of work for a worker, of some milliseconds, and how long it took."""

    def work() -> float:
        import time

        import numpy as np

        values = np.random.default_rng(0).random(100_000)
        began = time.perf_counter()
        np.sort(values)
        return time.perf_counter() - began

    return work


def exact_sizes() -> Any:
    """A plugin of workers that counts all of a list, tuple or dictionary, of which dask looks at ten, drawn by lot."""
    import distributed

    class ExactSizes(distributed.WorkerPlugin):
        name = "openeo-benchmarks-exact-sizes"

        def setup(self, worker: Any) -> None:
            import sys

            from dask.sizeof import sizeof

            def of_all(values: Any) -> int:
                return sys.getsizeof(values) + sum(map(sizeof, values))

            def of_items(values: Any) -> int:
                return sys.getsizeof(values) + sum(map(sizeof, values.keys())) + sum(map(sizeof, values.values()))

            for kind in (list, tuple, set, frozenset):
                sizeof.register(kind, of_all)
            sizeof.register(dict, of_items)

    return ExactSizes()


def digests() -> Callable[..., dict[str, float]]:
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


def clock() -> Callable[[], float]:
    """The time on that machine, in seconds of the epoch."""

    def now() -> float:
        import time

        return time.time()

    return now


def watch() -> Callable[..., None]:
    """Let the scheduler note what becomes of the tasks of one client."""

    def begin(dask_scheduler: Any, name: str, owner: str) -> None:
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

    return begin


def reset() -> Callable[..., None]:
    """Forget what the watcher has noted."""

    def forget(dask_scheduler: Any, name: str) -> None:
        dask_scheduler.plugins[name].reset()

    return forget


def tell() -> Callable[..., dict[str, Any]]:
    """What the watcher has noted since then, and how many bytes have not been let go."""

    def read(dask_scheduler: Any, name: str) -> dict[str, Any]:
        watcher = dask_scheduler.plugins[name]
        return {**watcher.told, "kept": sum(watcher.inside.values())}

    return read


def forget_peak() -> Callable[[], None]:
    """Linux keeps the peak of a process's memory since this was last written."""

    def forget() -> None:
        import pathlib

        control = pathlib.Path("/proc/self/clear_refs")
        if control.exists():
            control.write_text("5")

    return forget


def give_back() -> Callable[[], None]:
    """Give back to the system what a process has freed and keeps for later, which would count as used."""

    def collect() -> None:
        import ctypes
        import gc

        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc, and of no other
        if trim is not None:
            trim(0)

    return collect


def narrow() -> Callable[..., None]:
    """Give a worker that runs already another limit, as if it had been started with it.

    Its shares count from what the worker holds anyway: of the rest it keeps results up to `target`, begins to spill at
    `spill`, and pauses at `pause`.
    """

    def become(dask_worker: Any, limit: int, held: int, shares: dict[str, float]) -> None:
        manager = dask_worker.memory_manager
        manager.memory_limit = limit
        for name in ("target", "spill", "pause"):
            setattr(manager, f"memory_{name}_fraction", (held + shares[name] * (limit - held)) / limit)
        manager.data.n = int(shares["target"] * (limit - held))

    return become


def end_above() -> Callable[..., None]:
    """Let who watches over a worker end it above another limit."""

    def become(dask_worker: Any, limit: int) -> None:
        dask_worker.memory_manager.memory_limit = limit
        dask_worker.memory_manager.memory_terminate_fraction = 1.0

    return become


def peak() -> Callable[[], float]:
    """The peak of a process's memory since it was last forgotten, NaN where its system does not say."""

    def read() -> float:
        import pathlib
        import re

        status = pathlib.Path("/proc/self/status")
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
        return int(found.group(1)) * 1024 if found else float("nan")

    return read
