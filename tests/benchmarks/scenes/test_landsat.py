"""Tests of benchmarks.scenes.landsat."""

from __future__ import annotations

from pathlib import Path

import pystac
import pytest
import rasterio

from benchmarks.scenes import landsat, landsat8


def test_landsat_is_none_where_it_is_absent(tmp_path):
    assert landsat8(tmp_path / "catalogue", shared=tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not landsat.BESIDE.is_dir(), reason="no ../shared/data/landsat8 beside the repository")
def test_landsat_catalogue_points_at_the_files(tmp_path):
    scenes = landsat8(tmp_path / "catalogue")
    items = list(pystac.Catalog.from_file(str(scenes.catalog)).get_items(recursive=True))
    assert len(items) == 2
    for item in items:
        assert item.properties["proj:code"] == "EPSG:32621"
        assert -56 < item.bbox[0] < item.bbox[2] < -54
        for band, asset in item.assets.items():
            assert Path(asset.href) == scenes.files[item.id][band]
            with rasterio.open(asset.href) as file:
                assert list(file.transform)[:6] == item.properties["proj:transform"]
