"""What all tests share."""

from __future__ import annotations

import pytest

from benchmarks.scenes import Scene, sentinel2


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Give eight dates of a real Sentinel-2 image of 300 by 300 pixels, with clouds and gaps, on disk."""
    return sentinel2(tmp_path_factory.mktemp("scenes") / "sentinel-2")
