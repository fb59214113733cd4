"""A bound for sizes that cannot be run here: exact counts at that size, and costs that were measured on the target."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import distributed

from .. import inputs, metrics
from ..suite import Size
from ..terminal import number, seconds, size
from .calibrate import Calibration
from .crew import Crew, staircase
from .subjects import Seen, Subject
from .sweep import TIMEOUT, pinned_run

CHUNK = 128_000_000  # bytes of a chunk of a projection, unless it is said
RUN_CHUNK = 8_000_000  # and of what is run here to learn from it
MOST_CHUNKS = 200_000  # whose graph is built within minutes and some gigabytes
ROUNDS = 3
LEARNING = 5  # rounds of the cube from which all the others are projected
LEARNED = (2, 2)  # rows and columns of chunks of the cube from which rates are learned
TRIED = ((2, 4), (4, 4), (4, 8))  # and of those that are projected from it and run

Step = Callable[[float, str], None]


class ProjectionError(ValueError):
    """Nothing can be said of such a size: says why."""


@dataclass(frozen=True)
class Rates:
    """What a suite costs by byte of its inputs, learned from runs of a small cube on all threads."""

    bytes: int  # of that cube
    chunks: int
    chunk_bytes: float
    cpu_seconds: float  # of processor time, a byte
    moved: float  # bytes, a byte, if every block were on another worker; NaN where there is one worker
    workers: int
    alone: float = 1.0  # times its own bound that this cube took on a single worker: what the bound leaves out
    together: float = 1.0  # and on all of them

    def beyond(self, workers: int) -> float:
        """How many times its bound a run on so many workers is expected to take."""
        return self.alone if workers == 1 else self.together


@dataclass(frozen=True)
class Counts:
    """What is exact of a size: its graph is built, and not run."""

    bytes: int
    chunks: int
    graph: metrics.Graph
    build_seconds: float


@dataclass(frozen=True)
class Projection:
    """Seconds that no run can be below, if the assumptions hold: `max` of the first three, and the others on top.

    A run takes longer: threads wait for tasks, tasks for each other's memory. How much longer is learned as well.
    """

    threads: int
    workers: int
    counts: Counts
    work: float  # of all threads together, shared out by whole chunks
    chain: float  # the longest chain of tasks
    scheduling: float  # tasks through one scheduler
    transfer: float
    building: float
    beyond: float = 1.0  # times the bound that the small cube took from which rates were learned

    @property
    def seconds(self) -> float:
        """The bound."""
        return max(self.work, self.chain, self.scheduling) + self.transfer + self.building

    @property
    def expected(self) -> float:
        """The time if a run stays as far from its bound as the small cube did."""
        return self.seconds * self.beyond

    @property
    def governed_by(self) -> str:
        """What would have to be better for the bound to be lower."""
        parts = {"work": self.work, "the longest chain of tasks": self.chain, "scheduling": self.scheduling}
        parts |= {"transfers": self.transfer, "building the graph": self.building}
        return max(parts, key=lambda name: parts[name])


def learn(
    client: distributed.Client, subject: Subject, crew: Crew, chunk_bytes: float, costs: Calibration, step: Step
) -> Rates:
    """Run a small cube on one worker and on all, in turns, a few times, the first of which does not count."""
    cube = subject.size(LEARNED, chunk_bytes)
    runs: dict[int, list[metrics.Run]] = {threads: [] for threads in sorted({crew.each, crew.threads})}
    for round_ in range(LEARNING + 1):
        for threads, taken in runs.items():
            step(round_ / (LEARNING + 1), f"a small cube on {threads} threads")
            taken.append(pinned_run(client, subject, cube, crew.subset(threads), TIMEOUT))
    runs = {threads: taken[1:] for threads, taken in runs.items()}
    what = counts(subject, cube)
    workers = len(crew.subset(crew.threads))
    cpu = statistics.median(run.cpu_seconds for run in runs[crew.threads])
    moved = statistics.median(run.bytes_moved for run in runs[crew.threads])
    apart = 1 - 1 / workers  # the share of the blocks that lie on another worker than a given one
    share = moved / what.bytes / apart if apart else float("nan")
    rates = Rates(what.bytes, what.chunks, chunk_bytes, cpu / what.bytes, share, workers)
    beyond = {
        threads: statistics.median(run.build_seconds + run.compute_seconds for run in taken)
        / project(what, rates, costs, threads).seconds
        for threads, taken in runs.items()
    }
    return replace(rates, alone=beyond[crew.each], together=beyond[crew.threads])


def counts(subject: Subject, cube: Size) -> Counts:
    """Build what a size would be, count it, and drop it.

    Raises
    ------
    ProjectionError
        If it has more chunks than can be counted.
    """
    blocks = 1
    for length, chunk in zip(cube.shape, cube.chunks, strict=True):
        blocks *= -(-length // chunk)
    if blocks > MOST_CHUNKS:
        raise ProjectionError(f"{blocks:,} chunks are more than {MOST_CHUNKS:,}: make chunks larger (--chunk)")
    suite = subject.at(cube)
    seen = Seen(metrics.in_memory)
    suite.prepare = seen
    suite.inputs(*subject.case)
    began = time.perf_counter()
    small = inputs.on_workers(suite.build(*subject.case))
    built = time.perf_counter() - began
    return Counts(seen.bytes, seen.chunks, metrics.graph_of(small), built)


def project(what: Counts, rates: Rates, costs: Calibration, threads: int) -> Projection:
    """The bound of a size on so many threads, of workers like those here.

    Raises
    ------
    ProjectionError
        If such workers cannot have so many threads.
    """
    if threads < 1 or threads % costs.each:
        raise ProjectionError(f"workers here have {costs.each} threads each: {threads} threads are not whole workers")
    workers, tasks = threads // costs.each, what.graph.tasks
    of_one = rates.cpu_seconds * what.bytes + tasks * costs.thread_task_seconds
    moved = 0.0 if workers == 1 or rates.workers == 1 else rates.moved * what.bytes * (1 - 1 / workers)
    bandwidth = costs.transfer_bandwidth
    return Projection(
        threads=threads,
        workers=workers,
        counts=what,
        work=of_one / staircase(what.chunks, threads),
        chain=what.graph.critical_path * (of_one / max(tasks, 1) + costs.round_trip_seconds / 2),
        scheduling=tasks * costs.task_seconds,
        transfer=moved / (workers * bandwidth) if bandwidth else 0.0,
        building=what.build_seconds,
        beyond=rates.beyond(workers),
    )


def assumptions(one: Projection, rates: Rates, costs: Calibration, memory: float) -> Iterator[str]:
    """All that the bound takes for granted, with the numbers."""
    what = one.counts
    factor = what.bytes / rates.bytes
    yield (
        f"a byte takes as much processor time as in the cube of {size(rates.bytes)} that was run here"
        f" ({rates.cpu_seconds * 1e9:.3g} s a GB): {factor:,.0f} times as large"
    )
    if abs(what.bytes / what.chunks / (rates.bytes / rates.chunks) - 1) > 0.01:
        yield (
            f"and in chunks of {size(what.bytes / what.chunks)} the same as in those of"
            f" {size(rates.bytes / rates.chunks)} that were run"
        )
    yield "the inputs lie in the workers' memory: neither reading nor writing files is in it"
    held = f"each of {one.workers} workers holds {size(what.bytes / one.workers)} of inputs"
    yield f"{held}, those here may use {size(memory)}" if memory else held
    yield f"{one.threads} threads in workers with {costs.each} each, every one as fast as those here, all the time"
    yield f"one scheduler takes {seconds(costs.task_seconds)} for a task, however many there are and whoever does them"
    yield f"a thread takes {seconds(costs.thread_task_seconds)} for a task beside its work"
    if rates.workers == 1 or not costs.transfer_bandwidth:
        yield "transfers are left out: they cannot be measured on the single worker that is here"
    else:
        yield (
            f"of each byte, {rates.moved:.3g} bytes would move if all blocks lay elsewhere, and do so at"
            f" {size(costs.transfer_bandwidth)}/s in and out of every worker at the same time"
        )
        yield "transfers do not overlap with work, work does with scheduling"
    yield (
        f"what is expected is {one.beyond:.2f} times the bound, as the cube of {size(rates.bytes)} took on"
        f" {'one worker' if one.workers == 1 else f'the {rates.workers} workers'} here, waiting and sharing included"
    )
    yield "no worker fails, nothing is spilled, nobody else uses the cluster"


@dataclass(frozen=True)
class Trial:
    """A size that was projected, and run."""

    projection: Projection
    measured: list[float]

    @property
    def ratio(self) -> float:
        """The time that it took by the bound: 1 where nothing is missing, below 1 where the bound is none."""
        return statistics.median(self.measured) / self.projection.seconds

    @property
    def error(self) -> float:
        """The time that it took by the time that was expected."""
        return statistics.median(self.measured) / self.projection.expected


def validate(
    client: distributed.Client, subject: Subject, crew: Crew, rates: Rates, costs: Calibration, step: Step
) -> list[Trial]:
    """Project sizes that can be run here from a smaller one, run them, and compare."""
    wanted = [(planes, threads) for planes in TRIED for threads in sorted({crew.each, crew.threads})]
    trials = []
    for done, (planes, threads) in enumerate(wanted):
        cube = subject.size(planes, rates.chunk_bytes)
        step(done / len(wanted), f"{planes[0] * planes[1]} columns of chunks on {threads} threads")
        what = counts(subject, cube)
        runs = [pinned_run(client, subject, cube, crew.subset(threads), TIMEOUT) for _ in range(ROUNDS)]
        measured = [run.build_seconds + run.compute_seconds for run in runs]
        trials.append(Trial(project(what, rates, costs, threads), measured))
    return trials


COLUMNS = (
    "inputs",
    "chunks",
    "tasks",
    "threads",
    "expected",
    "bound",
    "work",
    "chain",
    "scheduling",
    "transfer",
    "building",
)


def row(one: Projection) -> list[str]:
    """The cells of a table."""
    what = one.counts
    parts = (one.expected, one.seconds, one.work, one.chain, one.scheduling, one.transfer, one.building)
    return [
        size(what.bytes),
        number(what.chunks),
        number(what.graph.tasks),
        number(one.threads),
        *(seconds(part) for part in parts),
    ]


def stored(trials: Sequence[Trial]) -> list[dict[str, object]]:
    """What a record keeps of trials."""
    return [
        {
            **asdict(trial.projection),
            "bound": trial.projection.seconds,
            "measured": trial.measured,
            "ratio": trial.ratio,
            "error": trial.error,
        }
        for trial in trials
    ]
