"""Measures suites on the target, each case from one execution at a time, and keeps every record at once.

Whatever happens to one case is a record with its error; what happens to the target ends the run, and says so.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import distributed

from . import doctor, metrics, remote, store, target
from .measures import MEASURES, Trust
from .suite import Calls, Suite, forget_inputs, suites
from .terminal import Step

ROUNDS = 2  # after the first, which is cold
GRACE = 30.0  # seconds beyond a suite's own timeout until it is interrupted wherever it is
DRIFT = 1.6  # by how much a fixed piece of work may take longer than at best
ESTIMATED = 0.001  # share by which bytes may differ
CALLS = 5  # of a suite without a graph


class Case(NamedTuple):
    """A suite with one combination of its parameters."""

    name: str
    suite: type[Suite]
    params: tuple[Any, ...]

    @property
    def named(self) -> dict[str, Any]:
        """The parameters by their names."""
        return dict(zip(self.suite.param_names, self.params, strict=True))


class LostError(RuntimeError):
    """The target cannot be measured on any more: says why, and what was kept."""


def cases(patterns: Sequence[Any] = ()) -> list[Case]:
    """All cases of the suites of which a pattern matches the name, all if there are none."""
    return [
        Case(name, suite, params)
        for name, suite in suites().items()
        if not patterns or any(pattern.search(name) for pattern in patterns)
        for params in suite.cases()
    ]


def measured(client: distributed.Client, chosen: Sequence[Case], rounds: int, step: Step) -> Iterator[store.Record]:
    """Measure each case and append its record to the store before the next one is begun.

    Raises
    ------
    LostError
        If the scheduler is gone, or a worker is stuck and cannot be started again.
    """
    facts = doctor.facts(client)
    others = doctor.other_clients(client)
    steady = _Steady(client)
    for number, case in enumerate(chosen):
        step(number / len(chosen), case.name)
        flags = {"other-clients": f"{others} other clients may use the workers"} if others else {}
        record = _measured(client, case, rounds, flags)
        flags.update(steady.doubts())
        record.update(target=facts, flags={**record["flags"], **flags})
        store.append(record)
        yield record
        if record["error"]:
            _mend(client, record, number, len(chosen))


def _measured(client: distributed.Client, case: Case, rounds: int, flags: dict[str, str]) -> store.Record:
    began = time.perf_counter()
    samples: dict[str, list[float]] = {}
    suite = case.suite()
    error = None
    with _interrupted_after(suite.timeout + GRACE):
        future = _outcome(lambda: _take(suite, case, rounds, samples, flags))
    if future is not None:
        error = f"{type(future).__name__}: {' '.join(str(future).split())[:500]}"
    flags |= _unsteady(samples)
    spent = time.perf_counter() - began
    took = sum(sum(samples.get(name, [])) for name in ("build_seconds", "compute_seconds", "cold_seconds"))
    settings = {"rounds": rounds, "harness_seconds": spent - took, "seconds": spent}
    return store.record("suite", case.name, case.named, samples, flags, size=suite.size, settings=settings, error=error)


def _outcome(job: Callable[[], None]) -> BaseException | None:
    """What a suite has raised, which goes into its record; what ends this process is none of that."""
    raised: list[BaseException] = []

    def note(kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if error is None or isinstance(error, (KeyboardInterrupt, SystemExit, store.StoreError)):
            return False
        raised.append(error.with_traceback(None))
        return True

    with contextlib.ExitStack() as stack:
        stack.push(note)
        job()
    return raised[0] if raised else None


def _take(suite: Suite, case: Case, rounds: int, samples: dict[str, list[float]], flags: dict[str, str]) -> None:
    """Fill in the samples of a case."""
    if isinstance(suite, Calls):
        suite.inputs(*case.params)
        for _ in range(CALLS):
            began = time.perf_counter()
            suite.build(*case.params)
            samples.setdefault("build_seconds", []).append(time.perf_counter() - began)
        return
    if suite.lazy():
        for name, count in suite.counts(*case.params).items():
            samples[name] = [count]
    samples.pop("eager_tasks", None)  # counted again in each round, where other schedulers are seen too
    for turn in range(rounds + 1):
        run = suite.run(*case.params)
        flags.update(run.flags)
        if turn == 0:
            samples["cold_seconds"] = [run.compute_seconds]
            continue
        for name, value in run.costs().items():
            samples.setdefault(name, []).append(value)


def _unsteady(samples: dict[str, list[float]]) -> dict[str, str]:
    """Exact numbers that were not the same in each round; dask estimates the bytes of what is no array."""
    return {
        f"unsteady-{name}": f"{name.replace('_', ' ')} should be the same in each round and was {values}"
        for name, values in samples.items()
        if MEASURES[name].trust is Trust.EXACT
        and max(values) - min(values) > ESTIMATED * max(values) * (MEASURES[name].unit == "bytes")
    }


class _Steady:
    """A fixed piece of work on every worker, beside each case: where it takes longer, something else is at work."""

    def __init__(self, client: distributed.Client):
        self.client = client
        self.best = min(self._probe() for _ in range(5))

    def doubts(self) -> dict[str, str]:
        took = min(self._probe() for _ in range(2))
        self.best = min(self.best, took)
        if took < DRIFT * self.best:
            return {}
        return {"drift": f"a fixed piece of work took {took / self.best:.1f} times as long as at best"}

    def _probe(self) -> float:
        with contextlib.suppress(OSError, TimeoutError):  # a target that is gone is seen by what is measured on it
            return statistics.median(self.client.run(remote.probe()).values() or [float("inf")])
        return float("inf")


def _mend(client: distributed.Client, record: store.Record, number: int, of: int) -> None:
    """After an error: see whether the target can be used for what comes next.

    Raises
    ------
    LostError
        If it cannot.
    """
    forget_inputs()
    kept = f"{number + 1} of {of} cases are in {store.path()}"
    where = target.address()
    if where:
        try:
            target.reach(where)
        except target.TargetError:
            raise LostError(f"the scheduler was lost while {record['suite']} ran; {kept}") from None
    if client.status != "running":
        raise LostError(f"the connection to the scheduler was lost while {record['suite']} ran; {kept}")
    if metrics.still_busy(client):
        workers = metrics.workers(client).values()
        if not workers or not all(worker["nanny"] for worker in workers):
            raise LostError(f"{record['suite']} still keeps workers busy, and no nanny can start them again; {kept}")
        client.restart(timeout=GRACE)


@contextlib.contextmanager
def _interrupted_after(limit: float) -> Iterator[None]:
    """Raise TimeoutError where the main thread is after so many seconds, whatever it waits for."""

    def ring(number: int, frame: Any) -> None:
        raise TimeoutError(f"was not done after {limit:.0f} s")

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    due, _ = signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if due:  # somebody else's alarm, such as that of a test
            signal.setitimer(signal.ITIMER_REAL, max(due - (time.monotonic() - began), 0.001))
