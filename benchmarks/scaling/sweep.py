"""A sweep: the same work on more and more threads, or more work on them, in a cluster whose size is given."""

from __future__ import annotations

import concurrent.futures
import functools
import math
import operator
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import distributed
import numpy as np
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from .. import doctor, inputs, metrics, store
from ..suite import Size, Suite
from ..terminal import seconds
from .crew import ALL, Crew, alive, doubts
from .curves import FEWEST, LATE, REJECTED, Curve, Point
from .subjects import CHUNK, PER_THREAD, Drawn, Subject, growth

ROUNDS = 3  # at least
PROBES = 2  # runs of the smallest number of threads before everything else, and after it
DRIFT, HOPELESS = 0.2, 1.0  # relative difference of their best times from which a sweep is doubted, and rejected
DOUBTFUL = 1.25  # factor between the rounds of a point from which it is doubted
LEAST = 1.0  # seconds of processor time on each of the fewest threads: shorter runs are as long as their noise
MOST_TIMES = 64  # that the work is done over, so that it takes so long
TIMEOUT = 300.0  # seconds of a single run
POLL = 1.0  # seconds between looks at whether the workers still live
COPIES = 3  # of its inputs that a suite may hold at a time: they, what comes between, and the result
FLOOR = 0.95  # share of the time its tasks took on its threads below which no run can be

Step = Callable[[float, str], None]

# What comes of workers and schedulers that go away.
LOSSES = (KilledWorker, concurrent.futures.CancelledError, CommClosedError, TimeoutError, OSError)


class LostError(RuntimeError):
    """Workers went away in the middle: says how many."""


class WrongResultError(RuntimeError):
    """The cluster's result is not the suite's reference: numbers of it would mean nothing."""


class SizeError(ValueError):
    """A cube would not fit into the memory of the workers: says what to do."""


@dataclass(frozen=True)
class Plan:
    """What is swept, and how."""

    subject: Subject
    mode: str
    threads: Sequence[int | str] = (1, 2, 4, ALL)
    rounds: int = ROUNDS
    chunk_bytes: float = CHUNK
    timeout: float = TIMEOUT
    seed: int = 0
    least: float = LEAST


@dataclass
class Sweep:
    """A sweep as it proceeds; what has been measured stays when it ends early."""

    client: distributed.Client
    plan: Plan
    crew: Crew
    counts: list[int]
    drawn: dict[int, Drawn] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)
    growth: list[Drawn] = field(default_factory=list)
    times: int = 1  # that each run does the work, on the same blocks under other names
    about: dict[str, Any] = field(default_factory=dict)
    cold: float = math.nan
    error: str | None = None
    interrupted: bool = False

    def run(self, step: Step) -> store.Record:
        """Measure all that is planned, and make a record of what was measured.

        Raises
        ------
        SubjectError
            If the suite does not grow.
        SizeError
            If the cubes do not fit into the workers' memory.
        WrongResultError
            If the cluster's result is not the suite's reference.
        """
        planned = sum(1 for _ in self._schedule())
        try:
            step(0.0, "counting")
            self.about = doctor.facts(self.client)
            self._count()
            self.flags |= dict(doubts(self.client, self.crew, self.counts))
            step(0.0, "checking the result")
            verify(self.client, self.plan.subject, self.plan.timeout)
            step(0.0, "warming up")
            self._warm_up()
            for done, (threads, round_, probe) in enumerate(self._schedule()):
                step(min(done / planned, 0.99), f"{threads or ALL} threads, {probe or f'round {round_ + 1}'}")
                self.points.append(self._point(threads, round_, probe))
        except KeyboardInterrupt:
            self.interrupted = True
            self.error = f"interrupted after {len(self.points)} of {planned} runs"
        except (LostError, *LOSSES) as error:
            said = str(error) or f"{type(error).__name__}, the cluster did not answer in time"
            self.error = f"ended after {len(self.points)} of {planned} runs: {said}"
        return self._record()

    def _schedule(self) -> Iterator[tuple[int | None, int, str]]:
        """Threads (None: whatever the scheduler likes), round, and whether it is a probe of drift."""
        shuffle = random.Random(self.plan.seed)
        yield from [(self.counts[0], -1, "first")] * PROBES
        for round_ in range(self.plan.rounds):
            order: list[int | None] = [*self.counts, None]
            shuffle.shuffle(order)
            yield from ((threads, round_, "") for threads in order)
        for round_ in range(self.plan.rounds, 2 * self.plan.rounds):
            yield from ((threads, round_, "") for threads in self._disturbed())
        yield from [(self.counts[0], self.plan.rounds, "last")] * PROBES

    def _disturbed(self) -> list[int]:
        """The numbers of threads of which runs were left out, so that they are run again."""
        curve = Curve({"points": [asdict(point) for point in self.points]})
        valid = curve.of("compute_seconds")
        return [n for n in self.counts if self.points and len(valid.get(n, [])) < self.plan.rounds]

    def _count(self) -> None:
        subject, plan = self.plan.subject, self.plan
        for threads in self.counts:
            self.drawn[threads] = subject.drawn(subject.size_for(plan.mode, self._sizing(threads), plan.chunk_bytes))
        for threads, drawn in self.drawn.items():
            if drawn.bytes * COPIES > self.crew.memory(threads):
                raise SizeError(
                    f"{drawn.bytes / 1e9:.3g} GB of inputs, {COPIES} times over, do not fit into the"
                    f" {self.crew.memory(threads) / 1e9:.3g} GB of {threads} threads: make chunks smaller (--chunk),"
                    " or begin with more threads (--threads)"
                )
        self.growth = growth(subject, plan.chunk_bytes)

    def _sizing(self, threads: int) -> int:
        """For how many threads the cube of a point has chunks."""
        return threads if self.plan.mode == "weak" else self.counts[-1]

    def _warm_up(self) -> None:
        """Import, compile and allocate on each worker, and on all of them together."""
        subject = self.plan.subject
        everybody = [worker.address for worker in self.crew.workers]
        futures = []
        for worker in everybody:
            small = build(subject, hold(self.client, subject, subject.suite.sizes["smallest"], [worker]))
            futures.append(self.client.compute(small, workers=[worker], allow_other_workers=False))
        for future in futures:
            wait_for(self.client, future, everybody, self.plan.timeout)
        self.cold = self._point(self.counts[-1], -1, "cold").samples["compute_seconds"]
        # Processor time, which is the same on a machine that others load as well.
        once = self._point(self.counts[0], -1, "once").samples["cpu_seconds"] / self.counts[0]
        self.times = min(max(math.ceil(self.plan.least / once), 1), MOST_TIMES) if once > 0 else 1

    def _point(self, threads: int | None, round_: int, probe: str) -> Point:
        plan = self.plan
        taken = threads or self.counts[-1]
        size = plan.subject.size_for(plan.mode, self._sizing(taken), plan.chunk_bytes)
        subset = self.crew.subset(taken) if threads else sorted(alive(self.client))
        run = pinned_run(self.client, plan.subject, size, subset, plan.timeout, bool(threads), self.times)
        drawn, times = self.drawn[taken], self.times
        tasks = (drawn.graph.tasks - 1) * times + 1  # the last of each may be fused with what adds them up
        samples = {name: value for name, value in asdict(run).items() if name in MEASURED} | {"tasks": tasks}
        flags = dict(run.flags) | dict(_too_good(run, tasks, taken))
        total = taken if threads else sum(worker["nthreads"] for worker in alive(self.client).values())
        amount = (drawn.bytes * times, drawn.chunks * times)
        return Point(total, len(subset), bool(threads), round_, probe, *amount, samples, flags)

    def _record(self) -> store.Record:
        plan = self.plan
        made = store.record(
            "sweep",
            suite=plan.subject.name,
            params=plan.subject.params,
            samples={"cold_seconds": [self.cold]},
            settings={
                "title": plan.subject.title,
                "mode": plan.mode,
                "threads": self.counts,
                "rounds": plan.rounds,
                "chunk_bytes": plan.chunk_bytes,
                "per_thread": PER_THREAD,
                "seed": plan.seed,
                "times": self.times,
            },
            points=[asdict(point) for point in self.points],
            growth=[asdict(drawn) for drawn in self.growth],
            crew=self.crew.facts(),
            error=self.error,
            size="swept",
        )
        made["target"] |= self.about
        made["flags"] = self.flags | dict(judged(Curve(made)))
        return made


def pinned_run(
    client: distributed.Client,
    subject: Subject,
    size: Size,
    workers: Sequence[str],
    timeout: float,
    pinned: bool = True,
    times: int = 1,
) -> metrics.Run:
    """Run a subject at a size, once or so many times in one go, on some workers and on no others.

    They hold its inputs in equal shares; each of the times works on the same blocks under other names.

    Raises
    ------
    LostError
        If a worker goes away, or there is no result in time.
    """
    where: dict[str, Any] = {"workers": list(workers), "allow_other_workers": False} if pinned else {}
    _require(client, workers)
    held = hold(client, subject, size, workers, times)
    built: list[Any] = []

    def work() -> None:
        wait_for(client, client.compute(built[0], **where), workers, timeout)

    return metrics.measure(client, lambda: built.append(build(subject, held)), work)


def hold(
    client: distributed.Client, subject: Subject, size: Size, workers: Sequence[str], times: int = 1
) -> list[Suite]:
    """Suites with inputs in equal shares on some workers, under keys that no other run and no other suite has."""
    held = inputs.Held(client, workers)
    suites = [subject.at(size) for _ in range(times)]
    for suite in suites:
        suite.prepare = held
        suite.inputs(*subject.case)
    held.cubes.clear()  # only the shares are needed from here on
    return suites


def build(subject: Subject, suites: Sequence[Suite]) -> Any:
    """One small number that needs all that these suites build."""
    return functools.reduce(operator.add, [inputs.on_workers(suite.build(*subject.case)) for suite in suites])


def wait_for(client: distributed.Client, future: distributed.Future, workers: Sequence[str], timeout: float) -> Any:
    """Wait for a result as long as the workers live that must bring it: work pinned to others waits forever.

    Raises
    ------
    LostError
        If one of them goes away, or there is no result in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return future.result(timeout=POLL)
        except TimeoutError:
            _require(client, workers)
        if time.monotonic() > deadline:
            raise LostError(f"a run had no result after {timeout:g} s (--timeout)")


def _require(client: distributed.Client, workers: Sequence[str]) -> None:
    lost = set(workers) - set(alive(client))
    if lost:
        raise LostError(f"{len(lost)} of {len(workers)} workers went away")


def verify(client: distributed.Client, subject: Subject, timeout: float) -> None:
    """Compare what the cluster computes at the smallest size with the suite's reference.

    Raises
    ------
    WrongResultError
        If they differ.
    """
    suite = subject.suite()
    suite.size = "smallest"
    suite.prepare = inputs.Held(client)
    suite.inputs(*subject.case)
    future = client.compute(suite.build(*subject.case))
    built = np.asarray(wait_for(client, future, list(alive(client)), timeout))
    suite.prepare = inputs.loaded
    suite.inputs(*subject.case)
    try:
        suite.agree(built, np.asarray(suite.expected(*subject.case)))
    except AssertionError as error:
        raise WrongResultError(f"{subject.title} is not what its reference says:{error}") from error


def judged(curve: Curve) -> Iterator[tuple[str, str]]:
    """What makes a sweep doubtful as a whole, by name."""
    if (drift := curve.drift) is not None and abs(drift) > DRIFT:
        word = REJECTED if not 1 / (1 + HOPELESS) <= 1 + drift <= 1 + HOPELESS else ""
        yield "drift", f"{word}the smallest number of threads took {drift:+.0%} at the end against the beginning"
    if curve.error is None and drift is None:
        yield "drift", "whether the machine drifted is not known: it was not measured both first and last"
    for threads, times in curve.of("compute_seconds").items():
        if (factor := max(times) / min(times)) > DOUBTFUL:
            yield f"spread-{threads}", f"rounds on {threads} threads differ by a factor of {factor:.2g}"
    yield from _left_out(curve)
    few = [point for point in curve.points if point.chunks < PER_THREAD * point.threads]
    if few:
        yield "chunks", f"{few[0].chunks} chunks for {few[0].threads} threads are fewer than {PER_THREAD} for each"
    seen: dict[str, list[str]] = {}
    for point in curve.points:
        for name, says in point.flags.items():
            seen.setdefault(name, []).append(says)
    for name, all_said in seen.items():
        yield name, f"{all_said[0]} (in {len(all_said)} of {len(curve.points)} runs)"


def _left_out(curve: Curve) -> Iterator[tuple[str, str]]:
    """Runs and points that others have disturbed, and what is left."""
    measured = curve.everything("compute_seconds")
    for threads, late in curve.late.items():
        told = ", ".join(map(seconds, late))
        best = f"{LATE:g} times the fastest, {seconds(curve.fastest(threads))}"
        if threads in curve.rejected_points:
            yield (
                f"point-{threads}",
                f"the point of {threads} threads is rejected: fewer than {FEWEST} of its {len(measured[threads])} runs"
                f" come within {best}; others took {told}",
            )
        else:
            yield (
                f"late-{threads}",
                f"{len(late)} of {len(measured[threads])} runs on {threads} threads are left out: more than {best}"
                f" ({told})",
            )
    if len(measured) > 1 and len(curve.seconds) < 2:
        yield "points", f"{REJECTED}{len(curve.seconds)} of {len(measured)} points are left, too few for a curve"


def _too_good(run: metrics.Run, tasks: int, threads: int) -> Iterator[tuple[str, str]]:
    """What shows that a run did not do the work: another client's results were taken, or the clock lies."""
    if run.computed < tasks:
        yield "reused", f"only {run.computed} of {tasks} tasks were computed: results of others were taken"
    floor = run.cpu_seconds / threads
    if run.compute_seconds < FLOOR * floor:
        yield (
            "below-floor",
            f"{run.compute_seconds:.3g} s are less than the {floor:.3g} s that its tasks took on its threads",
        )


MEASURED = ("compute_seconds", "cpu_seconds", "bytes_moved", "bytes_spilled", "peak_worker_memory", "computed")
