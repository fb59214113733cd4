"""Which workers take part in a sweep, and how many threads can be had of them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from benchmarks.scaling.crew import Crew, CrewError, Worker, crew, doubts, parse_threads, staircase


def cluster(*workers):
    """A client of workers that are (host, threads, memory)."""
    info = {
        f"tcp://{host}:{port}": {"host": host, "nthreads": threads, "memory_limit": memory}
        for port, (host, threads, memory) in enumerate(workers)
    }
    return SimpleNamespace(
        sync=lambda asked, **options: asked(**options),
        scheduler=SimpleNamespace(identity=lambda n_workers: {"workers": info}),
        run=lambda function, workers: dict.fromkeys(workers, 4),
    )


def alike(number, threads=1, memory=10**9):
    return Crew(tuple(Worker(f"tcp://a:{port}", "a", threads, memory) for port in range(number)), 0)


def test_workers_that_differ_are_left_out():
    found = crew(cluster(("a", 2, 10**9), ("b", 4, 10**9), ("a", 2, 10**9)))
    assert (found.each, found.threads, found.others) == (2, 4, 1)


def test_limits_of_memory_that_differ_by_little_are_alike():
    assert crew(cluster(("a", 2, 8_012_345_678), ("a", 2, 8_012_399_999))).others == 0


def test_workers_of_a_host_stand_together():
    found = crew(cluster(("b", 1, 0), ("a", 1, 0), ("b", 1, 0), ("a", 1, 0)))
    assert [worker.host for worker in found.workers] == ["a", "a", "b", "b"]
    assert found.subset(2) == ["tcp://a:1", "tcp://a:3"]


def test_threads_are_whole_workers():
    assert alike(4, threads=2).counts([1, 2, 3, 4, "all"]) == ([2, 4, 8], [1, 3])
    assert len(alike(4, threads=2).subset(4)) == 2


def test_more_threads_than_there_are_cannot_be_had():
    assert alike(2).counts([1, 2, 4]) == ([1, 2], [4])
    with pytest.raises(CrewError, match="8, 16 threads cannot be had of 2 workers with 1 threads each"):
        alike(2).counts([8, 16])


def test_memory_is_of_the_workers_that_take_part():
    assert alike(4, threads=2).memory(4) == 2 * 10**9
    assert math.isinf(alike(4, memory=0).memory(1))


@pytest.mark.parametrize(("text", "asked"), [("1,2,4,all", [1, 2, 4, "all"]), (" 8 , ALL", [8, "all"])])
def test_threads_are_read(text, asked):
    assert parse_threads(text) == asked


@pytest.mark.parametrize("text", ["", "0", "1,,2", "-1", "many", "1.5"])
def test_what_is_no_number_of_threads_is_refused(text):
    with pytest.raises(CrewError, match="such as 1,2,4,all"):
        parse_threads(text)


def test_more_threads_than_processors_are_doubtful():
    client = cluster(*[("a", 2, 0)] * 3)
    found = crew(client)
    assert dict(doubts(client, found, [2, 4])) == {}
    assert dict(doubts(client, found, [2, 6])) == {"oversubscribed": "6 threads share the 4 processors of one host"}


def test_the_ideal_is_a_staircase():
    assert [staircase(16, n) for n in (1, 2, 3, 5, 8, 9, 16, 100)] == [1, 2, 16 / 6, 4, 8, 8, 16, 16]
