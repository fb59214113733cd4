"""A process that measures suites on whichever implementation it finds installed, one request a line.

It is started by `sides.Side`, reads a JSON object from each line of its input, and answers with one. What libraries
print goes to its standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

THREADS = 2
EMBEDDED = "embedded"
TIMEABLE = 0.05  # seconds


class Measurer:
    """Answers requests; holds the inputs of one case at a time in its memory."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.suite: Any = None
        self.params: list[Any] = []
        self.made: dict[str, Any] = {}
        self.modules: dict[str, Any] = {}

    def start(self, known: dict[str, Any], memory: int) -> dict[str, Any]:
        """Get ready: `known` is the catalogue of processes, `memory` the bytes that may be had."""
        import dask

        from . import stand_in

        limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (memory, limit))
        dask.config.set(scheduler="threads", num_workers=THREADS)
        self.known = known
        return {"python": sys.version.split()[0], "stand_in": stand_in.is_needed()}

    def hold(self, suite: str, params: list[Any], size: str) -> dict[str, Any]:
        """Take up a case: its inputs, computed and in this process's memory."""
        from . import stand_in

        self.suite, self.params = self._made(suite, size), params
        self.suite.prepare = _in_memory
        self.suite.inputs(*params)
        if self._calls() and stand_in.is_needed():
            self.suite.call = self.suite.call.func.plain(*self.suite.call.args)
        self.made = dict(vars(self.suite))
        return {}

    def round(self) -> dict[str, Any]:
        """Build and compute once, and say what that cost."""
        from .. import inputs, metrics

        if self._calls():
            return self._called()
        for name, value in self.made.items():  # an implementation may change the coordinates of what it is given
            setattr(self.suite, name, value.copy(deep=False) if hasattr(value, "coords") else value)
        before, count = _resident(), metrics.Tally()
        _forget_peak()
        began, cpu = time.perf_counter(), time.process_time()
        with count:
            result = self.suite.build(*self.params)
        built = time.perf_counter()
        tasks = 0
        try:
            small = inputs.on_workers(result)
        except (TypeError, AttributeError):  # values, not a graph
            small = None
        ready = time.perf_counter()
        if small is not None:
            small.compute()
        computed = time.perf_counter()
        cpu = time.process_time() - cpu
        peak = _peak() - before
        if small is not None:
            tasks = metrics.tasks_of(result)
        return {
            "build_seconds": built - began,
            "compute_seconds": computed - ready,
            "cpu_seconds": cpu,
            "eager_tasks": count.tasks,
            "lazy": small is not None,
            "tasks": tasks,
            "memory": max(peak, 0),
        }

    def _calls(self) -> bool:
        from ..suite import Calls

        return isinstance(self.suite, Calls)

    def _called(self) -> dict[str, Any]:
        """What a thousand calls cost, in the mean over as long as can be timed: some of them take microseconds."""
        from .. import metrics

        before, times = _resident(), 0
        _forget_peak()
        began, cpu = time.perf_counter(), time.process_time()
        with metrics.Tally() as count:
            while time.perf_counter() - began < TIMEABLE:
                self.suite.build(*self.params)
                times += 1
        return {
            "build_seconds": (time.perf_counter() - began) / times,
            "compute_seconds": 0.0,
            "cpu_seconds": (time.process_time() - cpu) / times,
            "eager_tasks": count.tasks,
            "lazy": True,  # as far as it can be: values are wanted
            "tasks": 0,
            "memory": max(_peak() - before, 0),
        }

    def check(self, suite: str, params: list[Any], size: str) -> dict[str, Any]:
        """Compare with what the suite expects, on a small cube."""
        self._made(suite, size).check(*params)
        return {}

    def _made(self, name: str, size: str) -> Any:
        from . import stand_in

        module, _, cls = name.rpartition(".")
        full = f"{__package__.partition('.')[0]}.{module}"
        if full not in self.modules:
            if stand_in.is_needed():
                self.modules.update(stand_in.suite_modules(self.known, [full]))
            else:
                self.modules[full] = importlib.import_module(full)
        found = self.modules[full]
        if isinstance(found, ImportError):
            raise found
        made = getattr(found, cls)()
        made.size = size if size in made.sizes else "default"
        return made


class OnTarget(Measurer):
    """Answers the same requests with what a cluster measures: an embedded one, or that of an address."""

    def __init__(self, address: str | None, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self.address = address
        self.stack = stack
        self.client: Any = None
        self.prepare: Any = None

    def start(self, known: dict[str, Any], memory: int) -> dict[str, Any]:
        """Connect; whoever has a cluster gives its workers what memory they have."""
        from .. import target

        where = {target.ADDRESS: self.address} if self.address else {}
        self.stack.enter_context(target.environment(where))
        self.client = self.stack.enter_context(target.session())
        return {"python": sys.version.split()[0], "stand_in": False}

    def about(self) -> dict[str, Any]:
        """What is connected."""
        threads = self.client.nthreads()
        return {"workers": len(threads), "threads": sum(threads.values())}

    def hold(self, suite: str, params: list[Any], size: str) -> dict[str, Any]:
        """Take up a case: its inputs, in the memory of the workers."""
        from .. import inputs

        self.suite, self.params = self._made(suite, size), params
        self.suite.prepare = self.prepare = inputs.Held(self.client)
        self.suite.inputs(*params)
        return {}

    def round(self) -> dict[str, Any]:
        """Build and compute once, on blocks that no other round has named, and say what that cost."""
        from .. import inputs, metrics

        self.suite.inputs(*self.params)
        result = self.suite.build(*self.params)
        small = inputs.on_workers(result)
        run = metrics.measure(
            self.client,
            lambda: self.suite.build(*self.params),
            lambda: self.client.compute(small).result(timeout=self.suite.timeout),
        )
        return {
            "build_seconds": run.build_seconds,
            "compute_seconds": run.compute_seconds,
            "cpu_seconds": run.cpu_seconds,
            "eager_tasks": run.eager_tasks,
            "lazy": True,
            "tasks": metrics.tasks_of(result),
            "memory": run.peak_worker_memory,
            "flags": list(run.flags.values()),
        }

    def check(self, suite: str, params: list[Any], size: str) -> dict[str, Any]:
        """Compare what the cluster computes with what the suite expects, on a small cube."""
        from ..scaling import subjects, sweep

        made = type(self._made(suite, size))
        sweep.verify(self.client, subjects.Subject(suite, made, tuple(params)), made.timeout)
        return {}


def _in_memory(cube: Any) -> Any:
    return cube.persist(scheduler="threads", num_workers=THREADS)


def _status(name: str) -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            found = [line.split()[1] for line in status if line.startswith(f"{name}:")]
    except FileNotFoundError:
        return 0
    return int(found[0]) * 1024 if found else 0


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _forget_peak() -> None:
    """Linux keeps the peak of a process's memory since this was last written."""
    if os.path.exists("/proc/self/clear_refs"):
        with open("/proc/self/clear_refs", "w", encoding="ascii") as control:
            control.write("5")


def main() -> None:
    """Answer until there are no more requests; an argument is the target, `embedded` or an address."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    wanted = sys.argv[1:]
    # A future holds whatever the measured implementation raises: it is what the table has to say of it.
    with ThreadPoolExecutor(1) as thread, contextlib.ExitStack() as stack:
        measurer = OnTarget(None if wanted == [EMBEDDED] else wanted[0], stack) if wanted else Measurer()
        for line in sys.stdin:
            request = json.loads(line)
            job: Callable[..., dict[str, Any]] = getattr(measurer, request.pop("job"))
            future = thread.submit(job, **request)
            if error := future.exception():
                traceback.print_exception(error)
                answer = {"error": type(error).__name__, "says": " ".join(str(error).split())[:300]}
                del error
            else:
                answer = future.result()
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
