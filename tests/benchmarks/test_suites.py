"""Every suite, once at its smallest size; with `--benchmark` timed by pytest-benchmark at its default size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import target
from benchmarks.suite import Calls, Family, Suite, suites

CASES = [
    pytest.param(suite, case, id="-".join([name, *map(str, case)]))
    for name, suite in suites().items()
    for case in suite.cases()
]
TIMING = ("only", "enable", "autosave", "save", "json", "compare", "histogram")


@pytest.fixture(scope="module")
def _connected() -> Iterator[None]:
    """One client for all suites: of the scheduler in DASK_SCHEDULER, or of an embedded cluster."""
    target.connect()
    yield
    target.close()


@pytest.fixture
def timed(request: pytest.FixtureRequest) -> bool:
    """Whether pytest-benchmark was asked for numbers; plain `pytest` takes none."""
    return any(request.config.getoption(f"benchmark_{option}", None) for option in TIMING)


@pytest.mark.usefixtures("_connected")
@pytest.mark.parametrize(("suite", "case"), CASES)
def test_suite(suite: type[Suite], case: tuple[Any, ...], benchmark: Any, timed: bool) -> None:
    measured = suite()
    try:
        if timed and isinstance(measured, Calls):
            measured.inputs(*case)
            benchmark(measured.build, *case)
        elif timed:
            benchmark.extra_info.update(measured.counts(*case) if measured.lazy() else {})
            benchmark.pedantic(
                lambda: measured.work(*case), setup=lambda: measured.hold(*case), rounds=3, warmup_rounds=1
            )
        else:
            benchmark.disabled = True
            benchmark(_once_at_the_smallest_size, measured, case)
    finally:
        getattr(measured, "teardown", lambda *params: None)(*case)


def _once_at_the_smallest_size(suite: Suite, case: tuple[Any, ...]) -> None:
    suite.size = "smallest"
    suite.check(*case)
    suite.draw(*case)
    if isinstance(suite, Calls):
        suite.build(*case)
    elif not suite.lazy():
        suite.run(*case)
    else:
        assert suite.run(*case).eager_tasks == 0
        assert suite.graph(*case) == suite.graph(*case)


def test_there_is_something_to_run():
    assert len(CASES) > 50


def test_nothing_is_measured_twice_under_two_names():
    assert all(
        name.rpartition(".")[0] == suite.__module__.removeprefix("benchmarks.") for name, suite in suites().items()
    )


def test_each_process_has_a_row_of_its_own():
    assert [name for name, suite in suites().items() if len(suite.ids()) > 1 and not issubclass(suite, Family)] == []


@pytest.mark.parametrize("suite", suites().values(), ids=suites().keys())
def test_cubes_have_chunks_enough_to_share_out(suite: type[Suite]) -> None:
    for name in ("default", "smallest"):
        size = suite.sizes[name]
        blocks = [-(-length // chunk) for length, chunk in zip(size.shape, size.chunks, strict=True)]
        assert blocks[0] * blocks[1] * blocks[2] * blocks[3] >= 8
