"""Real scenes from catalogue to file: what comes out is what rasterio alone makes of the same files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.merge import merge

from benchmarks.scenes import Scene, landsat8
from openeo_processes_dask.process_implementations.cubes import load_stac, ndvi, save_result


def test_the_landsat_scenes_become_one_index(tmp_path: Path) -> None:
    landsat = landsat8(tmp_path / "landsat")
    if landsat is None:
        pytest.skip("the scenes are not on this machine")
    pair = load_stac(str(landsat.collection), bands=["red", "green"])
    index = ndvi(pair, nir="green", red="red")
    made = save_result(index, "COG", {"path": str(tmp_path / "index"), "overviews": "none"})
    upper, lower = landsat.files.values()
    bands = {}
    for band in ("B3", "B4"):
        files = [rasterio.open(paths[band]) for paths in (upper, lower)]
        mosaic, transform = merge(files, method="first", nodata=0)
        bands[band] = np.where(mosaic[0] != 0, mosaic[0].astype("float64"), np.nan)
        crs = files[0].crs
        for file in files:
            file.close()
    with np.errstate(invalid="ignore"):
        expected = (bands["B3"] - bands["B4"]) / (bands["B3"] + bands["B4"])
    assert np.isfinite(expected).mean() > 0.2
    with rasterio.open(made["assets"]["data"]["href"]) as file:
        assert (file.crs, file.transform, file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"]) == (crs, transform, "COG")
        np.testing.assert_allclose(file.read(1), expected, rtol=1e-6, atol=1e-7, equal_nan=True)


def test_the_sentinel_scene_goes_through_files_and_their_catalogue(scene: Scene, tmp_path: Path) -> None:
    bands = ["B04", "B08"]
    cube = load_stac(str(scene.catalog), scene.extent(0.6), ["2023-04-01", "2023-05-01"], bands)
    made = save_result(cube, "COG", {"path": str(tmp_path / "part"), "blocksize": 64})
    again = load_stac(str(tmp_path / "part.tif.stac.json"))
    np.testing.assert_array_equal(again, cube)
    assert json.loads((tmp_path / "part.tif.stac.json").read_text())["type"] == made["type"] == "Collection"
    y, x = cube.y.values, cube.x.values
    for moment in cube.t.values:
        day = str(moment)[:10]
        for place, band in enumerate(bands):
            with rasterio.open(scene.files[day, band]) as file:
                (top, left), (bottom, right) = file.index(x[0], y[0]), file.index(x[-1], y[-1])
                expected = file.read(1)[top : bottom + 1, left : right + 1]
            np.testing.assert_array_equal(again.sel(t=moment)[place], expected)
