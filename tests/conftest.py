"""What all tests share."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from benchmarks import target
from benchmarks.scenes import Scene, sentinel2
from openeo_processes_dask import scheduling

# The same commit meets the same examples, here as in CI: what it says of a change does not depend on luck.
# New examples are looked for on purpose, by `make fuzz`.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("fuzz", derandomize=False, print_blob=True)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def _no_target_but_their_own(request: pytest.FixtureRequest) -> None:
    """Let tests say themselves where they compute and what that is called, in the mini-backend too."""
    scheduling.forget_address()
    if not request.config.option.benchmark_only:
        os.environ.pop(target.LABEL, None)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Give eight dates of a real Sentinel-2 image of 300 by 300 pixels, with clouds and gaps, on disk."""
    return sentinel2(tmp_path_factory.mktemp("scenes") / "sentinel-2")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switches of this project's own: one to pytest-benchmark's, one for tests that start containers."""
    parser.getgroup("benchmark").addoption(
        "--benchmark", action="store_true", help="time every suite at its default size, on the target, and nothing else"
    )
    parser.addoption("--cluster", action="store_true", help="also run the tests that start containers")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let nothing but benchmarks run where they are asked for; pytest-benchmark reads this when it is configured.

    In the background of a script, which leaves Ctrl-C to others, it counts here too, as tests press it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--benchmark"):
        config.option.benchmark_only = True
