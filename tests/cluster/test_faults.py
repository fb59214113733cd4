"""Whatever breaks in the middle of a workflow, it ends in a right result or one clear error, nothing half-written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.backend import Backend, handed_over, report, started
from tests.cluster.workflows import Running, running, same

HERE = Path(__file__).parent
AFTER = 6  # of about sixty tasks
ERROR = {"error", "message", "seconds"}


@pytest.fixture(scope="module")
def backend(checkout: Path) -> Iterator[Backend]:
    """Give a mini-backend with two slow workers that have small disks."""
    faults = HERE.joinpath("faults.yml")
    with started(Backend(checkout, "faults", files=[faults]), workers=2) as running:
        yield running


@pytest.fixture(autouse=True)
def _whole_again(backend: Backend) -> Iterator[None]:
    """Leave two workers to the next test, whatever this one has done to them."""
    yield
    backend.up(2)
    wait_for_workers(backend, 2)


def wait_for_workers(backend: Backend, count: int, patience: float = 150) -> float:
    """Wait until the scheduler has exactly so many workers; gives the seconds that took."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(OSError):  # the scheduler may be on its way up
            if backend.counts()["workers"] == count:
                return time.monotonic() - began
        assert time.monotonic() < began + patience, f"not {count} workers in {patience} s"
        time.sleep(0.5)


def endures(backend: Backend, what: str, fault: Callable[[Running], Any], *, after: int = AFTER) -> dict[str, Any]:
    """Do something to a workflow in the middle of its work, and hold it to its promise; gives how it ended."""
    with running(backend) as workflow:
        done = workflow.wait_for_tasks(after)
        fault(workflow)
        then = workflow.tasks()
        end = workflow.end()
    assert {"result", "error"} & end.keys(), workflow.other[-30:]
    if "result" in end:
        assert "2 equal" in same(workflow)
        name = Path(end["result"]).name
        assert workflow.left() == [name, f"{name}.stac.json"]
    else:
        assert end.keys() == ERROR
        assert end["message"].strip()
        assert workflow.left() == []
    how = "right result" if "result" in end else f"{end['error']}: {end['message'].splitlines()[0]}"
    report.append(f"fault: {what}, after {done} tasks, done at {then}: {how} ({end['seconds']:.1f} s in all)")
    return end


def test_a_worker_is_killed(backend: Backend) -> None:
    first, _ = backend.containers("worker")
    end = endures(backend, "a worker killed", lambda _: backend.run("docker", "kill", first))
    assert "result" in end


def test_all_workers_are_killed_and_one_is_started(backend: Backend) -> None:
    first, second = backend.containers("worker")

    def fault(_: Running) -> None:
        backend.run("docker", "kill", first, second)
        time.sleep(2)
        backend.run("docker", "start", first)

    assert "result" in endures(backend, "all workers killed and one started", fault)


def test_a_worker_runs_out_of_memory(backend: Backend) -> None:
    end: list[str] = []
    endures(backend, "a worker out of memory", lambda _: end.append(backend.python("hog")))
    assert end[0].strip() in ("KilledWorker", "MemoryError")  # for the task that took it


def test_a_worker_is_cut_off_and_joined_again(backend: Backend) -> None:
    first, _ = backend.containers("worker")
    network = f"{backend.project}_cluster"

    def fault(_: Running) -> None:
        backend.run("docker", "network", "disconnect", network, first)

    end = endures(backend, "a worker cut off the network", fault)
    backend.run("docker", "network", "connect", network, first)
    assert "result" in end
    seconds = wait_for_workers(backend, 2)
    report.append(f"fault: … and joined again: the scheduler had both workers after {seconds:.0f} s")


def test_the_scheduler_is_restarted(backend: Backend) -> None:
    (scheduler,) = backend.containers("scheduler")
    endures(backend, "the scheduler restarted", lambda _: backend.run("docker", "restart", "--time", "1", scheduler))
    wait_for_workers(backend, 2)
    with running(backend) as again:
        assert "result" in again.end()
    assert "2 equal" in same(again)


@pytest.fixture
def full_disk(backend: Backend) -> Iterator[Callable[[], None]]:
    """Fill the disk of the first worker when asked to, and empty it at the end."""
    first, _ = backend.containers("worker")

    def fill() -> None:
        backend.run("docker", "exec", first, "dd", "if=/dev/zero", "of=/tmp/dask/full", "bs=1M", check=False)
        assert "100%" in backend.run("docker", "exec", first, "df", "/tmp/dask")

    yield fill
    backend.run("docker", "exec", first, "rm", "-f", "/tmp/dask/full")


def test_the_disk_of_a_worker_is_full(backend: Backend, full_disk: Callable[[], None]) -> None:
    endures(backend, "the disk of a worker full", lambda _: full_disk())


def test_a_worker_must_spill_to_a_full_disk(backend: Backend, full_disk: Callable[[], None]) -> None:
    full_disk()
    folder = backend.checkout / "results" / "spill"
    folder.mkdir(parents=True)
    handed_over(folder.parent)
    said = backend.python("spill", "results/spill").strip()
    left = sorted(path.name for path in folder.iterdir())
    report.append(f"fault: a worker must spill to a full disk: {said}")
    if said.startswith("right"):
        assert left == ["held.zarr", "held.zarr.stac.json"]
    else:
        assert "paused" in said  # and not the client's patience, nor a file that is not whole
        assert left == []
    with running(backend) as again:  # the worker goes on as soon as nothing is held there any more
        assert "result" in again.end()
    assert "2 equal" in same(again)


def test_the_client_is_gone(backend: Backend) -> None:
    with running(backend) as workflow:
        done = workflow.wait_for_tasks(AFTER)
        backend.execute("bash", "-c", f"kill -9 {workflow.pid()}")
        workflow.process.wait(60)
    assert not [name for name in workflow.left() if not name.startswith(".")]
    began = time.monotonic()
    while backend.counts()["tasks"]:
        assert time.monotonic() < began + 60, "the scheduler still has tasks of a client that is gone"
    seconds = time.monotonic() - began
    report.append(f"fault: the client gone, after {done} tasks: no result, tasks released after {seconds:.0f} s")
    folder = str(workflow.folder.relative_to(backend.checkout))
    backend.python("run", workflow.workflow, folder, "--size", "default")
    assert workflow.left() == ["ndvi_composite.tif", "ndvi_composite.tif.stac.json"]  # and nothing of the first attempt
    assert "2 equal" in same(workflow)
