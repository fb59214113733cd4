"""Saving and loading what is written in one go: PNG, JSON, CSV and the vector formats, for every type and no-data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask
import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr

from openeo_processes_dask import dimensions, exceptions, vectors
from openeo_processes_dask.process_implementations.cubes import load_collection, load_stac, save_result
from openeo_processes_dask.process_implementations.cubes.loading import tables
from openeo_processes_dask.process_implementations.cubes.saving import tables as saving
from tests.cubes import cases
from tests.laziness import nothing_computed

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
HELD = {"GTiff": DTYPES, "COG": DTYPES, "PNG": ("uint8", "uint16"), "netCDF": DTYPES, "Zarr": DTYPES, "JSON": DTYPES}


@pytest.fixture(autouse=True)
def results(tmp_path: Path) -> Any:
    """Let results go to a folder of the test."""
    with dask.config.set({"openeo.results": str(tmp_path)}):
        yield tmp_path


def cube(dtype: str, nodata: Any) -> xr.DataArray:
    """Two dates of two bands, with the least and greatest value of the type in it."""
    array = cases.values((2, 2, 20, 30), dtype)
    kind = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    array[0, 0, 3, :2] = kind.min, kind.max
    made = cases.cube(array, {"t": 1, "y": 8}, nodata=nodata)
    return dimensions.with_role(dimensions.with_role(made, "t", "temporal"), "bands", "bands")


def places(dtype: Any = "float64", crs: int | None = 32632, **more: Any) -> xr.DataArray:
    """Values of two bands at three dates in a polygon, a point and nothing."""
    shapes = np.array([shapely.box(600_000, 5_000_000, 600_100, 5_000_100), shapely.Point(6e5, 5e6), vectors.NOTHING])
    parsed = None if crs is None else dimensions.parse_crs(crs)
    properties = {"name": np.array(["a", "b", "c"], object), "area": np.array([1.5, 2.5, 3.5])}
    values = np.arange(18).reshape(3, 2, 3).astype(dtype)
    if values.dtype.kind == "f":
        values[1, 1, 1] = np.nan
    labels = {"bands": ["B02", "B04"], "t": pd.date_range("2023-04-03", periods=3)}
    features = vectors.Features(shapes, parsed, properties)
    return vectors.cube(features, values, ["geometry", "bands", "t"], **labels)


# --- every format, type and no-data


def there_and_back(saved: xr.DataArray, format: str, folder: Path) -> xr.DataArray:
    """What is loaded of what was saved."""
    made = save_result(saved, format)
    if format == "JSON":
        return tables.read(folder / "result.json", "JSON")
    (folder / "made.json").write_text(json.dumps(made))
    return load_stac(str(folder / "made.json"))


@pytest.mark.parametrize("format", HELD)
@pytest.mark.parametrize(
    ("dtype", "gap"),
    [(dtype, gap) for dtype in DTYPES for gap in ("none", "zero", "least") if gap == "none" or "float" not in dtype],
)
def test_what_is_saved_loads_as_it_was(format: str, dtype: str, gap: str, tmp_path: Path) -> None:
    integers = np.dtype(dtype).kind in "iu"
    nodata = {"none": None, "zero": 0, "least": np.iinfo(dtype).min}[gap] if integers else None
    saved = cube(dtype, nodata)
    if dtype not in HELD[format]:
        with pytest.raises(exceptions.FormatUnsuitable, match=f"cannot hold values of type {dtype}"):
            save_result(saved, format)
        assert list(tmp_path.iterdir()) == []
        return
    loaded = there_and_back(saved, format, tmp_path)
    assert (loaded.dtype, loaded.attrs.get("nodata")) == (saved.dtype, nodata)
    assert dimensions.crs(loaded) == dimensions.crs(saved)
    for name in ("t", "bands", "y", "x"):
        np.testing.assert_array_equal(loaded[name], saved[name])
    np.testing.assert_array_equal(loaded, saved)


@pytest.mark.parametrize("format", HELD)
@pytest.mark.parametrize("dtype", ["bool", "float16", "complex64", "datetime64[ns]"])
def test_other_types_come_back_in_the_one_that_is_said_or_are_refused(format: str, dtype: str, tmp_path: Path) -> None:
    saved = cube("float32", None)
    saved = (saved > 0) if dtype == "bool" else saved.fillna(0).clip(0, 9).astype(dtype)
    images = {"bool": "uint8", "float16": "float32"}
    expected = {
        **dict.fromkeys(("GTiff", "COG"), images),
        "PNG": {"bool": "uint8"},
        "netCDF": {"bool": "bool", "float16": "float16"},
        "Zarr": {"bool": "bool", "float16": "float16"},
        "JSON": {"bool": "bool", "float16": "float16"},
    }[format]
    if dtype not in expected:
        with pytest.raises(exceptions.FormatUnsuitable, match=f"cannot hold .*type {dtype[:8]}"):
            save_result(saved, format)
        assert list(tmp_path.iterdir()) == []
        return
    loaded = there_and_back(saved, format, tmp_path)
    assert loaded.dtype == expected[dtype]
    np.testing.assert_array_equal(loaded, saved)


@pytest.mark.parametrize("dtype", ["bool", *DTYPES])
@pytest.mark.parametrize("kind", ["raster", "vector"])
def test_csv_holds_each_value_of_any_type(kind: str, dtype: str, tmp_path: Path) -> None:
    if kind == "vector":
        saved = places(dtype).isel(t=0, drop=True).transpose("geometry", "bands")
    else:
        saved = (cube("float32", None) > 0) if dtype == "bool" else cube(dtype, 0 if dtype[0] in "ui" else None)
        saved = saved.transpose("t", "y", "x", "bands")
    save_result(saved, "CSV")
    # as texts, so that what is compared is what stands there, and no number that went through a float
    rows = pd.read_csv(tmp_path / "result.csv", dtype=str, keep_default_na=False)
    for place, band in enumerate(("B02", "B04")):
        column = saved[..., place].values.ravel()
        texts = (rows[band] == "True") if dtype == "bool" else rows[band].where(rows[band] != "", "nan")
        np.testing.assert_array_equal(texts.to_numpy().astype(dtype), column)


# --- images


def test_a_png_is_a_picture(tmp_path: Path) -> None:
    saved = cube("uint8", 0).isel(t=0)
    save_result(saved, "png", {"path": "a", "compression": 9})
    with rasterio.open(tmp_path / "a.png") as file:
        np.testing.assert_array_equal(file.read(), saved)
    five = saved.isel(bands=[0, 1, 0, 1, 0]).assign_coords(bands=list("abcde"))
    with pytest.raises(exceptions.FormatUnsuitable, match="at most 4 bands"):
        save_result(five, "PNG")


# --- features


@pytest.mark.parametrize(
    ("dtype", "gap"),
    [(one, gap) for one in ("bool", *DTYPES) for gap in ("none", "zero", "greatest") if gap == "none" or "int" in one],
)
@pytest.mark.parametrize("format", ["GeoParquet", "GeoJSON", "JSON"])
def test_vector_cubes_load_as_they_were(format: str, dtype: str, gap: str, tmp_path: Path) -> None:
    saved = places(dtype, 32632 if format != "GeoJSON" else 4326)
    if np.dtype(dtype).kind in "iu":
        saved = saved.copy(data=saved.data.copy())
        saved.data[0, 0, 0] = np.iinfo(dtype).max
        saved.attrs |= {"none": {}, "zero": {"nodata": 0}, "greatest": {"nodata": np.iinfo(dtype).max}}[gap]
    made = save_result(saved, format)
    path = Path(made["assets"]["data"]["href"])
    loaded = tables.read(path, format)
    assert (loaded.dims, loaded.dtype) == (saved.dims, saved.dtype)
    assert loaded.attrs.get("nodata") == saved.attrs.get("nodata")
    assert vectors.crs_of(loaded, "geometry") == vectors.crs_of(saved, "geometry")
    np.testing.assert_array_equal(loaded, saved)
    for name in ("bands", "t", "name", "area"):
        np.testing.assert_array_equal(loaded[name], saved[name])
    assert shapely.equals(loaded["geometry"].values[:2], saved["geometry"].values[:2]).all()
    assert loaded["geometry"].values[2].is_empty


POLYGON = shapely.Polygon([(0, 0), (400, 0), (400, 400)], [[(150, 50), (300, 50), (300, 120)]])
KINDS = {
    "Polygon": [POLYGON, shapely.box(6e5, 5e6, 6e5 + 100, 5e6 + 100), shapely.MultiPolygon([shapely.box(0, 0, 1, 1)])],
    "Point": [shapely.Point(6e5, 5e6), shapely.Point(1, 2), shapely.Point(3, 4)],
    "MultiPoint": [shapely.MultiPoint([(6e5, 5e6), (6e5, 4e6)]), shapely.Point(1, 2), shapely.Point(3, 4)],
    "LineString": [shapely.LineString([(6e5, 5e6), (6e5, 4e6)]), shapely.LineString([(0, 0), (1, 1), (2, 0)])] * 2,
}


def of_kind(kind: str, dtype: Any = "float64", crs: int | None = 32632) -> xr.DataArray:
    """The same values at geometries of one kind, in blocks."""
    shapes = np.empty(3, object)
    shapes[:] = KINDS[kind][:3]
    made = places(dtype, crs)
    made = vectors.with_shapes(made, "geometry", shapes, None if crs is None else dimensions.parse_crs(crs))
    return made.chunk({"geometry": 2, "t": 2})


@pytest.mark.parametrize("format", ["netCDF", "Zarr"])
@pytest.mark.parametrize("bands", [("a", "z"), ("z", "a")])
def test_bands_of_a_vector_cube_keep_their_order(bands: tuple[str, str], format: str) -> None:
    saved = of_kind("Point")
    saved = saved.assign_coords(bands=[*bands, *map(str, range(2, saved.sizes["bands"]))])
    made = save_result(saved, format)
    loaded = load_collection(made["assets"]["data"]["href"], None, None)
    assert loaded["bands"].values.tolist() == saved["bands"].values.tolist()
    np.testing.assert_array_equal(loaded, saved)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [*((kind, "float64") for kind in KINDS), *(("Polygon", dtype) for dtype in ("float32", "int16", "uint64", "bool"))],
)
@pytest.mark.parametrize("format", ["netCDF", "Zarr"])
def test_vector_cubes_of_one_kind_lie_in_arrays(format: str, dtype: str, kind: str, scheduler: str) -> None:
    saved = of_kind(kind, dtype, None if dtype == "bool" else 32632)
    if dtype == "int16":
        saved.attrs["nodata"] = 7
    made = save_result(saved, format)
    path = Path(made["assets"]["data"]["href"])
    with nothing_computed():
        loaded = load_collection(str(path), None, None)
    assert (loaded.dims, loaded.dtype, loaded.attrs) == (saved.dims, saved.dtype, saved.attrs)
    assert vectors.crs_of(loaded, "geometry") == vectors.crs_of(saved, "geometry")
    np.testing.assert_array_equal(loaded.compute(), saved.compute())
    for name in ("bands", "t", "name", "area"):
        np.testing.assert_array_equal(loaded[name], saved[name])
    assert {str(name) for name in loaded.coords} == {str(name) for name in saved.coords}
    assert shapely.equals(loaded["geometry"].values, saved["geometry"].values).all()


def test_a_vector_cube_without_bands_stays_one(tmp_path: Path) -> None:
    saved = of_kind("Polygon").isel(bands=0, drop=True).transpose("t", "geometry")
    save_result(saved, "netCDF", {"path": "a"})
    loaded = load_collection(str(tmp_path / "a.nc"), None, None)
    assert loaded.dims == ("t", "geometry")
    np.testing.assert_array_equal(loaded, saved)
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as plain:  # what xvec makes of it
        decoded = plain.xvec.decode_cf()
        assert decoded.xindexes["geometry"].crs.to_epsg() == 32632
        assert shapely.equals(decoded["geometry"].values, saved["geometry"].values).all()


def test_what_xvec_wrote_is_read_and_only_what_is_asked_for(tmp_path: Path) -> None:
    given = of_kind("Polygon").sel(bands="B02", drop=True).drop_vars(["name", "area"])
    given["geometry"].attrs.clear()
    given.to_dataset(name="height").xvec.encode_cf().to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    loaded = load_collection(str(tmp_path / "b.nc"), None, None)
    assert (loaded.dims, loaded["bands"].values.tolist()) == (("geometry", "t", "bands"), ["height"])
    np.testing.assert_array_equal(loaded[..., 0], given)
    area = {"west": 6e5 - 1, "south": 5e6 - 1, "east": 6e5 + 200, "north": 5e6 + 200, "crs": 32632}
    part = load_collection(str(tmp_path / "b.nc"), area, ["2023-04-04", "2023-04-05"])
    assert part.shape == (1, 1, 1)
    np.testing.assert_array_equal(part[..., 0], given[1:2, 1:2])
    for wrong in ((area | {"west": 6e5 + 50}, None, None), (None, ["2024-01-01", None], None)):
        with pytest.raises(exceptions.NoDataAvailable):
            load_collection(str(tmp_path / "b.nc"), *wrong)
    with pytest.raises(exceptions.LabelNotAvailable, match="height"):
        load_collection(str(tmp_path / "b.nc"), None, None, ["depth"])


@pytest.mark.parametrize("format", ["netCDF", "Zarr"])
def test_geometries_that_cf_has_no_place_for_are_refused(format: str, tmp_path: Path) -> None:
    with pytest.raises(exceptions.FormatUnsuitable, match=r"one kind, none of them empty: .*Point, Polygon, 1 empty"):
        save_result(places(), format)
    assert not list(tmp_path.iterdir())


def test_plain_geopandas_reads_what_was_saved(tmp_path: Path) -> None:
    save_result(places(), "GeoParquet", {"path": "a"})
    found = geopandas.read_parquet(tmp_path / "a.parquet")
    assert (found.crs.to_epsg(), len(found)) == (32632, 3)
    assert found["B04~2023-04-03T00:00:00"].tolist() == [3, 9, 15]
    assert found["name"].tolist() == ["a", "b", "c"]
    made = save_result(places(), "GeoJSON", {"path": "a"})
    found = geopandas.read_file(tmp_path / "a.geojson")
    assert found.crs.to_epsg() == 4326
    assert 10.2 < found.geometry[1].x < 10.3
    assert found["B02~2023-04-05T00:00:00"].tolist() == [2, 8, 14]
    assert 10.2 < made["bbox"][0] < made["bbox"][2] < 10.3


def test_features_alone_have_no_values(tmp_path: Path) -> None:
    features = places().isel(bands=0, t=0, drop=True)
    save_result(features.copy(data=np.full(3, np.nan)), "GeoJSON", {"path": "a"})
    found = json.loads((tmp_path / "a.geojson").read_text())
    assert found["features"][0]["properties"] == {"name": "a", "area": 1.5}


def test_csv_has_a_row_for_each_geometry_or_pixel(tmp_path: Path) -> None:
    save_result(places(), "CSV", {"path": "a"})
    found = pd.read_csv(tmp_path / "a.csv")
    assert found.columns.tolist()[:4] == ["geometry", "name", "area", "B02~2023-04-03T00:00:00"]
    assert shapely.from_wkt(found["geometry"][1]) == shapely.Point(6e5, 5e6)
    saved = cube("int16", 0)
    save_result(saved, "CSV", {"path": "b"})
    found = pd.read_csv(tmp_path / "b.csv", parse_dates=["t"])
    assert found.columns.tolist() == ["t", "y", "x", "B02", "B04"]
    again = found.set_index(["t", "y", "x"]).to_xarray().to_dataarray("bands").sel(y=saved.y)
    np.testing.assert_array_equal(again.transpose(*saved.dims), saved)


def test_what_a_table_cannot_hold_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(exceptions.FormatUnsuitable, match="holds geometries, and the cube has none along"):
        save_result(cube("uint8", 0), "GeoJSON")
    with pytest.raises(exceptions.FormatUnsuitable, match="geometry beside x, y"):
        save_result(places(), "GTiff")
    with pytest.raises(exceptions.FormatUnsuitable, match="only numbers and truth values"):
        save_result(places().astype("datetime64[ns]"), "JSON")
    monkeypatch.setattr(saving, "MOST", 100)
    with pytest.raises(exceptions.FormatUnsuitable, match="at most 100 values, not 2400"):
        save_result(cube("uint8", 0), "CSV")
    assert list(tmp_path.iterdir()) == []


def never(made: xr.DataArray) -> xr.DataArray:
    """The same cube, which must not be computed."""

    def fail(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed for nothing")

    chunked = made.chunk()
    return chunked.copy(data=chunked.data.map_blocks(fail, meta=chunked.data._meta))


@pytest.mark.parametrize("format", ["CSV", "GeoJSON", "GeoParquet"])
@pytest.mark.parametrize("bands", [("a", "a"), ("name", "name~value"), ("geometry", "b")])
def test_clashing_columns_of_features_are_found_before_anything_is_computed(
    bands: tuple[str, str], format: str, tmp_path: Path
) -> None:
    saved = places().isel(t=0, drop=True).assign_coords(bands=list(bands))
    with pytest.raises(exceptions.FormatUnsuitable, match=f"{format} names columns by bands, which must be distinct"):
        save_result(never(saved), format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bands", [("a", "a"), ("x", "b"), ("t", "b")])
def test_clashing_columns_of_pixels_are_found_before_anything_is_computed(
    bands: tuple[str, str], tmp_path: Path
) -> None:
    saved = cube("int16", 0).assign_coords(bands=list(bands))
    with pytest.raises(exceptions.FormatUnsuitable, match=r"CSV names columns by bands, .* distinct and no dimensions"):
        save_result(never(saved), "CSV")
    assert list(tmp_path.iterdir()) == []
