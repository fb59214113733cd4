"""Saving: what is written is what was computed, complete or not at all, and the item says so."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5netcdf
import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
import zarr

from openeo_processes_dask import dimensions, exceptions, grids
from openeo_processes_dask.process_implementations.cubes import load_collection, load_stac, save_result
from openeo_processes_dask.process_implementations.cubes.saving import rasters, stream
from tests.cubes import cases

FORMATS = ("GTiff", "COG", "netCDF", "Zarr")
SUFFIX = {"GTiff": ".tif", "COG": ".tif", "netCDF": ".nc", "Zarr": ".zarr"}
CHUNKS = {"t": 2, "bands": 2, "y": 20, "x": 33}


@pytest.fixture(autouse=True)
def results(tmp_path: Path) -> Any:
    """Let results go to a folder of the test."""
    with dask.config.set({"openeo.results": str(tmp_path)}):
        yield tmp_path


def cube(dtype: Any = "uint16", chunks: Any = CHUNKS, **more: Any) -> xr.DataArray:
    """Three dates and bands of 50 by 70 pixels; integers have 0 as no-data."""
    array = cases.values((3, 3, 50, 70), dtype)
    made = cases.cube(array, chunks, nodata=0 if np.dtype(dtype).kind in "iu" else None, **more)
    made = made.assign_coords(common_name=("bands", ["blue", "red", "nir"]))
    return dimensions.with_role(dimensions.with_role(made, "t", "temporal"), "bands", "bands")


def again(item: dict[str, Any], folder: Path) -> xr.DataArray:
    """What load_stac makes of an item."""
    (folder / "item.json").write_text(json.dumps(item))
    return load_stac(str(folder / "item.json"))


def left(folder: Path) -> list[str]:
    """The files in a folder, but for documents of STAC."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".stac.json"))


# --- round trips


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_saved_loads_as_it_was(format: str, dtype: str, tmp_path: Path, scheduler: str) -> None:
    saved = cube(dtype)
    loaded = again(save_result(saved, format), tmp_path)
    assert (loaded.dims, loaded.dtype) == (saved.dims, saved.dtype)
    assert loaded.attrs.get("nodata") == saved.attrs.get("nodata")
    assert dimensions.crs(loaded) == dimensions.crs(saved)
    for name in ("t", "bands", "common_name", "y", "x"):
        np.testing.assert_array_equal(loaded[name], saved[name])
    np.testing.assert_array_equal(loaded, saved)


@pytest.mark.parametrize("format", FORMATS)
def test_without_its_item_a_result_loads_as_a_collection(format: str, tmp_path: Path) -> None:
    saved = cube().assign_coords(t=cube().t + np.timedelta64(37_231, "s"))
    save_result(saved, format.upper(), {"path": f"some/where{SUFFIX[format]}"})
    folder = tmp_path / "some"
    with dask.config.set({"openeo.collections": None}):
        path = folder if SUFFIX[format] == ".tif" else folder / f"where{SUFFIX[format]}"
        loaded = load_collection(str(path), None, None)
    for name in ("t", "bands", "y", "x"):
        np.testing.assert_array_equal(loaded[name], saved[name])
    np.testing.assert_array_equal(loaded, saved)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("order", [("x", "y"), ("y", "bands", "x"), ("bands", "x", "t", "y")])
def test_any_order_of_dimensions(format: str, order: tuple[str, ...], tmp_path: Path) -> None:
    saved = cube().isel(dict.fromkeys({"t", "bands"} - set(order), 0), drop=True).transpose(*order).rename("height")
    loaded = again(save_result(saved, format), tmp_path)
    if "bands" not in order:
        assert loaded.bands.values.tolist() == ["height"]
    squeezed = loaded.squeeze([d for d in ("t", "bands") if d in loaded.dims and d not in order])
    np.testing.assert_array_equal(squeezed.transpose(*order), saved)


@pytest.mark.parametrize("format", FORMATS)
def test_arrays_in_memory_rows_from_south_and_truth_values(format: str, tmp_path: Path) -> None:
    saved = (cube(chunks=None) > 100).isel(y=slice(None, None, -1))
    loaded = again(save_result(saved, format), tmp_path)
    assert loaded.dtype == ("uint8" if SUFFIX[format] == ".tif" else bool)
    np.testing.assert_array_equal(loaded.sel(y=saved.y), saved)


# --- what the files are like


def test_a_cog_is_one_and_has_overviews(tmp_path: Path) -> None:
    saved = cases.cube(cases.values((1, 2, 700, 600)), {"y": 300}).isel(t=0)
    item = save_result(saved, "cog", {"path": "a", "blocksize": 256, "overviews": "average", "compression": "zstd"})
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (file.block_shapes[0], file.overviews(1), file.compression.value) == ((256, 256), [2, 4], "ZSTD")
        assert (file.descriptions, np.isnan(file.nodata)) == (("B02", "B04"), True)
        assert (file.crs.to_epsg(), tuple(file.transform)[:6]) == (32632, tuple(grids.of(saved).affine)[:6])
        np.testing.assert_array_equal(file.read(), saved)
    assert item["assets"]["data"]["type"].endswith("profile=cloud-optimized")


def test_dates_are_files_with_the_date_in_their_names(tmp_path: Path) -> None:
    item = save_result(cube(), "GTiff", {"path": "a.tif"})
    days = ["2023-04-03", "2023-04-13", "2023-04-23"]
    assert left(tmp_path) == [f"a_{day}.tif" for day in days]
    assert [asset["datetime"] for asset in item["assets"].values()] == [f"{day}T00:00:00Z" for day in days]
    months = cube().assign_coords(t=["2023-04", "2023-05", "2023-06"])
    save_result(months, "GTiff", {"path": "b.tif"})
    assert left(tmp_path)[3:] == ["b_2023-04.tif", "b_2023-05.tif", "b_2023-06.tif"]


def test_netcdf_follows_cf(tmp_path: Path) -> None:
    save_result(cube().assign_attrs(units="1", odd={"a": 1}, flag=True), "netCDF", {"path": "a.nc"})
    with h5netcdf.File(tmp_path / "a.nc") as file:
        one = file["B04"]
        assert (one.dimensions, one.chunks, one.dtype) == (("t", "y", "x"), (2, 20, 33), np.dtype("uint16"))
        assert (one.attrs["_FillValue"], one.attrs["grid_mapping"]) == (0, "spatial_ref")
        assert (one.attrs["common_name"], one.attrs["units"], one.attrs["flag"]) == ("red", "1", 1)
        assert "odd" not in one.attrs
        assert (file["t"].attrs["standard_name"], file["t"].attrs["axis"]) == ("time", "T")
        assert (file["x"].attrs["standard_name"], file["x"].attrs["units"]) == ("projection_x_coordinate", "metre")
        assert file.attrs["Conventions"] == "CF-1.10"
        assert "crs_wkt" in file["spatial_ref"].attrs
    with xr.open_dataset(tmp_path / "a.nc", decode_coords="all") as found:
        np.testing.assert_array_equal(found["B04"], cases.gapped(cube().isel(bands=1).values, 0))


def test_zarr_is_version_3_and_plain_xarray_reads_it(tmp_path: Path) -> None:
    saved = cube("float64")
    save_result(saved, "zarr", {"path": "a.zarr", "compression": "none"})
    assert zarr.open_group(tmp_path / "a.zarr", mode="r").metadata.zarr_format == 3
    with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as found:
        np.testing.assert_array_equal(found["B08"], saved.isel(bands=2))


def test_labels_of_periods_can_be_saved(tmp_path: Path) -> None:
    saved = cube().assign_coords(t=["2023-04", "2023-05", "2023-06"])
    for format in ("netCDF", "Zarr"):
        loaded = again(save_result(saved, format), tmp_path)
        assert loaded.t.values.tolist() == saved.t.values.tolist()
        np.testing.assert_array_equal(loaded, saved)


# --- the item


@pytest.mark.parametrize("format", FORMATS)
def test_the_item_describes_the_files(format: str, tmp_path: Path) -> None:
    saved = cube()
    made = save_result(saved, format, {"path": "a" + SUFFIX[format]})
    if SUFFIX[format] == ".tif":
        collection = pystac.Collection.from_dict(json.loads(json.dumps(made)))
        assert (collection.id, len(collection.assets)) == ("a", 3)
        assert collection.extent.temporal.to_dict() == {"interval": [["2023-04-03T00:00:00Z", "2023-04-23T00:00:00Z"]]}
        assert made["cube:dimensions"]["bands"]["values"] == ["B02", "B04", "B08"]
        items = [json.loads(Path(link["href"]).read_text()) for link in made["links"] if link["rel"] == "item"]
        assert [item["properties"]["datetime"][:10] for item in items] == ["2023-04-03", "2023-04-13", "2023-04-23"]
    else:
        items = [json.loads((tmp_path / f"a{SUFFIX[format]}.stac.json").read_text())]
        assert items[0]["properties"]["datetime"] is None
        assert items[0]["properties"]["start_datetime"] == "2023-04-03T00:00:00Z"
        assert items[0]["properties"]["end_datetime"] == "2023-04-23T00:00:00Z"
    for parsed in map(pystac.Item.from_dict, items):
        assert parsed.properties["proj:code"] == "EPSG:32632"
        assert parsed.properties["proj:shape"] == [50, 70]
        assert parsed.properties["proj:transform"] == list(grids.of(saved).affine)[:6]
        assert 10.2 < parsed.bbox[0] < parsed.bbox[2] < 10.3
        assert 45.1 < parsed.bbox[1] < parsed.bbox[3] < 45.2
        (asset,) = parsed.assets.values()
        path = tmp_path / asset.href
        inside = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
        assert (asset.extra_fields["file:size"], asset.roles) == (sum(p.stat().st_size for p in inside), ["data"])
        if path.is_file():
            assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
        assert asset.extra_fields["bands"][1] == {
            "name": "B04",
            "data_type": "uint16",
            "nodata": 0,
            "eo:common_name": "red",
        }


@pytest.mark.parametrize("format", FORMATS)
def test_the_documents_beside_the_files_load(format: str, tmp_path: Path) -> None:
    saved = cube()
    save_result(saved, format, {"path": "here/a" + SUFFIX[format]})
    (tmp_path / "here").rename(tmp_path / "there")  # nothing in them names the folder
    loaded = load_stac(str(tmp_path / "there" / f"a{SUFFIX[format]}.stac.json"))
    np.testing.assert_array_equal(loaded, saved)
    save_result(saved.isel(t=0), format, {"path": "b", "stac": False})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b" + SUFFIX[format], "there"]


def test_an_item_without_crs_or_dates_is_one_too(tmp_path: Path) -> None:
    saved = xr.DataArray(np.ones((2, 3)), {"y": [2.0, 1.0], "x": [1.0, 2.0, 3.0]}, ("y", "x"))
    item = pystac.Item.from_dict(save_result(saved, "netCDF"))
    assert (item.geometry, item.bbox) == (None, None)
    assert item.datetime is not None


@pytest.mark.parametrize("format", FORMATS)
def test_one_date_keeps_its_instant(format: str, tmp_path: Path) -> None:
    saved = cube().assign_coords(t=cube().t + np.timedelta64(37_231, "s")).isel(t=1)
    item = save_result(saved, format)
    assert item["properties"]["datetime"] == "2023-04-13T10:20:31Z"
    with dask.config.set({"openeo.collections": str(tmp_path)}):
        loaded = load_collection("result" + SUFFIX[format], None, None)
    np.testing.assert_array_equal(loaded.t, [saved.t.values])
    np.testing.assert_array_equal(loaded[0], saved)


# --- failures


def failing(error: type[BaseException]) -> xr.DataArray:
    def fail(block: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        if block_id[-1] == 2:
            raise error("in the middle")
        return block

    saved = cube()
    return saved.copy(data=da.map_blocks(fail, saved.data, dtype=saved.dtype, meta=saved.data._meta))


@pytest.mark.parametrize("format", FORMATS)
def test_a_block_that_fails_leaves_nothing(format: str, tmp_path: Path, scheduler: str) -> None:
    with pytest.raises(ArithmeticError, match="in the middle"):
        save_result(failing(ArithmeticError), format)
    assert left(tmp_path) == []


@pytest.mark.parametrize("format", FORMATS)
def test_an_interrupted_save_leaves_what_was_there(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cube().isel(t=0)
    item = save_result(first, format)
    count = threading.local()
    original = stream._write

    def interrupted(values: Any, write: Any, *more: Any) -> None:
        def stop(where: Any, block: np.ndarray) -> None:
            count.blocks = getattr(count, "blocks", 0) + 1
            if count.blocks == 3:
                raise KeyboardInterrupt
            write(where, block)

        with dask.config.set(scheduler="synchronous"):
            original(values, stop, *more)

    monkeypatch.setattr(stream, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_result(first + 1, format, {"overwrite": True})
    monkeypatch.undo()
    assert left(tmp_path) == ["result" + SUFFIX[format]]
    np.testing.assert_array_equal(again(item, tmp_path).squeeze("t"), first)


def test_a_folder_of_somebody_is_never_replaced(tmp_path: Path) -> None:
    for name in ("a.zarr", "a.tif"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
        with pytest.raises(exceptions.FileExists, match="is no result"):
            save_result(cube().isel(t=0), "Zarr" if "zarr" in name else "COG", {"path": name, "overwrite": True})
        assert left(tmp_path / name) == ["precious"]


def test_a_truncated_tiff_is_found_out(tmp_path: Path) -> None:
    saved = cube().isel(t=0)
    save_result(saved, "GTiff", {"path": "a.tif", "compression": "none"})
    expected = (3, 50, 70, "uint16")
    rasters.check(tmp_path / "a.tif", expected)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-100])
    with pytest.raises(exceptions.FileContentInvalid, match=r"a\.tif is incomplete: tile"):
        rasters.check(tmp_path / "a.tif", expected)


# --- bad input


@pytest.mark.parametrize(
    ("format", "options", "error", "message"),
    [
        (
            "Shapefile",
            {},
            exceptions.FormatUnsupported,
            "no format 'Shapefile'; there are GTiff, COG, netCDF, PNG, JSON",
        ),
        (None, {}, exceptions.FormatUnsupported, "no format None"),
        (
            "GTiff",
            {"compres": 1},
            exceptions.ProcessParameterInvalid,
            "no option 'compres'; it has path, overwrite, stac, com",
        ),
        (
            "GTiff",
            {"compression": "jpeg"},
            exceptions.ProcessParameterInvalid,
            "one of 'deflate', 'lzw', 'zstd', 'none'",
        ),
        ("COG", {"blocksize": 100}, exceptions.ProcessParameterInvalid, "from 16 to 4096 in steps of 16, not 100"),
        ("netCDF", {"compression": True}, exceptions.ProcessParameterInvalid, "from 0 to 9, not True"),
        ("Zarr", {"overwrite": "yes"}, exceptions.ProcessParameterInvalid, "overwrite is true or false, not 'yes'"),
        ("Zarr", "path", exceptions.ProcessParameterInvalid, "options is an object"),
        ("Zarr", {"path": "../a.zarr"}, exceptions.FilePathInvalid, "outside of the folder for results"),
        ("Zarr", {"path": "/a.zarr"}, exceptions.FilePathInvalid, "outside of the folder for results"),
        ("Zarr", {"path": "a/"}, exceptions.FilePathInvalid, "is no name of a file"),
    ],
)
def test_what_cannot_be_meant_is_said(format: Any, options: Any, error: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        save_result(cube(), format, options)
    assert left(tmp_path) == []


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    unsuitable = exceptions.FormatUnsuitable
    level = cube().expand_dims(level=[1, 2])
    with pytest.raises(unsuitable, match="level beside x, y"):
        save_result(level, "GTiff")
    np.testing.assert_array_equal(
        xr.open_dataset(save_result(level, "netCDF")["assets"]["data"]["href"])["B02"].shape, (2, 3, 50, 70)
    )
    with pytest.raises(unsuitable, match="no x and y"):
        save_result(cube().isel(x=0, drop=True), "COG")
    with pytest.raises(unsuitable, match="not evenly spaced"):
        save_result(cube().isel(x=[0, 1, 5]), "COG")
    with pytest.raises(unsuitable, match="type datetime64"):
        save_result(cube().astype("datetime64[ns]"), "Zarr")
    with pytest.raises(unsuitable, match="type complex64"):
        save_result(cube().astype("complex64"), "GTiff")
    with pytest.raises(unsuitable, match="distinct"):
        save_result(cube().assign_coords(bands=["a", "a", "x"]), "netCDF")
    with pytest.raises(unsuitable, match="data cubes, not list"):
        save_result([1, 2], "netCDF")
    for format in FORMATS:
        with pytest.raises(exceptions.DataCubeEmpty, match="has no values"):
            save_result(cube().isel(t=slice(0, 0)), format)
