"""A sweep on workers that were started elsewhere: what is measured, what is seen to be wrong, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import distributed
import psutil
import pytest

from benchmarks import inputs, store, target
from benchmarks.scaling import sweep
from benchmarks.scaling.crew import crew
from benchmarks.scaling.curves import Curve, Point
from benchmarks.scaling.subjects import Subject, find
from benchmarks.suite import Suite
from tests.clusters import separate_processes

ROOT = Path(__file__).parents[3]
CHUNK = 100_000
PATIENCE = 200.0  # seconds
MEDIAN = "cubes.reduce.ReduceDimensionAcrossChunks-median"


class Slow(Suite):
    """Each chunk takes its time; not where suites are looked for."""

    def build(self):
        def wait(block):
            import time

            time.sleep(0.2)
            return block

        return self.cube.copy(data=self.cube.data.map_blocks(wait, meta=self.cube.data._meta))

    def expected(self):
        return self.cube


class Wrong(Slow):
    def build(self):
        return self.cube + 1

    def expected(self):
        return self.cube + 2


@pytest.fixture
def both(external: distributed.Client) -> distributed.Client:
    """A client of the separate processes, once both of them are there."""
    external.wait_for_workers(2, timeout=60)
    return external


def swept(client: distributed.Client, subject: Subject, mode: str = "strong", step=None, **options) -> sweep.Sweep:
    plan = sweep.Plan(subject, mode, (1, 2), **{"chunk_bytes": CHUNK, "least": 0.0, **options})
    found = crew(client)
    made = sweep.Sweep(client, plan, found, found.counts(plan.threads)[0])
    made.record = made.run(step or (lambda share, doing: None))
    return made


def command_line(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != target.ADDRESS} | variables
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


# --- what is measured


@pytest.mark.parametrize("mode", ["strong", "weak"])
def test_every_number_of_threads_is_measured_in_every_round(both, mode):
    made = swept(both, find(MEDIAN), mode)
    curve = Curve(json.loads(json.dumps(made.record)))
    assert curve.error is None
    taken = curve.everything("compute_seconds")
    again = {threads: len(taken[threads]) - 3 for threads in (1, 2)}  # where others disturbed a run
    assert all(0 <= more <= 3 and bool(more) == (threads in curve.late) for threads, more in again.items())
    assert {threads: len(times) for threads, times in curve.everything("compute_seconds", False).items()} == {2: 3}
    assert [point.probe for point in curve.points if point.probe] == ["first", "first", "last", "last"]
    chunks = curve.chunks()
    assert chunks[2] == (2 if mode == "weak" else 1) * chunks[1]
    assert made.record["target"]["label"] == "external"
    assert made.record["crew"] | {"memory": 0} == {"workers": 2, "threads": 2, "hosts": 1, "memory": 0}
    assert made.record["samples"]["cold_seconds"][0] > 0


def test_only_the_chosen_workers_do_the_work(both):
    subject = find(MEDIAN)
    chosen, other = sorted(both.scheduler_info(n_workers=-1)["workers"])

    def executed() -> dict[str, int]:
        return both.run(lambda dask_worker: dask_worker.state.executed_count)

    before = executed()
    run = sweep.pinned_run(both, subject, subject.size((2, 2), CHUNK), [chosen], 60)
    after = executed()
    assert after[other] == before[other]
    assert after[chosen] - before[chosen] >= run.computed > 0
    assert run.bytes_moved < 1000


def test_what_moves_between_workers_is_counted(both):
    subject = find(MEDIAN)
    size = subject.size((2, 2), CHUNK)
    run = sweep.pinned_run(both, subject, size, crew(both).subset(2), 60)
    assert 0.4 < run.bytes_moved / subject.drawn(size).bytes < 0.6  # each of two workers wants half of the other's


def test_work_that_is_too_short_is_done_over_on_the_same_blocks(both):
    subject = find(MEDIAN)
    size = subject.size((2, 2), CHUNK)
    once, thrice = (sweep.pinned_run(both, subject, size, crew(both).subset(2), 60, times=n) for n in (1, 3))
    assert 3 * (once.computed - 1) < thrice.computed <= 3 * once.computed + 2  # which add the three up
    assert 2.8 < thrice.bytes_moved / once.bytes_moved < 3.2
    made = swept(both, subject, least=0.3, rounds=2)
    assert made.times > 1
    assert {point.chunks for point in made.points} == {made.times * made.drawn[2].chunks}
    one = [point.samples["cpu_seconds"] for point in made.points if point.threads == 1]
    assert min(one) > 0.1


def test_a_run_that_was_disturbed_is_done_again(both, monkeypatch):
    taken = []

    def run(self, threads, round_, probe):
        slow = threads == 2 and round_ == 1
        taken.append((threads, round_))
        return Point(threads or 2, 1, bool(threads), round_, probe, 1, 8, {"compute_seconds": 9.0 if slow else 1.0})

    made = sweep.Sweep(both, sweep.Plan(find(MEDIAN), "strong"), crew(both), [1, 2])
    monkeypatch.setattr(sweep.Sweep, "_point", run)
    for planned in made._schedule():
        made.points.append(made._point(*planned))
    assert len(taken) == 14
    assert taken.count((2, 3)) == 1
    assert taken[-2:] == [(1, 3)] * 2


def test_the_order_is_random_and_the_same_for_a_seed(both):
    def order(seed: int) -> list[tuple]:
        plan = sweep.Plan(find(MEDIAN), "strong", (1, 2), seed=seed)
        found = crew(both)
        return list(sweep.Sweep(both, plan, found, [1, 2])._schedule())

    assert order(1) == order(1) != order(2)
    assert all(sorted(map(str, order(seed))) == sorted(map(str, order(0))) for seed in range(5))


# --- what is wrong


def test_a_wrong_result_is_refused_before_anything_is_measured(both):
    with pytest.raises(sweep.WrongResultError, match="Mismatched elements"):
        swept(both, Subject("wrong", Wrong, ()))


def test_cubes_that_do_not_fit_are_refused(both):
    found = crew(both)
    memory = found.memory(1)
    plan = sweep.Plan(find(MEDIAN), "strong", (1,), chunk_bytes=memory)
    with pytest.raises(sweep.SizeError, match="make chunks smaller"):
        sweep.Sweep(both, plan, found, [1]).run(lambda share, doing: None)


def test_results_of_others_are_seen(both):
    subject = find(MEDIAN)
    size = subject.size((2, 2), CHUNK)
    run = sweep.pinned_run(both, subject, size, crew(both).subset(1), 60)
    few = type(run)(**{**vars(run), "computed": 1})
    quick = type(run)(**{**vars(run), "compute_seconds": 0.1, "cpu_seconds": 1.0})
    drawn = subject.drawn(size)
    assert dict(sweep._too_good(run, drawn.graph.tasks, 1)) == {}
    assert "results of others" in dict(sweep._too_good(few, drawn.graph.tasks, 1))["reused"]
    assert "0.1 s are less than the 0.5 s" in dict(sweep._too_good(quick, drawn.graph.tasks, 2))["below-floor"]


def test_a_run_that_takes_too_long_ends_the_sweep(both):
    made = swept(both, Subject("slow", Slow, ()), timeout=0.5)
    assert made.record["error"] == "ended after 0 of 13 runs: a run had no result after 0.5 s (--timeout)"


def test_an_interruption_keeps_what_was_measured(both):
    def step(share: float, doing: str) -> None:
        if "round 2" in doing:
            raise KeyboardInterrupt

    made = swept(both, find(MEDIAN), step=step)
    assert made.interrupted
    curve = Curve(made.record)
    assert curve.error == "interrupted after 5 of 13 runs"
    assert {len(times) for times in curve.everything("compute_seconds").values()} == {1}


def test_a_worker_that_dies_ends_the_sweep_with_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "TIMEOUT", 30.0)
    with separate_processes(tmp_path) as address, distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        victims = client.run(os.getpid)

        def step(share: float, doing: str) -> None:
            if "round 2" in doing and victims:
                psutil.Process(victims.popitem()[1]).kill()

        made = swept(client, find(MEDIAN), step=step)
    assert made.record["error"].startswith("ended after")
    assert len(made.record["points"]) >= 5


def test_a_scheduler_that_dies_ends_the_sweep_with_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "TIMEOUT", 30.0)
    with separate_processes(tmp_path) as address, distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        scheduler = client.run_on_scheduler(os.getpid)

        def step(share: float, doing: str) -> None:
            if "round 2" in doing:
                psutil.Process(scheduler).kill()

        made = swept(client, find(MEDIAN), step=step)
    assert made.record["error"].startswith("ended after 5 of 13 runs")


# --- the command line


def test_a_sweep_from_the_command_line_ends_in_a_table_and_pages(external_cluster, tmp_path):
    places = {store.PLACE: str(tmp_path / "records.jsonl"), target.ADDRESS: external_cluster}
    short = ("--chunk", "100kB", "--least", "0")
    arguments = ("sweep", MEDIAN, "--weak", "--threads", "1,2,64", *short, "--folder", str(tmp_path))
    said, complaints = command_line(*arguments, **places).communicate(timeout=PATIENCE)
    assert "left out: 64 threads" in said, complaints
    assert "speed-up" in said
    (page,) = tmp_path.glob("*.html")
    assert page.with_suffix(".md").exists()
    kind = command_line("report", "--folder", str(tmp_path / "again"), "--markdown", **places)
    said, complaints = kind.communicate(timeout=PATIENCE)
    assert kind.returncode == 0, complaints
    assert (tmp_path / "again" / page.name).read_text() == page.read_text()
    assert "| threads |" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sweep", "nonsense", "--strong"), "no suite that builds a graph"),
        (("sweep", MEDIAN, "--strong", "--threads", "none"), "such as 1,2,4,all"),
        (("sweep", MEDIAN, "--strong", "--rounds", "1"), "at least 3 rounds"),
        (("sweep", MEDIAN), "--strong --weak is required"),
        (("project", MEDIAN, "--bytes", "many", "--threads", "4"), "no size"),
        (("project", MEDIAN), "wants --bytes and --threads, or --validate"),
        (("report",), "no sweep is stored"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments, said, tmp_path):
    asked = command_line(*arguments, **{store.PLACE: str(tmp_path / "records.jsonl")})
    _, complaints = asked.communicate(timeout=PATIENCE)
    assert asked.returncode == 2
    assert said in complaints
    assert "Traceback" not in complaints


def test_ctrl_c_leaves_no_process_and_keeps_what_was_measured(tmp_path):
    records = tmp_path / "records.jsonl"
    asked = command_line(
        "sweep", "cubes.indices.Ndvi", "--strong", "--rounds", "8", "--chunk", "100kB", "--folder", str(tmp_path),
        **{store.PLACE: str(records)},
    )  # fmt: skip
    assert asked.stdout
    for line in asked.stdout:
        if "round" in line:
            break
    family = psutil.Process(asked.pid).children(recursive=True)
    assert family
    os.killpg(asked.pid, signal.SIGINT)  # as a terminal does
    said, complaints = asked.communicate(timeout=PATIENCE)
    assert asked.returncode == 130, complaints
    assert "ended early: interrupted after" in said
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    (made,) = store.records(records, kind="sweep")
    assert made["error"].startswith("interrupted")
    assert made["points"]
