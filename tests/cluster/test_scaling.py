"""How fixed work scales over workers with equal shares of a processor, and which processes a slow network slows.

What holds on any machine is tested: results, hosts, bytes, and times that physics forbids. The curves depend on
what else the machine does: they are told with its load.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.scaling import report as pages
from benchmarks.scaling.curves import Curve, Point
from tests.cluster.backend import PATIENCE, Backend, report, started, timed

HERE = Path(__file__).parent
WORKERS = (1, 2, 4, 8)
ROUNDS = 3
SLOW = 32_000_000  # bits a second that reach a worker
BURST = 64 * 1024  # bytes that pass before the limit counts
BURN, NDVI, MEAN, MEDIAN = "equal tasks", "ndvi", "mean over time", "median over time"
PROCESSES = (NDVI, MEAN, MEDIAN)
PARTS = 4  # that a worker's dates come in: of a pixel's blocks, so many lie apart from each other
PARTIAL = 16 / (32 * 4)  # bytes of a total and a count, by those of the dates of a block that they stand for
Curves = dict[str, Curve]


@pytest.fixture(scope="module")
def backend(checkout: Path) -> Iterator[Backend]:
    """Give a mini-backend with eight workers of a fifth of a processor each."""
    with started(Backend(checkout, "scaling", files=[HERE / "scaling.yml"]), workers=WORKERS[-1]) as running:
        yield running


@pytest.fixture(scope="module")
def curves(backend: Backend) -> Curves:
    """Measure everything on 1, 2, 4 and 8 workers, in three interleaved rounds."""
    with timed("scaling: four kinds of work on 1, 2, 4 and 8 workers, three rounds"):
        return measure(backend, "fixed work on containers", "compose", BURN, *PROCESSES)


def measure(backend: Backend, title: str, label: str, *works: str, times: int = 2) -> Curves:
    """The curves of some kinds of work, which are also a page among the others of this checkout."""
    before = os.getloadavg()[0]
    asked = ("--rounds", str(ROUNDS), "--times", str(times), "--label", label, "--work", *works)
    records = backend.facts("curve", *asked, timeout=3 * PATIENCE)
    for record in records:
        record["settings"]["title"] = title
    found = [Curve(record) for record in records]
    report.append(f"{label}: load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    for curve in found:
        fits = "; ".join(f"{law.name}: {law.verdict}" for law in curve.laws) or curve.why_no_law
        report.append(f"{pages.headline(curve)} {fits}; {told(curve, 'compute_seconds')} s")
    report.append(f"{label}: {pages.write(found)}")
    return dict(zip(works, found, strict=True))


def told(curve: Curve, measure: str) -> str:
    return ", ".join(f"{statistics.median(values):.2f}" for values in curve.everything(measure).values())


def test_fixed_work_on_more_workers(curves: Curves) -> None:
    for work, curve in curves.items():
        assert {count: len(times) for count, times in curve.everything("compute_seconds").items()} == dict.fromkeys(
            WORKERS, ROUNDS
        ), work
        for count, hosts in curve.everything("hosts").items():
            assert max(hosts) == count, work  # all that were asked for, and the work itself says that none else
    # Shares of a processor are equal, so that even on a busy machine eight cannot be slower than one.
    assert curves[BURN].fastest(8) < curves[BURN].fastest(1)


def test_what_moves_is_what_each_process_promises(curves: Curves) -> None:
    """Neighbours in time lie on one worker, as many as there are: the rest of what a task needs must come to it."""
    cube = {work: curve.points[0].bytes for work, curve in curves.items()}
    for work in PROCESSES:
        shares = {count: f"{value / cube[work]:.2%}" for count, value in moved(curves[work]).items()}
        report.append(f"moved, of the cube: {work} {shares}")
    for count in WORKERS:
        apart = 1 - 1 / min(count, PARTS)
        assert moved(curves[NDVI])[count] <= 0.05 * cube[NDVI]  # blocks stay, unless one that idles takes one
        assert moved(curves[MEDIAN])[count] >= apart * cube[MEDIAN]
        assert moved(curves[MEDIAN])[count] <= (apart + 0.05) * cube[MEDIAN]
        assert moved(curves[MEAN])[count] <= (apart + 0.05) * PARTIAL * cube[MEAN]
    assert moved(curves[MEAN])[2] > 0


def moved(curve: Curve) -> dict[int, float]:
    """Bytes that workers sent to others, of the run of each number of workers that sent fewest."""
    return {count: min(values) for count, values in curve.everything("bytes_moved").items()}


def shortest(point: Point) -> float:
    """The seconds that bytes need to reach the workers: an average share, beyond what passes before the limit."""
    return max(point.samples["bytes_moved"] / point.workers - BURST, 0) * 8 / SLOW


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
def test_a_slow_network_slows_what_moves_data(backend: Backend) -> None:
    label = f"compose at {SLOW / 1e6:.0f} Mbit per s"
    with timed(f"scaling: three processes on workers that {SLOW / 1e6:.0f} Mbit/s reach, three rounds"):
        slow = measure(backend, "fixed work over a slow network", label, *PROCESSES, times=1)
    for work, curve in slow.items():
        floors = [max(shortest(p) for p in curve.points if p.workers == count) for count in WORKERS]
        report.append(f"throttled: {work}: {', '.join(f'{floor:.2f}' for floor in floors)} s for what each receives")
        for point in curve.points:
            assert point.samples["compute_seconds"] > 0.9 * shortest(point), point
    for count in WORKERS[1:]:  # where a network is slow, what moves the blocks themselves cannot be fast
        assert slow[MEDIAN].fastest(count) > slow[MEAN].fastest(count)
        assert slow[MEDIAN].fastest(count) > slow[MEDIAN].fastest(1)
