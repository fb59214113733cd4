"""What the tests of the harness share: an embedded target, and one in processes of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import distributed
import pytest

from benchmarks import target
from tests.clusters import separate_processes


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what commands that run in this process change: variables, and the folder."""
    variables, folder = dict(os.environ), os.getcwd()
    yield
    monkeypatch.undo()
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)


@pytest.fixture(scope="session")
def external_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers of one thread, which were started separately."""
    with separate_processes(tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[distributed.Client]:
    """A client of the small cluster inside this process."""
    monkeypatch.delenv(target.ADDRESS, raising=False)
    yield target.connect()
    target.close()


@pytest.fixture
def external(external_cluster: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[distributed.Client]:
    """A client of the separate processes, found through DASK_SCHEDULER."""
    monkeypatch.setenv(target.ADDRESS, external_cluster)
    yield target.connect()
    target.close()
