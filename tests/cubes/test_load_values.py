"""Loading what is packed, and what lies on other pixels than the cube: values are those of rasterio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations.cubes import load_collection, load_stac
from tests.cubes import pictures

DATE = "2023-04-03T10:00:00Z"


def packed(path: Path, scale: float = 0.0001, offset: float = -0.1, **more: Any) -> tuple[np.ndarray, Path]:
    """An image whose header says how its values are packed."""
    values = pictures.pixels((40, 50), **more)
    pictures.write(path, values)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (scale,), (offset,)
    return values, path


def stac(tmp_path: Path, path: Path, **about: Any) -> str:
    return pictures.collection(tmp_path / "items.json", [pictures.item("i", DATE, {"a": (path, about)})])


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
        {"bands": [{"name": "a", "raster:scale": 0.0001, "raster:offset": -0.1}]},
        {"raster:scale": 0.0001, "raster:offset": -0.1},
    ],
    ids=["header", "extension", "STAC 1.1", "asset"],
)
def test_scale_and_offset_are_applied_when_asked(tmp_path: Path, about: dict[str, Any], scheduler: str) -> None:
    stored = (0.0001, -0.1) if not about else (7.0, 7.0)  # what the catalogue says goes before the header
    values, path = packed(tmp_path / "a.tif", *stored)
    url = stac(tmp_path, path, **about)
    as_stored = load_stac(url)  # as the specification says
    assert (as_stored.dtype, as_stored.attrs) == (np.dtype("uint16"), {"nodata": 0})
    np.testing.assert_array_equal(as_stored[0, 0], values)
    with dask.config.set({"openeo.load.scale": True}):
        cube = load_stac(url)
        assert (cube.dtype, cube.attrs) == (np.dtype("float32"), {})
        assert cube.name is None
    with rasterio.open(path) as file:
        read = file.read(1, masked=True)
    expected = (read * 0.0001 - 0.1).filled(np.nan)
    assert np.isnan(expected).any()
    np.testing.assert_allclose(cube[0, 0], expected, rtol=1e-6, atol=1e-7)


def test_images_without_a_catalogue_are_unpacked_too(tmp_path: Path) -> None:
    values, _ = packed(tmp_path / "2023-04-03_B02.tif")
    np.testing.assert_array_equal(load_collection(str(tmp_path), None, None)[0, 0], values)
    with dask.config.set({"openeo.load.scale": True}):
        cube = load_collection(str(tmp_path), None, None)
    np.testing.assert_allclose(cube[0, 0], np.where(values == 0, np.nan, values * 0.0001 - 0.1), rtol=1e-6, atol=1e-7)


def test_packed_and_plain_bands_share_a_type(tmp_path: Path) -> None:
    _, a = packed(tmp_path / "a.tif")
    b = pictures.write(tmp_path / "b.tif", pictures.pixels((40, 50), seed=1))
    url = pictures.collection(tmp_path / "items.json", [pictures.item("i", DATE, {"a": a, "b": b})])
    with dask.config.set({"openeo.load.scale": True}):
        cube = load_stac(url)
    plain = pictures.pixels((40, 50), seed=1).astype("float32")
    np.testing.assert_array_equal(cube.sel(bands="b")[0], np.where(plain == 0, np.nan, plain))


@pytest.mark.parametrize("scale", ["a", None, True, float("inf")])
def test_a_scale_is_a_number(tmp_path: Path, scale: Any) -> None:
    _, path = packed(tmp_path / "a.tif")
    with pytest.raises(exceptions.FileContentInvalid, match=r"item i has a scale or an offset"):
        load_stac(stac(tmp_path, path, **{"raster:bands": [{"scale": scale}]}))


@pytest.mark.parametrize("setting", ["openeo.load.scale", "openeo.load.resampling"])
def test_a_setting_is_what_it_may_be(tmp_path: Path, setting: str) -> None:
    url = stac(tmp_path, packed(tmp_path / "a.tif")[1])
    with dask.config.set({setting: "nonsense"}), pytest.raises(exceptions.ProcessParameterInvalid, match=setting):
        load_stac(url)


# --- several CRSs and sizes of pixels

METHODS = {"bilinear": "bilinear", "cubic": "cubic", "average": "average", "mode": "mode", "near": "nearest"}


def apart(tmp_path: Path) -> tuple[Path, str]:
    """A fine image in UTM, and another day's in degrees; what rasterio makes of the second is what is expected."""
    smooth = np.add.outer(np.arange(220), np.arange(230)).astype("uint16") // 3 + 1
    smooth[60:90, 100:120] = 0
    fine = pictures.write(tmp_path / "0.tif", pictures.pixels((300, 280)), corner=(pictures.WEST, pictures.NORTH))
    other = pictures.write(tmp_path / "1.tif", smooth, corner=(10.2675, 45.1545), size=0.0002, epsg=4326)
    items = [pictures.item("i0", DATE, {"a": fine}), pictures.item("i1", "2023-04-13T10:00:00Z", {"a": other})]
    return other, pictures.collection(tmp_path / "items.json", items)


def by_rasterio(path: Path, cube: Any, method: str) -> np.ndarray:
    """The whole file on the cube's pixels; GDAL's own default would be off by an eighth of a pixel."""
    grid = {"transform": Affine(10, 0, float(cube.x[0]) - 5, 0, -10, float(cube.y[0]) + 5), "crs": "EPSG:32632"}
    grid |= {"width": cube.sizes["x"], "height": cube.sizes["y"], "resampling": Resampling[method]}
    with rasterio.open(path) as file, WarpedVRT(file, tolerance=1e-6, nodata=0, dtype="float64", **grid) as warped:
        values = warped.read(1)
    return np.where(values == 0, np.nan, values)


@pytest.mark.parametrize("method", METHODS)
def test_another_crs_comes_as_rasterio_resamples_it_however_blocks_are_cut(tmp_path: Path, method: str) -> None:
    other, url = apart(tmp_path)
    with dask.config.set({"openeo.load.resampling": method}):
        cube = load_stac(url)
        with dask.config.set({"array.chunk-size": "60 kiB"}):
            cut = load_stac(url)
    assert cut.data.npartitions > 2 * cube.data.npartitions
    np.testing.assert_allclose(cut, cube, rtol=1e-6)  # GDAL counts coordinates from where a block begins
    assert cube.dtype == ("uint16" if method in ("mode", "near") else "float32")
    values = cube.sel(t="2023-04-13")[0, 0].values.astype(float)
    made = np.where(values == cube.attrs.get("nodata", np.nan), np.nan, values)
    expected = by_rasterio(other, cube, METHODS[method])
    assert np.isfinite(expected).sum() > 20_000
    np.testing.assert_allclose(made, expected, rtol=1e-5)


def test_coarse_bands_may_be_interpolated(tmp_path: Path) -> None:
    fine = pictures.write(tmp_path / "a.tif", pictures.pixels((40, 60)))
    ramp = np.broadcast_to(np.arange(1, 31, dtype="uint16") * 10, (20, 30))
    coarse = pictures.write(tmp_path / "b.tif", ramp, size=20)
    url = pictures.collection(tmp_path / "items.json", [pictures.item("i", DATE, {"a": fine, "b": coarse})])
    with dask.config.set({"openeo.load.resampling": "bilinear"}):
        cube = load_stac(url)
    x = np.clip((np.arange(60) - 0.5) / 2, 0, 29)  # centres of fine pixels in coarse ones
    np.testing.assert_allclose(cube.sel(bands="b")[0], np.broadcast_to(10 + 10 * x, (40, 60)), rtol=1e-5)
    values = pictures.pixels((40, 60)).astype("float32")
    np.testing.assert_array_equal(cube.sel(bands="a")[0], np.where(values == 0, np.nan, values))
