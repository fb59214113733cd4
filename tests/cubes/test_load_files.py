"""Loading files without a catalogue: GeoTIFF, netCDF and zarr, their dates and bands."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from xarray.backends.file_manager import FILE_CACHE

from benchmarks.scenes import Scene
from openeo_processes_dask import dimensions, exceptions
from openeo_processes_dask.process_implementations.cubes import load_collection
from openeo_processes_dask.process_implementations.cubes.loading import chunking, names
from tests.cubes import pictures
from tests.cubes.cases import tasks
from tests.laziness import nothing_computed


def load(path: Path, *arguments: Any, **more: Any) -> xr.DataArray:
    with nothing_computed():
        return load_collection(str(path), *(arguments or (None, None)), **more)


@pytest.fixture(params=["folder", "netcdf", "zarr"])
def source(request: pytest.FixtureRequest, scene: Scene, tmp_path: Path) -> Path:
    """Give the scene as a folder of GeoTIFFs, as netCDF and as zarr 2."""
    if request.param != "folder":
        return Path(getattr(scene, request.param)())
    for path in scene.cogs.glob("*.tif"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_every_format_gives_the_same_cube(scene: Scene, source: Path, scheduler: str) -> None:
    whole = load_collection(str(scene.cogs), None, None)
    cube = load(source)
    assert (cube.dims, cube.attrs, cube.dtype) == (whole.dims, {"nodata": 0}, whole.dtype)
    assert cube.bands.values.tolist() == list(scene.bands)
    assert [dimensions.role(cube, d) for d in cube.dims] == ["temporal", "bands", "y", "x"]
    assert dimensions.crs(cube) == dimensions.crs(whole)
    np.testing.assert_array_equal(cube.t.dt.floor("D"), whole.t.dt.floor("D"))
    np.testing.assert_array_equal(cube, whole)
    assert tasks(cube) == 4


def test_every_format_reads_only_what_is_asked_for(scene: Scene, source: Path) -> None:
    extent, interval = scene.extent(0.3), ["2023-04-05", "2023-05-10"]
    expected = load_collection(str(scene.cogs), extent, interval, bands=["B08", "B02"])
    cube = load(source, extent, interval, bands=["B08", "B02"])
    assert cube.shape == (3, 2, *expected.shape[2:])
    np.testing.assert_array_equal(cube.x, expected.x)
    np.testing.assert_array_equal(cube.y, expected.y)
    np.testing.assert_array_equal(cube, expected)
    inner = {**extent, "east": (extent["west"] + extent["east"]) / 2}
    triangle = {"type": "Polygon", "coordinates": [[[inner["west"], inner["south"]], [inner["east"], inner["south"]]]]}
    triangle["coordinates"][0] += [[inner["west"], inner["north"]], [inner["west"], inner["south"]]]
    np.testing.assert_array_equal(load(source, triangle, None), load_collection(str(scene.cogs), triangle, None))


def test_every_format_names_what_is_not_there(source: Path) -> None:
    with pytest.raises(exceptions.LabelNotAvailable, match="no band 'nir'; there are B02, "):
        load(source, None, None, bands=["nir"])
    with pytest.raises(exceptions.NoDataAvailable, match="interval"):
        load(source, None, ["2000-01-01", "2001-01-01"])
    with pytest.raises(exceptions.NoDataAvailable, match="box"):
        load(source, {"west": 0, "south": 0, "east": 1, "north": 1}, None)
    with pytest.raises(exceptions.PropertiesUnsupported, match="no STAC catalogue"):
        load(source, None, None, None, {"eo:cloud_cover": lambda value: value < 5})


# --- names of files


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("S2_20230403_B02", "2023-04-03"),
        ("LC08_L1TP_224077_20200518_20200518_01_RT_B3", "2020-05-18"),
        ("T32UQU_20230403T102031_B02_10m", "2023-04-03T10:20:31"),
        ("result_2023-04-03T102031Z", "2023-04-03T10:20:31"),
        ("2023_04_03", "2023-04-03"),
        ("MOD13Q1.A2023093.h18v04", "2023-04-03"),
        ("ndvi-2023-04", "2023-04-01"),
        ("tile_12345678_B02", None),
        ("20231303", None),
        ("B02", None),
    ],
)
def test_dates_in_names(name: str, date: str | None) -> None:
    assert names.date_in(name) == (None if date is None else np.datetime64(date, "ns"))


@pytest.mark.parametrize(
    ("stems", "bands"),
    [
        (["S2_20230403_B02", "S2_20230413_B8A"], ["B02", "B8A"]),
        (["LC08_224077_20200518_01_B3", "LC08_224078_20200518_01_B4"], ["B3", "B4"]),
        (["T32_20230403T102031_B02_10m", "T32_20230403T102031_SCL_20m"], ["B02", "SCL"]),
        (["red_2023-04-03", "nir_2023-04-03"], ["red", "nir"]),
        (["2023-04-03_height", "2023-04-13_height"], ["height", "height"]),
        (["2023-04-03"], ["B1"]),
    ],
)
def test_bands_in_names(stems: list[str], bands: list[str]) -> None:
    assert names.bands_of(stems) == bands


def test_one_file_of_several_bands_has_no_time_unless_its_name_says_it(tmp_path: Path) -> None:
    values = pictures.pixels((3, 4, 5))
    cube = load(pictures.write(tmp_path / "picture.tif", values, names=["red", "nir", "QA"]))
    assert (cube.dims, cube.bands.values.tolist()) == (("bands", "y", "x"), ["red", "nir", "QA"])
    np.testing.assert_array_equal(cube, values)
    dated = load(pictures.write(tmp_path / "2023-04-03.tif", values))
    assert (dated.dims, dated.bands.values.tolist()) == (("t", "bands", "y", "x"), ["B1", "B2", "B3"])
    with pytest.raises(exceptions.FileContentInvalid, match=r"picture\.tif has no date in its name"):
        load(tmp_path / "picture.tif", None, ["2023-01-01", None])
    with pytest.raises(exceptions.FileContentInvalid, match=r"picture\.tif has no date in its name, other files"):
        load(tmp_path)


def test_dates_may_be_names_of_folders(tmp_path: Path) -> None:
    values = {day: pictures.pixels((4, 5), seed=day) for day in (1, 2)}
    for day, picture in values.items():
        pictures.write(tmp_path / f"2023-04-0{day}" / "B02.tif", picture)
    cube = load(tmp_path)
    assert cube.t.dt.day.values.tolist() == [1, 2]
    np.testing.assert_array_equal(cube[:, 0], list(values.values()))


# --- netCDF and zarr as others write them


def written(path: Path, data: xr.Dataset, kind: str) -> Path:
    with dask.config.set(scheduler="synchronous"):  # or xarray asks the cluster for a lock
        if kind.startswith("zarr"):
            data.to_zarr(path, zarr_format=int(kind[-1]), consolidated=False)
        else:
            data.to_netcdf(path, engine=kind)
    return path


@pytest.mark.parametrize("kind", ["h5netcdf", "scipy", "zarr2", "zarr3"])
def test_lonlat_floats_in_any_order_of_dimensions(tmp_path: Path, kind: str, scheduler: str) -> None:
    values = pictures.pixels((6, 5, 3), "float32")
    data = xr.Dataset(
        {"tas": (("lat", "lon", "time"), values, {"units": "K"})},
        {
            "time": pd.date_range("2023-01-01", periods=3),
            "lat": ("lat", np.arange(6) * 0.5 + 45, {"units": "degrees_north"}),
            "lon": ("lon", np.arange(5) * 0.5 + 10, {"units": "degrees_east"}),
        },
    )
    path = written(tmp_path / ("a.zarr" if "zarr" in kind else "a.nc"), data, kind)
    cube = load(path, {"west": 10.2, "south": 45.2, "east": 11.1, "north": 46.5}, ["2023-01-02", None])
    assert (cube.dims, cube.bands.values.tolist()) == (("t", "bands", "y", "x"), ["tas"])
    assert dimensions.crs(cube).to_epsg() == 4326
    np.testing.assert_array_equal(cube[:, 0], values[1:4, 1:3, 1:].transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["h5netcdf", "zarr3"])
def test_longitudes_up_to_360_degrees_are_found_west_of_greenwich(tmp_path: Path, kind: str) -> None:
    values = pictures.pixels((4, 36), "float32")
    axes = {
        "lat": ("lat", np.arange(4) + 45.5, {"units": "degrees_north"}),
        "lon": ("lon", np.arange(36) * 10.0 + 5, {"units": "degrees_east"}),
    }
    data = xr.Dataset({"tas": (("lat", "lon"), values)}, axes)
    path = written(tmp_path / ("a.zarr" if "zarr" in kind else "a.nc"), data, kind)
    west = load(path, {"west": -30, "south": 45, "east": -1, "north": 49}, None)
    assert west.x.values.tolist() == [-25, -15, -5]
    np.testing.assert_array_equal(west[0], values[:, 33:])
    triangle = {"type": "Polygon", "coordinates": [[[-30, 45], [-10, 45], [-10, 49], [-30, 49], [-30, 45]]]}
    np.testing.assert_array_equal(load(path, triangle, None)[0], values[:, 33:35])
    east = load(path, {"west": 1, "south": 45, "east": 30, "north": 49}, None)
    np.testing.assert_array_equal(east[0], values[:, :3])


@pytest.mark.parametrize("kind", ["h5netcdf", "zarr2", "zarr3"])
def test_what_the_reader_does_not_find_is_an_error_and_no_gap(tmp_path: Path, kind: str) -> None:
    """A worker need not see what the client sees; to zarr, chunks that are not there are chunks of no-data."""
    data = xr.Dataset({"a": (("y", "x"), np.ones((4, 4)))}, {"y": np.arange(4.0), "x": np.arange(4.0)})
    path = written(tmp_path / ("a.zarr" if "zarr" in kind else "a.nc"), data, kind)
    cube = load(path)
    path.rename(tmp_path / "elsewhere")
    FILE_CACHE.clear()  # another process has not opened it yet
    with pytest.raises(exceptions.FileNotFound, match="there is no such"):
        cube.compute()


def test_packed_values_are_unpacked_and_gaps_are_nan(tmp_path: Path) -> None:
    values = np.array([[0.5, np.nan, 1.25]])
    data = xr.Dataset({"a": (("y", "x"), values)}, {"y": [1.0], "x": [1.0, 2.0, 3.0]})
    data["a"].encoding = {"dtype": "int16", "scale_factor": 0.25, "_FillValue": -1}
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    cube = load(tmp_path / "a.nc")
    assert (cube.dims, cube.attrs) == (("bands", "y", "x"), {})
    np.testing.assert_array_equal(cube[0], values)


def test_a_dimension_of_bands_is_kept(tmp_path: Path) -> None:
    values = pictures.pixels((2, 3, 4, 5))
    data = xr.DataArray(values, {"band": ["a", "b", "c"]}, ("time", "band", "y", "x"), name="v").to_dataset()
    data = data.assign_coords(time=pd.date_range("2023-01-01", periods=2), y=np.arange(4.0), x=np.arange(5.0))
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    cube = load(tmp_path / "a.nc", None, None, bands=["c", "a"])
    assert cube.bands.values.tolist() == ["c", "a"]
    np.testing.assert_array_equal(cube, values[:, [2, 0]])


def test_a_folder_of_netcdf_files_follows_time(tmp_path: Path) -> None:
    values = pictures.pixels((4, 3, 5))
    for i, first in enumerate((2, 0)):
        dates = pd.date_range("2023-01-01", periods=4)[first : first + 2]
        part = xr.Dataset({"a": (("time", "y", "x"), values[first : first + 2])}, {"time": dates})
        part.assign_coords(y=np.arange(3.0), x=np.arange(5.0)).to_netcdf(tmp_path / f"{i}.nc", engine="h5netcdf")
    cube = load(tmp_path)
    assert cube.t.dt.day.values.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(cube[:, 0], values)


@pytest.mark.parametrize("when", ["along", "name", "scalar"])
def test_building_reads_no_values(tmp_path: Path, when: str) -> None:
    data = xr.Dataset({"a": (("y", "x"), pictures.pixels((3, 5)))}, {"y": np.arange(3.0), "x": np.arange(5.0)})
    if when != "name":
        data = data.assign_coords(time=pd.Timestamp("2023-04-03"))
    path = written(tmp_path / "2023-04-03.zarr", data.expand_dims("time") if when == "along" else data, "zarr2")
    for chunk in (path / "a").glob("0*"):
        chunk.write_bytes(b"nothing that could be decompressed")
    cube = load(path, None, ["2023-04-01", "2023-05-01"])
    assert (cube.shape, cube.t.dt.day.values.tolist()) == ((1, 1, 3, 5), [3])
    with pytest.raises(exceptions.FileContentInvalid, match=r"2023-04-03\.zarr cannot be read"):
        cube.compute()


# --- ids


def test_collections_lie_in_their_folder(scene: Scene, tmp_path: Path) -> None:
    outside = pictures.write(tmp_path / "secret.tif", pictures.pixels((4, 5)))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with dask.config.set({"openeo.collections": str(scene.folder)}):
        assert load_collection("sentinel-2", None, None).sizes["t"] == 8
    with dask.config.set({"openeo.collections": str(tmp_path / "root")}):
        for id in ("../secret.tif", str(outside), "link/secret.tif"):
            with pytest.raises(
                exceptions.CollectionNotFound, match=r"is outside of the collections; there are link in "
            ):
                load_collection(id, None, None)


def test_an_unknown_id_is_named_with_what_there_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scene.folder)
    assert load_collection("sentinel-2", None, None).sizes["t"] == 8
    with pytest.raises(
        exceptions.CollectionNotFound, match=r"no collection 'sentinel-3'; there are catalog\.json, sent"
    ):
        load_collection("sentinel-3", None, None)


@pytest.mark.parametrize("name", ["a.tif", "a.nc", "a.txt", "a.json", "a.zarr/zarr.json", "2023/a.tif", "2023/b.nc"])
@pytest.mark.parametrize(
    "content", [b"", b"no raster at all", b"\x89HDF\r\n\x1a\nbut no more", b"II*\x00\x08\x00\x00\x00"]
)
def test_a_file_that_is_no_raster_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "x" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(exceptions.FileContentInvalid, match=path.parent.name if "zarr" in name else path.name):
        load(path.parent if "zarr" in name or "2023" in name else path)


def test_a_folder_of_nothing_and_a_vrt_are_refused(tmp_path: Path) -> None:
    with pytest.raises(exceptions.FileContentInvalid, match="holds neither"):
        load(tmp_path)
    vrt = '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    (tmp_path / "a.tif").write_text(vrt)
    with pytest.raises(exceptions.FileContentInvalid, match="is VRT, and only GTiff"):
        load(tmp_path / "a.tif")


def test_files_without_a_crs_load_but_have_no_area(tmp_path: Path) -> None:
    values = pictures.pixels((4, 5))
    xr.Dataset({"a": (("y", "x"), values)}, {"y": np.arange(4.0), "x": np.arange(5.0)}).to_netcdf(tmp_path / "a.nc")
    np.testing.assert_array_equal(load(tmp_path / "a.nc")[0], values)
    with pytest.raises(exceptions.CRSInvalid, match="has no CRS"):
        load(tmp_path / "a.nc", {"west": 0, "south": 0, "east": 1, "north": 1}, None)


def test_a_cut_file_is_named_when_it_is_read(scene: Scene, tmp_path: Path, scheduler: str) -> None:
    path = Path(shutil.copy(scene.netcdf(), tmp_path / "a.nc"))
    cube = load(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : -4096] = bytes(len(content) - 4096 - len(content) // 3)
    path.write_bytes(content)
    with pytest.raises(exceptions.FileContentInvalid, match=r"a\.nc cannot be read"):
        cube.compute()


# --- sizes of blocks


@given(
    shape=st.tuples(st.integers(1, 500), st.integers(1, 12), st.integers(1, 20_000), st.integers(1, 20_000)),
    itemsize=st.sampled_from([1, 2, 4, 8]),
    block=st.tuples(
        st.sampled_from([1, 10]), st.sampled_from([1, 16, 256, 512, 1024]), st.sampled_from([256, 512, 1024])
    ),
    starts=st.tuples(st.integers(0, 30), st.integers(0, 5000), st.integers(0, 5000)),
)
def test_blocks_follow_those_of_the_files_and_stay_within_the_limit(
    shape: Any, itemsize: int, block: Any, starts: Any
) -> None:
    made = chunking.chunks(shape, itemsize, block, starts)
    assert tuple(map(sum, made)) == shape
    assert made[1] == (shape[1],)
    for axis, start in zip((0, 2, 3), starts, strict=True):
        ends = np.cumsum(made[axis])[:-1] + start
        assert not np.any(ends % block[(0, None, 1, 2)[axis]])
    bytes_of = [max(sizes) for sizes in made]
    smallest = min(block[0], shape[0]) * max(block[1], 256) * max(block[2], 256) * shape[1] * itemsize
    assert np.prod(bytes_of) * itemsize <= max(2 * 2**27, 4 * smallest)


def test_small_dates_lie_together_but_four_blocks_stay() -> None:
    assert chunking.chunks((100, 1, 100, 100), 4)[0] == (25,) * 4
    assert chunking.chunks((3, 1, 100, 100), 4)[0] == (1, 1, 1)
    assert chunking.chunks((1000, 4, 1000, 1000), 2)[0][:2] == (2, 2)
    assert os.environ.get("DASK_ARRAY__CHUNK_SIZE") or chunking.chunks((5, 4, 4000, 4000), 2)[0] == (1,) * 5
