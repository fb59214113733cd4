"""Tests of benchmarks.scenes.sentinel and what it writes: COGs, a STAC catalogue, netCDF, zarr."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.warp
import xarray as xr

from benchmarks.scenes import pixels, sentinel2
from benchmarks.scenes.folders import MARKER


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def test_there_is_one_cog_per_date_and_band(scene):
    assert sorted(scene.cogs.glob("*.tif")) == sorted(scene.files.values())
    assert len(scene.files) == 8 * 5


@pytest.mark.parametrize(("band", "dtype"), [("B02", "uint16"), ("B08", "uint16"), ("SCL", "uint8")])
def test_files_know_where_they_are_and_what_is_missing(scene, band, dtype):
    with rasterio.open(scene.files["2023-04-13", band]) as file:
        assert file.crs.to_epsg() == scene.epsg == 32632
        assert file.transform == scene.transform
        assert file.transform.c % 10 == file.transform.f % 10 == 0
        assert (file.width, file.height, file.count) == (300, 300, 1)
        assert (file.nodata, file.dtypes) == (0, (dtype,))
        assert file.block_shapes == [(256, 256)]
        assert file.overviews(1) == [2]
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.descriptions == (band,)
        assert tuple(file.bounds) == scene.bounds


def test_pixels_are_the_real_ones_but_for_haze_season_and_clouds(scene):
    blue = read(scene.files["2023-04-03", "B02"])
    classes = read(scene.files["2023-04-03", "SCL"])
    original = pixels.sample()[0]
    clear = np.isin(classes, (pixels.VEGETATION, pixels.BARE, pixels.WATER))
    assert 0.5 < clear.mean() < 0.9
    assert np.corrcoef(blue[clear], original[clear])[0, 1] > 0.8  # up to two pixels apart
    assert set(np.unique(blue[clear])) <= set(np.unique(original).astype(int))


def test_clouds_are_bright_shadows_dark_and_gaps_in_all_bands(scene):
    for date in sorted({date for date, _ in scene.files}):
        layers = {band: read(scene.files[date, band]) for band in scene.bands}
        classes = layers["SCL"]
        assert set(np.unique(classes)) <= {0, 3, 4, 5, 6, 8, 9}
        clear = np.isin(classes, (4, 5))
        assert layers["B02"][classes == 9].min() > layers["B02"][clear].max()
        assert layers["B08"][classes == 3].mean() < 0.6 * layers["B08"][clear].mean()
        for band in scene.bands:
            assert np.array_equal(layers[band] == 0, classes == 0), (date, band)


def test_some_pixels_are_seen_on_some_dates_and_some_never(scene):
    seen = np.array([read(scene.files[f"{m:%Y-%m-%d}", "SCL"]) for m in scene.moments]) > 0
    counts = seen.sum(axis=0)
    assert counts.min() == 0
    assert 0 < (counts == 0).mean() < 0.01
    assert 0.1 < (counts < 8).mean() < 0.6


def test_dates_give_full_single_and_empty_months(scene):
    months = [moment.month for moment in scene.moments]
    assert months == [4, 4, 4, 5, 5, 5, 7, 7]
    assert all(moment.utcoffset() == dt.timedelta(0) for moment in scene.moments)


def test_vegetation_is_greener_in_july_than_in_april(scene):
    def ndvi_of_plants(date):
        red, nir, classes = (read(scene.files[date, band]) for band in ("B04", "B08", "SCL"))
        red, nir = (layer[classes == pixels.VEGETATION].astype(float) for layer in (red, nir))
        return np.median((nir - red) / (nir + red))

    assert ndvi_of_plants("2023-07-02") > ndvi_of_plants("2023-04-23") + 0.02


def test_sizes_are_mirrored_or_cropped_and_start_with_the_same_ground(tmp_path):
    large = sentinel2(tmp_path / "large", size=700, dates=1, clouds=0)
    small = sentinel2(tmp_path / "small", size=64, dates=1, clouds=0)
    whole, part = read(large.files["2023-04-03", "B04"]), read(small.files["2023-04-03", "B04"])
    assert whole.shape == (700, 700)
    assert part.shape == (64, 64)
    both = (whole[:64, :64] > 0) & (part > 0)
    assert np.array_equal(whole[:64, :64][both], part[both])
    assert np.array_equal(pixels.mirrored(7, 0, 3), [0, 1, 2, 2, 1, 0, 0])
    assert np.array_equal(pixels.mirrored(7, 1, 3), np.pad(np.arange(3), (0, 5), mode="symmetric")[1:8])


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a catalogue on disk needs no network")

    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.mark.usefixtures("no_network")
def test_catalogue_reads_back_offline(scene):
    catalog = pystac.Catalog.from_file(str(scene.catalog))
    items = list(catalog.get_items(recursive=True))
    assert [item.datetime for item in items] == list(scene.moments)
    for item in items:
        assert list(item.assets) == list(scene.bands)
        west, south, east, north = item.bbox
        assert 10.3 < west < east < 10.4
        assert 48.1 < south < north < 48.3
        for band, asset in item.assets.items():
            assert asset.roles == ["data"]
            with rasterio.open(asset.get_absolute_href()) as file:
                assert list(file.transform)[:6] == asset.extra_fields["proj:transform"]
                assert list(file.shape) == asset.extra_fields["proj:shape"]
                assert asset.extra_fields["proj:code"] == f"EPSG:{file.crs.to_epsg()}"
                raster = asset.extra_fields["raster:bands"][0]
                assert (raster["nodata"], raster["data_type"]) == (file.nodata, file.dtypes[0])
            assert asset.extra_fields["eo:bands"][0]["name"] == band


def test_catalogue_is_stac_1_0_and_can_be_moved(scene):
    for path in scene.folder.rglob("*.json"):
        if path.name != MARKER:
            text = path.read_text()
            document = json.loads(text)
            assert document["stac_version"] == "1.0.0"
            assert str(scene.folder) not in text
            hrefs = [link["href"] for link in document["links"]]
            hrefs += [asset["href"] for asset in document.get("assets", {}).values()]
            assert all((path.parent / href).exists() for href in hrefs)


def test_collection_describes_its_dimensions(scene):
    collection = pystac.Collection.from_file(str(scene.collection))
    dimensions = collection.extra_fields["cube:dimensions"]
    assert list(dimensions) == ["t", "bands", "y", "x"]
    assert dimensions["bands"]["values"] == list(scene.bands)
    assert dimensions["x"]["extent"] == [scene.bounds[0], scene.bounds[2]]
    common = {band["name"]: band.get("common_name") for band in collection.summaries.get_list("eo:bands")}
    assert common == {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "SCL": None}


def test_the_middle_of_a_scene_lies_in_the_middle(scene):
    box = scene.extent(0.5)
    west, south, east, north = rasterio.warp.transform_bounds("EPSG:4326", "EPSG:32632", *box.values())
    assert west == pytest.approx(600_750, abs=40)
    assert east == pytest.approx(602_250, abs=40)
    assert south == pytest.approx(5_337_750, abs=40)
    assert north == pytest.approx(5_339_250, abs=40)


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_cube_files_hold_what_the_cogs_hold(scene, form):
    path = getattr(scene, form)()
    engine = {"netcdf": "h5netcdf", "zarr": "zarr"}[form]
    with xr.open_dataset(path, engine=engine, mask_and_scale=False) as dataset:
        assert list(dataset.data_vars) == list(scene.bands)
        assert dataset["B04"].dims == ("t", "y", "x")
        for i, date in enumerate(dict.fromkeys(date for date, _ in scene.files)):
            for band in scene.bands:
                assert np.array_equal(dataset[band][i], read(scene.files[date, band]))
        assert list(dataset.t.values) == [np.datetime64(m.replace(tzinfo=None), "ns") for m in scene.moments]
        assert dataset["B04"].dtype == "uint16"
        assert dataset["B04"].attrs["_FillValue"] == 0
        assert (float(dataset.x[0]), float(dataset.y[0])) == (600_005, 5_339_995)


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_cube_files_know_where_they_are_and_what_is_missing(scene, form):
    path = getattr(scene, form)()
    engine = {"netcdf": "h5netcdf", "zarr": "zarr"}[form]
    with xr.open_dataset(path, engine=engine, decode_coords="all") as dataset:
        assert dataset.rio.crs.to_epsg() == scene.epsg
        assert dataset["SCL"].encoding["grid_mapping"] == "spatial_ref"
        assert np.array_equal(np.isnan(dataset["B08"][1]), read(scene.files["2023-04-13", "B08"]) == 0)


def test_cube_files_are_written_once(scene):
    before = scene.netcdf().stat().st_mtime_ns
    assert scene.netcdf().stat().st_mtime_ns == before
