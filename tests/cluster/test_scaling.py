"""How fixed work scales over workers with equal shares of a processor, and which processes a slow network slows.

What holds on any machine is tested: results, hosts, bytes, and times that physics forbids. The curves depend on
what else the machine does: they are told with its load.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls

from tests.cluster.backend import PATIENCE, Backend, report, started, timed

HERE = Path(__file__).parent
WORKERS = (1, 2, 4, 8)
ROUNDS = 3
BLOCKS = 32
SLOW = 4_000_000  # bits a second that reach a worker
BURST = 64 * 1024  # bytes that pass before the limit counts
PROCESSES = ("ndvi", "mean over time", "median over time")
Runs = list[dict[str, Any]]


@pytest.fixture(scope="module")
def backend(checkout: Path) -> Iterator[Backend]:
    """Give a mini-backend with eight workers of a fifth of a processor each."""
    with started(Backend(checkout, "scaling", files=[HERE / "scaling.yml"]), workers=WORKERS[-1]) as running:
        yield running


@pytest.fixture(scope="module")
def curves(backend: Backend) -> Runs:
    """Measure everything on 1, 2, 4 and 8 workers, in three interleaved rounds."""
    with timed("scaling: four kinds of work on 1, 2, 4 and 8 workers, three rounds"):
        return measure(backend)


def measure(backend: Backend, *arguments: str) -> Runs:
    before = os.getloadavg()[0]
    runs: Runs = backend.facts("curve", "--rounds", str(ROUNDS), *arguments, timeout=2 * PATIENCE)
    report.append(f"scaling: load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    return runs


def best(runs: Runs, work: str, workers: int) -> dict[str, Any]:
    return min(
        (run for run in runs if (run["work"], run["workers"]) == (work, workers)), key=lambda run: run["seconds"]
    )


def fit(seconds: list[float]) -> tuple[float, float]:
    """The share of Amdahl's law that does not scale, and the seconds that one worker would take."""
    (fixed, shared), _ = nnls(np.array([[1.0, 1 / count] for count in WORKERS]), np.array(seconds))
    return fixed / (fixed + shared), fixed + shared


def test_fixed_work_on_more_workers(curves: Runs) -> None:
    assert len(curves) == ROUNDS * len(WORKERS) * (1 + len(PROCESSES))
    for run in curves:
        assert run["right"]
        assert run["hosts"] <= run["workers"], run  # none but those that were asked for
    for count in WORKERS:  # and all of them; a process may leave fewer blocks than there are workers
        assert max(run["hosts"] for run in curves if (run["work"], run["workers"]) == ("burn", count)) == count
    for work in ("burn", *PROCESSES):
        seconds = [best(curves, work, count)["seconds"] for count in WORKERS]
        speed_up = [f"{seconds[0] / value:.1f}" for value in seconds]
        ideal = [f"{BLOCKS / -(-BLOCKS // count):.0f}" for count in WORKERS]
        serial, one = fit(seconds)
        report.append(
            f"scaling: {work}: {', '.join(f'{s:.2f}' for s in seconds)} s on {WORKERS} workers;"
            f" {', '.join(speed_up)} times as fast (staircase {', '.join(ideal)});"
            f" fit: {serial:.1%} of {one:.1f} s does not scale"
        )
    # Shares of a processor are equal, so that even on a busy machine eight cannot be slower than one.
    assert best(curves, "burn", 8)["seconds"] < best(curves, "burn", 1)["seconds"]


def test_what_moves_is_what_each_process_promises(curves: Runs) -> None:
    for run in curves:
        if run["workers"] == 1:
            assert run["moved"] == 0, run
    moved = {work: best(curves, work, 8)["moved"] / best(curves, work, 8)["cube"] for work in PROCESSES}
    report.append(f"moved on 8 workers, of the cube: {', '.join(f'{w} {share:.1%}' for w, share in moved.items())}")
    assert moved["ndvi"] < 0.3  # blocks stay, unless a worker that has nothing to do takes one
    for work in ("mean over time", "median over time"):  # so few blocks meet in one task, and most must travel for it
        assert 0.3 < moved[work] < 1


def shortest(run: dict[str, Any]) -> float:
    """The seconds that bytes need to reach the workers: an average share, beyond what passes before the limit."""
    return max(run["moved"] / run["workers"] - BURST, 0) * 8 / SLOW


@pytest.fixture
def throttled(backend: Backend) -> Iterator[None]:
    """Limit what reaches each worker, on the virtual cable of its container."""
    if os.geteuid() != 0 or shutil.which("tc") is None:
        pytest.skip("limiting the bandwidth of a container needs root and tc")
    cables = [cable(backend, worker) for worker in backend.containers("worker")]
    assert len(set(cables)) == WORKERS[-1]
    try:
        for name in cables:
            limit = ("tbf", "rate", f"{SLOW}bit", "burst", str(BURST), "latency", "500ms")
            backend.run("tc", "qdisc", "replace", "dev", name, "root", *limit)
        yield
    finally:
        for name in cables:
            backend.run("tc", "qdisc", "del", "dev", name, "root", check=False)


def cable(backend: Backend, container: str) -> str:
    """The host's end of a container's network cable.

    Raises
    ------
    RuntimeError
        If it is no such cable: a limit on anything else would slow this machine down.
    """
    index = backend.run("docker", "exec", container, "cat", "/sys/class/net/eth0/iflink").strip()
    names = [path.parent.name for path in Path("/sys/class/net").glob("*/ifindex") if path.read_text().strip() == index]
    if len(names) != 1 or not re.fullmatch(r"veth[0-9a-z]+", names[0]):
        raise RuntimeError(f"{container} is connected by {names}, which is not one cable of a container")
    return names[0]


def test_only_cables_of_containers_can_be_slowed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path("/sys/class/net/lo/ifindex").read_text()
    monkeypatch.setattr(Backend, "run", lambda *arguments, **options: own)
    with pytest.raises(RuntimeError, match="not one cable of a container"):
        cable(backend, "any")


@pytest.mark.usefixtures("throttled")
def test_a_slow_network_slows_what_moves_data(backend: Backend, curves: Runs) -> None:
    with timed(f"scaling: three processes on 8 workers that {SLOW / 1e6:.0f} Mbit/s reach, three rounds"):
        slow = measure(backend, "--workers", "8", "--work", *PROCESSES)
    for work in PROCESSES:
        fast, throttled = best(curves, work, 8), best(slow, work, 8)
        floor = shortest(throttled)
        report.append(
            f"throttled: {work}: {fast['seconds']:.2f} s, at {SLOW / 1e6:.0f} Mbit/s {throttled['seconds']:.2f} s,"
            f" of which {floor:.2f} s for what each receives"
        )
    for run in slow:
        assert run["right"]
        assert run["seconds"] > 0.9 * shortest(run)
    assert best(slow, "median over time", 8)["seconds"] > best(curves, "median over time", 8)["seconds"]
