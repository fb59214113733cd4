"""Projections: what is counted, what a bound is made of, and what is said of it."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import metrics
from benchmarks.scaling import calibrate, project
from benchmarks.scaling.arguments import size
from benchmarks.scaling.calibrate import Calibration
from benchmarks.scaling.crew import crew
from benchmarks.scaling.project import Counts, ProjectionError, Rates
from benchmarks.scaling.subjects import find

MEDIAN = "cubes.reduce.ReduceDimensionAcrossChunks-median"
CHUNK = 100_000
COSTS = Calibration(
    threads=4,
    each=2,
    round_trip_seconds=0.0,
    task_seconds=0.001,
    thread_task_seconds=0.01,
    sleepers=4.0,
    copy_bandwidth=1e9,
    transfer_bandwidth=1e8,
    transfer_seconds=0.001,
)
RATES = Rates(bytes=10**8, chunks=10, chunk_bytes=10**7, cpu_seconds=1e-9, moved=0.5, workers=2)


def counted(bytes_=10**10, chunks=1000, tasks=1100, chain=5, built=0.5):
    graph = metrics.Graph(tasks=tasks, edges=0, critical_path=chain, width=0, bytes=0)
    return Counts(bytes_, chunks, graph, built)


# --- the bound


def test_the_bound_is_made_of_its_parts():
    one = project.project(counted(), RATES, COSTS, threads=8)
    work = 1e10 * 1e-9 + 1100 * 0.01
    assert one.workers == 4
    assert one.work == pytest.approx(work / 8)
    assert one.chain == pytest.approx(5 * work / 1100)
    assert one.scheduling == pytest.approx(1.1)
    assert one.transfer == pytest.approx(0.5 * 1e10 * 0.75 / (4 * 1e8))
    assert one.seconds == pytest.approx(max(work / 8, 5 * work / 1100, 1.1) + one.transfer + 0.5)


def test_what_is_expected_is_as_far_from_the_bound_as_what_was_learned_from():
    rates = Rates(**{**vars(RATES), "alone": 1.25, "together": 2.0})
    one, four = (project.project(counted(), rates, COSTS, threads=threads) for threads in (2, 8))
    assert one.expected == pytest.approx(1.25 * one.seconds)
    assert four.expected == pytest.approx(2 * four.seconds)
    assert "2.00 times the bound" in "\n".join(project.assumptions(four, rates, COSTS, 8e9))
    trial = project.Trial(four, [3 * four.seconds])
    assert trial.ratio == pytest.approx(3)
    assert trial.error == pytest.approx(1.5)
    assert "error" in project.stored([trial])[0]


def test_threads_do_whole_chunks():
    few = project.project(counted(chunks=9), RATES, COSTS, threads=8)
    assert few.work == pytest.approx(2 * project.project(counted(chunks=8), RATES, COSTS, threads=8).work * 8 / 9)


@pytest.mark.parametrize(
    ("what", "threads", "governed"),
    [
        (counted(), 2, "work"),
        (counted(tasks=10**6, bytes_=10**6), 2000, "scheduling"),
        (counted(chain=900), 1000, "the longest chain of tasks"),
        (counted(bytes_=10**12, tasks=1000), 1000, "transfers"),
        (counted(bytes_=10**6, tasks=10, built=9.0), 2, "building the graph"),
    ],
)
def test_what_governs_is_named(what, threads, governed):
    assert project.project(what, RATES, COSTS, threads).governed_by == governed


def test_a_single_worker_moves_nothing():
    assert project.project(counted(), RATES, COSTS, threads=2).transfer == 0


@pytest.mark.parametrize("threads", [0, 3])
def test_threads_are_those_of_whole_workers(threads):
    with pytest.raises(ProjectionError, match="whole workers"):
        project.project(counted(), RATES, COSTS, threads)


def test_every_assumption_is_said():
    one = project.project(counted(), RATES, COSTS, threads=8)
    said = "\n".join(project.assumptions(one, RATES, COSTS, 8e9))
    size_and_work = ("1 s a GB", "100 times as large", "neither reading nor writing", "holds 2.5 GB", "8 GB")
    for word in (*size_and_work, "1 ms", "10 ms", "0.5 bytes", "100 MB/s", "no worker fails"):
        assert word in said
    alone = "\n".join(project.assumptions(one, RATES, COSTS, memory=0))
    assert "may use" not in alone


def test_what_cannot_be_measured_on_one_worker_is_said():
    lonely = Rates(**{**vars(RATES), "workers": 1, "moved": float("nan")})
    one = project.project(counted(), lonely, COSTS, threads=8)
    assert one.transfer == 0
    assert "transfers are left out" in "\n".join(project.assumptions(one, lonely, COSTS, 0))


# --- counts


def test_the_graph_of_a_large_size_is_counted_and_nothing_is_computed():
    subject = find(MEDIAN)
    with metrics.run_locally(), metrics.Tally() as tally:
        what = project.counts(subject, subject.size_of(2e12, 1e9))
    assert tally.tasks == 0
    assert what.bytes >= 2e12
    assert what.graph.tasks >= what.chunks // 4  # four chunks of a pixel's dates become one


def test_more_chunks_than_can_be_counted_are_refused():
    subject = find(MEDIAN)
    with pytest.raises(ProjectionError, match="make chunks larger"):
        project.counts(subject, subject.size_of(4 * 2**40, 1e6))


@pytest.mark.parametrize(
    ("text", "bytes_"), [("4TiB", 4 * 2**40), ("500 GB", 5e11), ("8e6", 8e6), ("1.5k", 1500), ("7MiB", 7 * 2**20)]
)
def test_sizes_are_read(text, bytes_):
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "GB", "-1", "4 apples", "0", "1.2.3"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no size"):
        size(text)


# --- on a cluster


def test_costs_are_measured_and_plausible(external, monkeypatch):
    monkeypatch.setattr(calibrate, "MANY", 1000)
    external.wait_for_workers(2, timeout=60)
    costs = calibrate.calibrate(external, crew(external), lambda share, doing: None)
    assert (costs.threads, costs.each) == (2, 1)
    assert 0 < costs.sleepers <= 2.05
    assert 0 <= costs.task_seconds < 1
    assert costs.copy_bandwidth > 1e7
    assert costs.transfer_bandwidth is not None
    assert costs.transfer_bandwidth > 1e6


def test_a_bound_is_compared_with_runs(external, monkeypatch):
    monkeypatch.setattr(project, "TRIED", ((2, 4),))
    external.wait_for_workers(2, timeout=60)
    subject, found = find(MEDIAN), crew(external)
    costs = Calibration(**{**vars(COSTS), "each": 1, "threads": 2, "task_seconds": 0.0, "thread_task_seconds": 0.0})
    rates = project.learn(external, subject, found, CHUNK, costs, lambda share, doing: None)
    assert rates.alone > 1  # of tasks that take a millisecond most is waiting
    assert rates.together > 1
    assert 0.4 < rates.moved < 1.2  # half of the bytes of each of two workers, which is all if it were all elsewhere
    trials = project.validate(external, subject, found, rates, costs, lambda share, doing: None)
    assert [trial.projection.threads for trial in trials] == [1, 2]
    for trial in trials:
        assert trial.projection.counts.bytes == 2 * rates.bytes
        assert len(trial.measured) == project.ROUNDS
        assert trial.ratio > 0
    assert project.stored(trials)[0]["ratio"] == trials[0].ratio
