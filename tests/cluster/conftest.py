"""The tests of the mini-backend start containers and take long, and so only run with --cluster (make cluster-test)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import backend as backends
from tests.cluster.backend import Backend, copy_of_the_checkout, started, sweep, times, why_not

HERE = Path(__file__).parent
LONG = 1500  # seconds for one test, an image to build among them
FIRST = "test_commands.py"  # builds without a cache; what the others build is then cached, on a fresh machine too


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    if not ours:
        return
    reason = why_not() if config.getoption("--cluster") else "the mini-backend is tested by `make cluster-test`"
    for item in ours:
        item.add_marker(pytest.mark.timeout(LONG))
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=lambda item: item.path != HERE / FIRST)
    if not reason:
        signal.signal(signal.SIGTERM, _end)
        sweep()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if times:
        terminalreporter.section("mini-backend")
        load = " ".join(f"{value:.1f}" for value in os.getloadavg())
        terminalreporter.line(f"load of the machine at the end: {load}")
        for what, seconds in times.items():
            terminalreporter.line(f"{seconds:8.1f} s  {what}")
    for line in backends.report:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of this checkout that tests may change."""
    return copy_of_the_checkout(tmp_path_factory.mktemp("checkout") / "openeo-processes-dask")


@pytest.fixture(scope="module")
def backend(checkout: Path) -> Iterator[Backend]:
    """Give a mini-backend with two workers."""
    with started(Backend(checkout, "two"), workers=2) as running:
        yield running


def _end(number: int, frame: object) -> None:
    # As Ctrl-C does, so that containers are removed.
    raise KeyboardInterrupt
