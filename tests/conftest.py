"""What all tests share."""

from __future__ import annotations

import pytest

from benchmarks.scenes import Scene, sentinel2
from openeo_processes_dask import scheduling


@pytest.fixture(scope="session", autouse=True)
def _no_address_for_a_scheduler() -> None:
    scheduling.forget_address()


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Give eight dates of a real Sentinel-2 image of 300 by 300 pixels, with clouds and gaps, on disk."""
    return sentinel2(tmp_path_factory.mktemp("scenes") / "sentinel-2")
