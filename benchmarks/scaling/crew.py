"""Who takes part in a sweep: workers that are alike, sorted by host, and which of them a number of threads is."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import distributed

from .. import metrics

ALL = "all"


class CrewError(ValueError):
    """The workers cannot give the threads that were asked for: says what can be asked for."""


@dataclass(frozen=True)
class Worker:
    """What of a worker matters to a sweep."""

    address: str
    host: str
    threads: int
    memory: int  # bytes, or 0 where it has no limit


@dataclass(frozen=True)
class Crew:
    """Workers that have the same threads and memory, those of a host behind each other."""

    workers: tuple[Worker, ...]
    others: int  # workers that differ from these and are left out

    @property
    def each(self) -> int:
        """Threads of one worker."""
        return self.workers[0].threads

    @property
    def threads(self) -> int:
        """Threads of all."""
        return self.each * len(self.workers)

    def subset(self, threads: int) -> list[str]:
        """The addresses of the workers that have so many threads."""
        return [worker.address for worker in self.workers[: threads // self.each]]

    def memory(self, threads: int) -> float:
        """What those may use together; infinite where they have no limit."""
        limit = self.workers[0].memory
        return limit * (threads // self.each) if limit else math.inf

    def facts(self) -> dict[str, int]:
        """What may be published of them."""
        return {
            "workers": len(self.workers),
            "threads": self.threads,
            "hosts": len({worker.host for worker in self.workers}),
            "memory": sum(worker.memory for worker in self.workers),
        }

    def counts(self, asked: Sequence[int | str]) -> tuple[list[int], list[int]]:
        """The numbers of threads that can be had, and those that cannot: only whole workers can be chosen.

        Raises
        ------
        CrewError
            If none can be had.
        """
        wanted = sorted({self.threads if count == ALL else int(count) for count in asked})
        can = [count for count in wanted if count % self.each == 0 and count <= self.threads]
        if not can:
            raise CrewError(
                f"{', '.join(map(str, wanted))} threads cannot be had of {len(self.workers)} workers"
                f" with {self.each} threads each"
            )
        return can, [count for count in wanted if count not in can]


def crew(client: distributed.Client) -> Crew:
    """The largest group of workers that are alike."""
    groups: dict[tuple[int, int], list[Worker]] = collections.defaultdict(list)
    for address, worker in alive(client).items():
        threads, memory = int(worker["nthreads"]), int(worker["memory_limit"] or 0)
        # Limits that a machine derives from its free memory differ by little.
        groups[threads, round(memory, -8)].append(Worker(address, str(worker["host"]), threads, memory))
    largest = max(groups.values(), key=lambda group: sum(worker.threads for worker in group))
    chosen = tuple(sorted(largest, key=lambda worker: (worker.host, worker.address)))
    return Crew(chosen, sum(map(len, groups.values())) - len(chosen))


def alive(client: distributed.Client) -> dict[str, Any]:
    """What the scheduler knows of its workers, by address."""
    return metrics.workers(client)


def doubts(client: distributed.Client, found: Crew, counts: Sequence[int]) -> Iterator[tuple[str, str]]:
    """What about these workers makes a curve over their number another thing than it seems, by name."""
    if found.others:
        yield "others", f"{found.others} workers have other threads or memory than the rest and were left out"
    used = collections.Counter(worker.host for worker in found.workers[: max(counts) // found.each])
    cores = client.run(_cores(), workers=[worker.address for worker in found.workers])
    for host, workers in used.items():
        has = max(cores[worker.address] for worker in found.workers if worker.host == host)
        if workers * found.each > has:
            yield "oversubscribed", f"{workers * found.each} threads share the {has} processors of one host"


def parse_threads(text: str) -> list[int | str]:
    """Read `1,2,4,all`.

    Raises
    ------
    CrewError
        If that is something else.
    """
    asked: list[int | str] = []
    for part in text.split(","):
        count = part.strip().lower()
        if count != ALL and not (count.isdecimal() and int(count) > 0):
            raise CrewError(f"threads are counts above zero and `{ALL}`, such as 1,2,4,{ALL}, not {part!r}")
        asked.append(ALL if count == ALL else int(count))
    return asked


def staircase(chunks: int, threads: float) -> float:
    """The speed-up of chunks of equal cost over one thread: each thread does one after the other, whole ones."""
    return chunks / math.ceil(chunks / threads)


def _cores() -> Callable[[], int]:
    # Remote workers do not have this package. A function inside a function is pickled with its code.
    def count() -> int:
        import dask.system

        return dask.system.CPU_COUNT

    return count
