"""Faults in the middle of a run: the store stays readable, no process is left, the message says what happened."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import psutil
import pytest

from benchmarks import measuring, store, target
from tests.clusters import separate_processes

from . import planted

ROOT = Path(__file__).parents[2]
SLOW = measuring.Case("slow", planted.Slow, ())
SOUND = measuring.Case("sound", planted.Sound, ())


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[distributed.Client]:
    """A cluster of this test's own, which it may harm."""
    monkeypatch.setenv(store.PLACE, str(tmp_path / "records.jsonl"))
    place = tmp_path / "cluster"
    place.mkdir()
    with separate_processes(place) as address:
        monkeypatch.setenv(target.ADDRESS, address)
        yield target.connect()
        target.close()


@contextlib.contextmanager
def killed_meanwhile(process: int, client: distributed.Client) -> Iterator[None]:
    """Kill a process as soon as a task of the planted suite is at work."""
    over = threading.Event()

    def executing(dask_worker: distributed.Worker) -> set[str]:
        return {str(task.key) for task in dask_worker.state.executing}

    def kill() -> None:
        seen: set[str] = set()
        while not over.wait(0.2):
            now = set().union(*client.run(executing).values())
            if now & seen:  # one that takes its time
                os.kill(process, signal.SIGKILL)
                return
            seen = now

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def quiet(share: float, doing: str) -> None: ...


def pid_of(client: distributed.Client, run: Callable[..., object]) -> int:
    found = run(os.getpid)
    return int(next(iter(found.values()))) if isinstance(found, dict) else int(str(found))


def test_a_worker_killed_in_the_middle_costs_a_flag_and_no_result(cluster):
    with killed_meanwhile(pid_of(cluster, cluster.run), cluster):
        slow, sound = measuring.measured(cluster, [SLOW, SOUND], 1, quiet)
    assert slow["error"] is None
    assert "lost-workers" in slow["flags"]
    assert "lost-workers" not in sound["flags"]
    assert [one["suite"] for one in store.records()] == ["slow", "sound"]


def test_a_scheduler_that_goes_ends_the_run_and_says_so(cluster):
    with (
        killed_meanwhile(pid_of(cluster, cluster.run_on_scheduler), cluster),
        pytest.raises(measuring.LostError, match=r"lost while slow ran; 1 of 2 cases are in .*records.jsonl"),
    ):
        list(measuring.measured(cluster, [SLOW, SOUND], 1, quiet))
    (record,) = store.records()
    assert record["suite"] == "slow"
    assert record["error"]


def test_a_full_disk_ends_the_run_in_one_sentence_and_leaves_no_process(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    environment = {k: v for k, v in os.environ.items() if k != target.ADDRESS} | {store.PLACE: "/dev/full"}
    before = {process.pid for process in psutil.process_iter()}
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", "--size", "smallest", "--bench", "cubes.indices.Ndvi"],
        cwd=ROOT,
        env=environment | {"OPENEO_TEST": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert answer.returncode == 2
    assert answer.stderr.strip().splitlines()[-1] == (
        "StoreError: cannot write /dev/full: No space left on device; what was in it before is kept"
    )
    left = [p for p in psutil.process_iter() if p.pid not in before and _environment(p).get("OPENEO_TEST")]
    assert not [p for p in left if _environment(p)["OPENEO_TEST"] == str(tmp_path)]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
