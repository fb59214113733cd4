"""What the target's parts cost: a task, a copy in memory, a transfer between workers."""

from __future__ import annotations

import functools
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import distributed
import numpy as np

from .. import inputs, metrics
from .crew import Crew

FEW, MANY = 200, 1200  # tasks that do nothing: the slope between is a task's cost, the rest is a run's
SLEEP = 0.01  # seconds
SLEEPS = 40  # for each thread
COPIED = 64_000_000  # bytes, more than caches hold
TRANSFERRED = 32_000_000  # bytes
SMALL = 1_000  # bytes, whose transfer is all latency
REPEATS = 3
TIMEOUT = 300.0  # seconds; where others load the machine a task that does nothing takes fifty milliseconds

Step = Callable[[float, str], None]


@dataclass(frozen=True)
class Calibration:
    """Costs on a target; transfers are None where it has one worker."""

    threads: int
    each: int  # threads of a worker
    round_trip_seconds: float
    task_seconds: float  # to the whole cluster, one after the other: what the scheduler takes
    thread_task_seconds: float  # to the thread that does it
    sleepers: float  # of so many threads, how many slept at the same time
    copy_bandwidth: float  # bytes a second of one thread, while all of them copy
    transfer_bandwidth: float | None  # bytes a second of one worker, while all of them fetch
    transfer_seconds: float | None  # of next to nothing


def calibrate(client: distributed.Client, crew: Crew, step: Step) -> Calibration:
    """Measure what the parts of a run cost on these workers."""
    step(0.0, "round trips")
    round_trip = statistics.median(_seconds(lambda: client.run_on_scheduler(_nothing())) for _ in range(10 * REPEATS))
    step(0.1, "tasks")
    task = _task_seconds(client, crew)
    step(0.5, "sleeps")
    sleepers, thread_task = _sleepers(client, crew)
    step(0.7, "copies")
    copy = _copy_bandwidth(client, crew)
    step(0.8, "transfers")
    bandwidth, latency = _transfers(client, crew) if len(crew.workers) > 1 else (None, None)
    return Calibration(crew.threads, crew.each, round_trip, task, thread_task, sleepers, copy, bandwidth, latency)


def _task_seconds(client: distributed.Client, crew: Crew) -> float:
    """The slope of the time over the number of tasks that do nothing."""
    costs = []
    for repeat in range(REPEATS + 1):
        times, counts = [], []
        for number in (FEW, MANY):
            nothing = inputs.on_workers(_blocks(number))
            counts.append(metrics.graph_of(nothing).tasks)
            times.append(_seconds(functools.partial(_result, client, nothing, crew.subset(crew.threads))))
        if repeat:  # the first imports and opens connections
            costs.append((times[1] - times[0]) / (counts[1] - counts[0]))
    return max(statistics.median(costs), 0.0)


def _blocks(number: int) -> da.Array:
    """Blocks of a single value, a task each, that nobody has computed before."""
    name = f"nothing-{uuid.uuid4().hex}"
    return da.map_blocks(_one(), chunks=((1,) * number,), dtype="int8", meta=np.empty(0, "int8"), name=name)


def _sleepers(client: distributed.Client, crew: Crew) -> tuple[float, float]:
    """How many threads sleep at the same time, and what a task takes of a thread beside its work."""
    number = SLEEPS * crew.threads
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        futures = client.map(_sleep(), range(number), workers=crew.subset(crew.threads), pure=False)
        distributed.wait(futures, timeout=TIMEOUT)
        times.append(time.perf_counter() - began)
    best = min(times)
    return number * SLEEP / best, max(best * crew.threads / number - SLEEP, 0.0)


def _copy_bandwidth(client: distributed.Client, crew: Crew) -> float:
    futures = [
        client.submit(_copy(), COPIED, workers=[worker.address], pure=False)
        for worker in crew.workers
        for _ in range(worker.threads)
    ]
    return statistics.median(future.result(timeout=TIMEOUT) for future in futures)


def _transfers(client: distributed.Client, crew: Crew) -> tuple[float, float]:
    """Each worker fetches a block of its neighbour, all at the same time."""
    times: dict[int, list[float]] = {SMALL: [], TRANSFERRED: []}
    for repeat in range(REPEATS + 1):
        for size, taken in times.items():
            seconds = _ring(client, [worker.address for worker in crew.workers], size)
            if repeat:
                taken.append(seconds)
    small, large = (statistics.median(taken) for taken in times.values())
    return (TRANSFERRED - SMALL) / max(large - small, 1e-9), small


def _ring(client: distributed.Client, workers: Sequence[str], size: int) -> float:
    held = [client.submit(_bytes(), size, workers=[worker], pure=False) for worker in workers]
    distributed.wait(held, timeout=TIMEOUT)
    began = time.perf_counter()
    fetched = [
        client.submit(_length(), block, workers=[workers[(number + 1) % len(workers)]], pure=False)
        for number, block in enumerate(held)
    ]
    distributed.wait(fetched, timeout=TIMEOUT)
    return time.perf_counter() - began


def _result(client: distributed.Client, collection: Any, workers: Sequence[str]) -> Any:
    return client.compute(collection, workers=list(workers), allow_other_workers=False).result(timeout=TIMEOUT)


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# Remote workers do not have this package. A function inside a function cannot be found by name and so is pickled
# with its code, which is what the following are for.


def _nothing() -> Callable[[], None]:
    def nothing() -> None: ...

    return nothing


def _one() -> Callable[..., np.ndarray]:
    def one(block_info: Any = None) -> np.ndarray:
        import numpy

        return numpy.ones(1, "int8")

    return one


def _sleep() -> Callable[[int], None]:
    seconds = SLEEP

    def sleep(number: int) -> None:
        import time

        time.sleep(seconds)

    return sleep


def _copy() -> Callable[[int], float]:
    repeats = REPEATS

    def copy(size: int) -> float:
        import time

        import numpy

        source, place = numpy.ones(size // 8), numpy.empty(size // 8)
        place[:] = source  # the first touch of memory is another cost
        began = time.perf_counter()
        for _ in range(repeats):
            place[:] = source
        return repeats * size / (time.perf_counter() - began)

    return copy


def _bytes() -> Callable[[int], np.ndarray]:
    def make(size: int) -> np.ndarray:
        import numpy

        # random, or a connection that compresses would look fast
        return numpy.random.default_rng(0).integers(0, 256, size, dtype="uint8")

    return make


def _length() -> Callable[[np.ndarray], int]:
    def length(block: np.ndarray) -> int:
        return len(block)

    return length
