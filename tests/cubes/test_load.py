"""Loading from catalogues: exactly the pixels, dates and bands that were asked for, and nothing before they are."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr

from benchmarks.scenes import Scene, landsat8
from openeo_processes_dask import dimensions, exceptions
from openeo_processes_dask.process_implementations.cubes import load_collection, load_stac
from tests.cubes import pictures
from tests.cubes.cases import child, given, node, tasks
from tests.laziness import nothing_computed

DATES = ("2023-04-03", "2023-04-13")


def plain(scene: Scene, bands: Any, extent: Any = None) -> np.ndarray:
    """The whole scene, or the pixels in an extent, read by rasterio alone."""
    extent = extent or scene.extent(1.5)
    days = [f"{moment:%Y-%m-%d}" for moment in scene.moments]
    return np.array([[pictures.inside(scene.files[day, band], extent)[0] for band in bands] for day in days])


def two(tmp_path: Path, first: dict[str, Any], second: dict[str, Any], same_time: bool = False) -> tuple[Any, Any, str]:
    """Two images, and an ItemCollection of two items with one band `a`."""
    values = [pictures.pixels(one.pop("shape", (40, 50)), seed=i) for i, one in enumerate((first, second))]
    paths = [pictures.write(tmp_path / f"{i}.tif", values[i], **one) for i, one in enumerate((first, second))]
    dates = ["2023-04-03T10:00:00Z", "2023-04-03T10:00:00Z" if same_time else "2023-04-13T10:00:00Z"]
    items = [pictures.item(f"i{i}", dates[i], {"a": paths[i]}) for i in range(2)]
    return values[0], values[1], pictures.collection(tmp_path / "items.json", items)


# --- what is there


@pytest.mark.parametrize("kind", ["catalog", "collection", "folder", "file:", "item"])
def test_a_catalogue_gives_a_labelled_cube(scene: Scene, kind: str) -> None:
    item = scene.cogs / "S2_20230403.json"
    url = {"folder": str(scene.cogs), "file:": scene.catalog.as_uri(), "item": str(item)}.get(kind) or getattr(
        scene, kind
    )
    with nothing_computed():
        cube = load_stac(str(url))
    assert cube.dims == ("t", "bands", "y", "x")
    assert cube.bands.values.tolist() == list(scene.bands)
    assert cube[dimensions.COMMON_NAME].values.tolist() == ["blue", "green", "red", "nir", ""]
    assert cube.attrs == {"nodata": 0}
    assert dimensions.crs(cube) == pyproj.CRS.from_epsg(32632)
    assert [dimensions.role(cube, d) for d in cube.dims] == ["temporal", "bands", "y", "x"]
    assert cube.t.dtype == "datetime64[ns]"
    moments = scene.moments[:1] if kind == "item" else scene.moments
    assert cube.t.values.tolist() == [np.datetime64(m.replace(tzinfo=None), "ns").astype(int) for m in moments]
    np.testing.assert_array_equal(cube, plain(scene, scene.bands)[: len(moments)])


def test_the_cube_is_the_same_wherever_it_is_computed(scene: Scene, scheduler: str) -> None:
    cube = load_collection(str(scene.cogs), scene.extent(0.5), None)
    np.testing.assert_array_equal(cube, plain(scene, scene.bands, scene.extent(0.5)))


def test_bands_come_in_the_order_of_the_request_by_name_or_common_name(scene: Scene) -> None:
    cube = load_stac(str(scene.catalog), bands=["nir", "SCL", "B02"])
    assert cube.bands.values.tolist() == ["B08", "SCL", "B02"]
    np.testing.assert_array_equal(cube, plain(scene, ["B08", "SCL", "B02"]))


def test_an_end_far_away_is_no_end(scene: Scene) -> None:
    for source in (scene.cogs, scene.netcdf(), scene.zarr()):
        cube = load_collection(str(source), None, ["2023-05-01", "9999-12-31"])
        assert cube.sizes["t"] == 5, source


def test_the_end_of_the_interval_does_not_belong_to_it(scene: Scene) -> None:
    days = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in scene.moments]
    cube = load_stac(str(scene.catalog), temporal_extent=[days[1], days[3]])
    assert cube.sizes["t"] == 2
    assert load_stac(str(scene.catalog), temporal_extent=[days[2], None]).sizes["t"] == len(days) - 2
    assert load_stac(str(scene.catalog), temporal_extent=[None, None]).sizes["t"] == len(days)


def test_the_objects_of_the_parser_are_understood(scene: Scene) -> None:
    from openeo_pg_parser_networkx.pg_schema import BoundingBox, TemporalInterval

    extent = scene.extent(0.3)
    interval = ["2023-04-03", "2023-04-20"]
    cube = load_stac(
        url=str(scene.catalog),
        spatial_extent=BoundingBox.model_validate({**extent, "crs": "EPSG:4326"}),
        temporal_extent=TemporalInterval.model_validate(interval),
    )
    xr.testing.assert_identical(cube.compute(), load_stac(str(scene.catalog), extent, interval).compute())
    assert (cube.openeo.x_dim, cube.openeo.temporal_dims, cube.openeo.band_dims) == ("x", ("t",), ("bands",))


def test_items_are_chosen_by_their_properties(tmp_path: Path) -> None:
    path = pictures.write(tmp_path / "a.tif", pictures.pixels((4, 5)))
    covers = {"x": 10, "y": 60, "z": None}
    items = [
        pictures.item(id, f"2023-04-0{i}T00:00:00Z", {"a": path}, **({"eo:cloud_cover": c} if c else {}))
        for i, (id, c) in enumerate(covers.items(), 1)
    ]
    url = pictures.collection(tmp_path / "items.json", items)
    condition = child(lt=node("lt", x=given("value"), y=50))
    cube = load_stac(url, properties={"eo:cloud_cover": condition})
    assert cube.t.dt.day.values.tolist() == [1]
    with pytest.raises(exceptions.NoDataAvailable, match="conditions on platform"):
        load_stac(url, properties={"platform": child(eq=node("eq", x=given("value"), y="S2A"))})


# --- several grids


def test_images_of_one_lattice_share_one_exact_grid(tmp_path: Path) -> None:
    a, b, url = two(tmp_path, {}, {"corner": (pictures.WEST + 300, pictures.NORTH - 200), "shape": (30, 60)})
    cube = load_stac(url)
    assert cube.shape == (2, 1, 50, 90)
    np.testing.assert_array_equal(cube[0, 0, :40, :50], a)
    np.testing.assert_array_equal(cube[1, 0, 20:, 30:], b)
    assert cube.values.sum() == int(a.sum()) + int(b.sum())
    assert cube.attrs["nodata"] == 0


def test_of_images_of_one_instant_the_first_value_counts(tmp_path: Path, scheduler: str) -> None:
    a, b, url = two(tmp_path, {}, {"corner": (pictures.WEST + 300, pictures.NORTH - 200)}, same_time=True)
    cube = load_stac(url)
    expected = np.zeros((60, 80), "uint16")
    expected[20:, 30:] = b
    expected[:40, :50] = np.where(a != 0, a, expected[:40, :50])
    assert cube.sizes["t"] == 1
    np.testing.assert_array_equal(cube[0, 0], expected)


def test_coarse_bands_are_repeated_on_the_finest_grid(tmp_path: Path) -> None:
    fine, coarse = pictures.pixels((40, 60)), pictures.pixels((20, 30), seed=1)
    paths = {
        "a": pictures.write(tmp_path / "a.tif", fine),
        "b": pictures.write(tmp_path / "b.tif", coarse, size=20),
    }
    url = pictures.collection(tmp_path / "items.json", [pictures.item("i", "2023-04-03T10:00:00Z", paths)])
    whole = coarse.repeat(2, axis=0).repeat(2, axis=1)
    box = {"west": pictures.WEST + 30, "south": pictures.NORTH - 270, "east": pictures.WEST + 410}
    box |= {"north": pictures.NORTH - 50, "crs": 32632}
    np.testing.assert_array_equal(load_stac(url)[0], [fine, whole])
    np.testing.assert_array_equal(load_stac(url, box)[0], np.array([fine, whole])[:, 5:27, 3:41])


def test_another_crs_gives_its_nearest_pixels_however_blocks_are_cut(tmp_path: Path) -> None:
    a, b, url = two(
        tmp_path,
        {"shape": (300, 280)},
        {"corner": (10.2675, 45.1545), "size": 0.0001, "epsg": 4326, "shape": (200, 250)},
    )
    cube = load_stac(url)
    assert dimensions.crs(cube) == pyproj.CRS.from_epsg(32632)
    xs, ys = np.meshgrid(cube.x, cube.y)
    lon, lat = pyproj.Transformer.from_crs(32632, 4326, always_xy=True).transform(xs, ys)
    columns, rows = np.floor((lon - 10.2675) / 0.0001).astype(int), np.floor((45.1545 - lat) / 0.0001).astype(int)
    there = (rows >= 0) & (rows < 200) & (columns >= 0) & (columns < 250)
    expected = np.zeros(there.shape, "uint16")
    expected[there] = b[rows[there], columns[there]]
    assert there.mean() > 0.2
    np.testing.assert_array_equal(cube.sel(t="2023-04-13")[0, 0], expected)
    np.testing.assert_array_equal(cube.sel(t="2023-04-03", x=slice(pictures.WEST, None))[0, 0, :, :280].max(), a.max())
    with dask.config.set({"array.chunk-size": "150 kiB"}):
        cut = load_stac(url)
    assert cut.data.npartitions > cube.data.npartitions
    np.testing.assert_array_equal(cut, cube)


def test_images_without_nodata_get_a_value_that_is_free(tmp_path: Path) -> None:
    a, b, url = two(tmp_path, {"nodata": None}, {"nodata": None, "corner": (pictures.WEST + 300, pictures.NORTH)})
    cube = load_stac(url)
    gap = np.iinfo("int32").min
    assert (cube.dtype, cube.attrs) == (np.dtype("int32"), {"nodata": gap})
    np.testing.assert_array_equal(cube[0, 0], np.hstack([a.astype("int32"), np.full((40, 30), gap)]))
    np.testing.assert_array_equal(cube[1, 0, :, 30:], b)
    whole = load_stac(url, temporal_extent=["2023-04-01", "2023-04-10"])
    assert (whole.dtype, whole.attrs) == (np.dtype("uint16"), {})


def test_bands_with_different_nodata_lose_neither_gaps_nor_values(tmp_path: Path) -> None:
    values = {"a": np.array([[0, 5, 255]], "uint8"), "b": np.array([[0, 5, 255]], "uint8")}
    paths = {
        name: pictures.write(tmp_path / f"{name}.tif", v, nodata={"a": 0, "b": 255}[name]) for name, v in values.items()
    }
    cube = load_stac(pictures.collection(tmp_path / "i.json", [pictures.item("i", "2023-04-03T10:00:00Z", paths)]))
    gap = cube.attrs["nodata"]
    assert cube[0, :, 0].values.tolist() == [[gap, 5, 255], [0, 5, gap]]


def test_floats_have_nan_for_gaps(tmp_path: Path) -> None:
    path = pictures.write(tmp_path / "a.tif", np.array([[-9999, 1.5, np.nan]], "float32"), nodata=-9999)
    other = pictures.write(tmp_path / "b.tif", np.array([[0, 7, 9]], "uint8"))
    item = pictures.item("i", "2023-04-03T10:00:00Z", {"a": path, "b": other})
    cube = load_stac(pictures.collection(tmp_path / "i.json", [item]))
    assert (cube.dtype, cube.attrs) == (np.dtype("float32"), {})
    np.testing.assert_array_equal(cube[0, :, 0], [[np.nan, 1.5, np.nan], [np.nan, 7, 9]])


def test_the_landsat_scenes_give_one_mosaic(tmp_path: Path) -> None:
    landsat = landsat8(tmp_path / "landsat")
    if landsat is None:
        pytest.skip("the scenes are not on this machine")
    with nothing_computed():
        cube = load_stac(str(landsat.collection), bands=["red"])
    upper, lower = landsat.files.values()
    expected = cube.copy(data=np.zeros(cube.shape, "uint16"))
    for paths in (lower, upper):
        with rasterio.open(paths["B4"]) as file:
            values, bounds = file.read(1), file.bounds
        part = {"y": slice(bounds.top, bounds.bottom), "x": slice(bounds.left, bounds.right)}
        there = expected.sel(part)
        expected.loc[part] = np.where(values != 0, values, there[0, 0])
    np.testing.assert_array_equal(cube, expected)


# --- nothing but what is asked for


def test_building_reads_headers_only_and_a_broken_file_is_named(scene: Scene, tmp_path: Path, scheduler: str) -> None:
    shutil.copytree(scene.cogs, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("*.tif"):
        os.truncate(path, 2000)  # the directory of a COG lies in front
    cube = load_collection(str(tmp_path / "copy"), None, None)
    with pytest.raises(exceptions.FileContentInvalid, match=r"S2_\d+_\w+\.tif of item S2_\d+ cannot be read"):
        cube.compute()


def test_a_file_that_has_gone_is_named(scene: Scene, tmp_path: Path, scheduler: str) -> None:
    shutil.copytree(scene.cogs, tmp_path / "copy")
    cube = load_collection(str(tmp_path / "copy"), None, None)
    (tmp_path / "copy" / "S2_20230413_B04.tif").unlink()
    with pytest.raises(
        exceptions.FileNotFound, match=r"S2_20230413_B04\.tif of item S2_20230413: there is no such file"
    ):
        cube.compute()


def test_items_outside_of_the_extents_are_not_opened(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.cogs, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("*.tif"):
        if "20230403" not in path.name or "B02" not in path.name:
            path.unlink()
    cube = load_collection(str(tmp_path / "copy"), None, ["2023-04-01", "2023-04-10"], bands=["B02"])
    np.testing.assert_array_equal(cube, plain(scene, ["B02"])[:1])


def test_over_http_the_bytes_read_are_those_of_the_box(tmp_path: Path, serve: tuple[str, dict[str, int]]) -> None:
    address, sent = serve
    values = np.random.default_rng(0).integers(1, 60_000, (2048, 2048)).astype("uint16")
    path = pictures.write(tmp_path / "a.tif", values, driver="COG", blocksize=256, compress="none", overviews="none")
    href = {"a": ("./a.tif", {"raster:bands": [{"nodata": 0, "data_type": "uint16"}]})}
    item = {**pictures.item("i", "2023-04-03T10:00:00Z", {"a": path}), "assets": pictures.item("i", "", href)["assets"]}
    pictures.collection(tmp_path / "catalog.json", [item], "Catalog")
    west, north = pictures.WEST + 7_000, pictures.NORTH - 7_000
    box = {"west": west, "south": north - 1_000, "east": west + 1_000, "north": north, "crs": 32632}
    cube = load_stac(f"{address}/catalog.json", box)
    np.testing.assert_array_equal(cube[0, 0], values[700:800, 700:800])
    assert sent["a.tif"] < 4 * 256 * 256 * 2 + 50_000  # of 8 MB: at most four tiles, and the header


def test_the_collection_of_an_api_is_asked_page_by_page(tmp_path: Path, serve: tuple[str, dict[str, int]]) -> None:
    address, sent = serve
    values = [pictures.pixels((4, 5), seed=i) for i in range(4)]
    items = []
    for i, picture in enumerate(values):
        path = pictures.write(tmp_path / f"{i}.tif", picture)
        item = pictures.item(f"i{i}", f"2023-04-0{i + 1}T10:00:00Z", {"a": path})
        items.append({**item, "assets": {"a": {**item["assets"]["a"], "href": f"{address}/{i}.tif"}}})
    for page, following in ((0, f"{address}/page1.json"), (1, None)):
        links = [{"rel": "next", "href": following}] if following else []
        document = {"type": "FeatureCollection", "features": items[2 * page : 2 * page + 2], "links": links}
        (tmp_path / f"page{page}.json").write_text(json.dumps(document))
    links = [{"rel": "items", "href": "page0.json"}, {"rel": "root", "href": "nowhere.json"}]
    (tmp_path / "api.json").write_text(json.dumps({"type": "Collection", "id": "c", "links": links}))
    box = {"west": 10, "south": 45, "east": 11, "north": 46}
    cube = load_stac(f"{address}/api.json", box, ["2023-04-02", "2023-04-04"])
    np.testing.assert_array_equal(cube[:, 0], values[1:3])
    query = (
        "limit=500&bbox=10.0%2C45.0%2C11.0%2C46.0&datetime=2023-04-02T00%3A00%3A00.000Z%2F2023-04-04T00%3A00%3A00.000Z"
    )
    assert sent[query] == 0
    assert {"0.tif", "3.tif"}.isdisjoint(sent)


def test_each_block_is_one_task_with_all_bands(scene: Scene) -> None:
    cube = load_stac(str(scene.catalog))
    assert cube.chunks == ((2, 2, 2, 2), (5,), (300,), (300,))
    assert tasks(cube) == 4
    assert tasks(cube.copy(data=cube.data.astype("float32") * 2 + 1)) == 4


def test_keys_follow_from_what_is_read(scene: Scene, tmp_path: Path) -> None:
    path = pictures.write(tmp_path / "20230403_a.tif", pictures.pixels((4, 5)))
    once, again = (load_collection(str(path), None, None).data.name for _ in range(2))
    pictures.write(path, pictures.pixels((4, 5), seed=1))
    os.utime(path, (1, 1))
    assert once == again != load_collection(str(path), None, None).data.name


# --- bad input


def test_an_unknown_band_is_named_with_those_there_are(scene: Scene) -> None:
    with pytest.raises(exceptions.LabelNotAvailable, match=r"no band 'B99'; there are B02 \(blue\), .*, SCL$"):
        load_stac(str(scene.catalog), bands=["B02", "B99"])


def test_nothing_in_the_extents_is_an_error(scene: Scene) -> None:
    elsewhere = {"west": 0, "south": 0, "east": 1, "north": 1}
    for arguments in ({"spatial_extent": elsewhere}, {"temporal_extent": ["1999-01-01", "2000-01-01"]}):
        with pytest.raises(exceptions.NoDataAvailable, match=r"within the (box|interval)"):
            load_stac(str(scene.catalog), **arguments)
    with pytest.raises(exceptions.NoDataAvailable, match="no pixel's centre"):
        load_stac(str(scene.catalog), {**scene.extent(0), "east": scene.extent(0)["west"] + 1e-7})
    with pytest.raises(exceptions.TemporalExtentEmpty):
        load_stac(str(scene.catalog), temporal_extent=["2023-05-01", "2023-05-01"])


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"type": "Feature"}', '{"type": "Nonsense", "id": 1}'])
def test_what_is_no_stac_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "item.json").write_text(content)
    with pytest.raises(exceptions.FileContentInvalid, match=r"item\.json"):
        load_stac(str(tmp_path / "item.json"))


def test_a_missing_document_is_named(tmp_path: Path, serve: tuple[str, dict[str, int]]) -> None:
    with pytest.raises(exceptions.FileNotFound, match=r"nowhere\.json"):
        load_stac(str(tmp_path / "nowhere.json"))
    with pytest.raises(exceptions.FileNotFound, match=r"nowhere\.json: the server says 404"):
        load_stac(f"{serve[0]}/nowhere.json")
    with pytest.raises(exceptions.FileContentInvalid, match="cannot be read"):
        load_stac("http://127.0.0.1:9/catalog.json")


def test_a_remote_catalogue_cannot_read_files_of_this_machine(
    tmp_path: Path, serve: tuple[str, dict[str, int]]
) -> None:
    path = pictures.write(tmp_path / "a.tif", pictures.pixels((4, 5)))
    item = pictures.item("i", "2023-04-03T10:00:00Z", {"a": path.as_uri()})
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(exceptions.FileContentInvalid, match="points at the local file"):
        load_stac(f"{serve[0]}/item.json")


def test_a_catalogue_that_contradicts_the_file_is_found_out(tmp_path: Path) -> None:
    path = pictures.write(tmp_path / "a.tif", pictures.pixels((4, 5)))
    wrong = {"proj:code": "EPSG:32632", "proj:shape": [4, 5], "proj:transform": [10, 0, 0, 0, -10, 0]}
    item = pictures.item("i", "2023-04-03T10:00:00Z", {"a": path}, **wrong)
    cube = load_stac(pictures.collection(tmp_path / "items.json", [item]))
    with pytest.raises(exceptions.FileContentInvalid, match="its catalogue says"):
        cube.compute()
