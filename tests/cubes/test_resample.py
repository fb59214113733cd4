"""Resampling to other resolutions and CRSs."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import rasterio.warp
import xarray as xr
from rasterio.enums import Resampling
from scipy import ndimage

from openeo_processes_dask import exceptions
from openeo_processes_dask.kernels import compiled, warping
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed


def smooth(shape: tuple[int, ...] = (2, 2, 60, 70)) -> np.ndarray:
    y, x = np.mgrid[: shape[2], : shape[3]]
    field = np.sin(y / 9.0) * np.cos(x / 7.0) + 0.01 * x
    return np.broadcast_to(field, shape).astype("float32").copy()


@pytest.mark.parametrize("chunks", [None, {"y": 17, "x": 23}])
def test_a_whole_factor_averages_aligned_pixels(chunks: dict | None) -> None:
    array = smooth((1, 2, 50, 40))
    array[:, :, 3, 5] = np.nan
    array[:, 0, 10:12, 10:12] = np.nan
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.resample_spatial(cube, resolution=20, method="average")
    assert dict(result.sizes) == {"t": 1, "bands": 2, "y": 25, "x": 20}
    with np.errstate(all="ignore"):
        tiles = array.reshape(1, 2, 25, 2, 20, 2)
        expected = np.nansum(tiles, axis=(3, 5)) / (~np.isnan(tiles)).sum(axis=(3, 5))
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-7)
    assert result.x.values[0] == cube.x.values[0] + 5
    assert result.y.values[0] == cube.y.values[0] - 5


def test_an_odd_edge_averages_the_pixels_that_there_are() -> None:
    array = smooth((1, 1, 5, 7))
    result = cubes.resample_spatial(cases.cube(array), resolution=20, method="average")
    assert result.shape == (1, 1, 3, 4)
    np.testing.assert_allclose(result.values[0, 0, 2, 3], array[0, 0, 4, 6])
    np.testing.assert_allclose(result.values[0, 0, 0, 3], array[0, 0, :2, 6].mean())
    lower = cubes.resample_spatial(cases.cube(array), resolution=20, method="average", align="lower-right")
    assert lower.y.values[-1] - 10 == cases.cube(array).y.values[-1] - 5
    assert lower.x.values[-1] + 10 == cases.cube(array).x.values[-1] + 5


def test_integers_average_to_floats_without_their_gaps() -> None:
    array = np.array([[[[0, 10, 3, 4], [20, 30, 0, 0]]]], dtype="uint16")
    result = cubes.resample_spatial(cases.cube(array, nodata=0), resolution=20, method="average")
    np.testing.assert_allclose(result.values.ravel(), [20, 3.5])
    assert "nodata" not in result.attrs
    highest = cubes.resample_spatial(cases.cube(array, nodata=0), resolution=20, method="max")
    np.testing.assert_array_equal(highest.values.ravel(), [30, 4])
    assert highest.dtype == np.uint16


def test_nothing_to_do_changes_nothing() -> None:
    cube = cases.cube()
    assert cubes.resample_spatial(cube).identical(cube)
    assert cubes.resample_spatial(cube, resolution=10, projection=32632).identical(cube)


METHODS = ["near", "bilinear", "cubic", "average", "mode", "max"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunks", [{"y": 17, "x": 23, "t": 1}, {"y": 60, "x": 11}])
def test_chunked_equals_unchunked_in_another_crs(method: str, chunks: dict) -> None:
    array = smooth()
    array[0, :, 20:24, 30:33] = np.nan
    array[1, 1, 5, 5] = np.nan
    whole = cubes.resample_spatial(cases.cube(array), projection=4326, method=method)
    with nothing_computed():
        lazy = cubes.resample_spatial(cases.cube(array, chunks), projection=4326, method=method)
    np.testing.assert_allclose(lazy, whole, rtol=1e-5, atol=1e-6)
    assert whole.rio.crs.to_epsg() == 4326
    assert np.isfinite(whole).mean() > 0.8
    by_plane = [
        cubes.resample_spatial(cases.cube(array[i : i + 1, j : j + 1]), projection=4326, method=method).values
        for i in range(2)
        for j in range(2)
    ]
    np.testing.assert_array_equal(np.concatenate(by_plane).reshape(whole.shape), whole)


@pytest.mark.parametrize("method", ["near", "bilinear", "cubic"])
def test_warped_values_are_those_of_gdal(method: str) -> None:
    array = smooth((1, 1, 60, 70))
    result = cubes.resample_spatial(cases.cube(array), projection=4326, method=method)
    expected = np.full(result.shape[2:], np.nan, "float32")
    x, y = result.x.values, result.y.values
    rasterio.warp.reproject(
        array[0, 0],
        expected,
        src_transform=rasterio.transform.from_origin(600_000, 5_000_000, 10, 10),
        src_crs="EPSG:32632",
        src_nodata=np.nan,
        dst_transform=rasterio.transform.from_origin(
            x[0] - (x[1] - x[0]) / 2, y[0] + (y[0] - y[1]) / 2, x[1] - x[0], y[0] - y[1]
        ),
        dst_crs="EPSG:4326",
        dst_nodata=np.nan,
        resampling=getattr(Resampling, {"near": "nearest"}.get(method, method)),
    )
    got = result.values[0, 0]
    both = np.isfinite(got) & np.isfinite(expected)
    assert both.sum() > 0.99 * np.isfinite(expected).sum()
    # GDAL interpolates the coordinates there, by up to an eighth of a pixel
    assert np.abs(got - expected)[both].max() < (0.25 if method == "near" else 0.03)
    assert np.median(np.abs(got - expected)[both]) < 1e-3


@pytest.mark.parametrize("chunks", [{"y": 17, "x": 23}, {"y": 60, "x": 11}])
def test_chunked_equals_unchunked_at_a_broken_factor(chunks: dict) -> None:
    array = smooth()
    for method in METHODS:
        whole = cubes.resample_spatial(cases.cube(array), resolution=[15, 25], method=method)
        lazy = cubes.resample_spatial(cases.cube(array, chunks), resolution=[15, 25], method=method)
        np.testing.assert_allclose(lazy, whole, rtol=1e-5, atol=1e-6)
        assert dict(whole.sizes) == {"t": 2, "bands": 2, "y": 24, "x": 47}


def test_south_first_stays_south_first() -> None:
    array = smooth((1, 1, 6, 8))
    north = cubes.resample_spatial(cases.cube(array), resolution=20, method="average")
    south = cubes.resample_spatial(cases.cube(array).isel(y=slice(None, None, -1)), resolution=20, method="average")
    assert south.y.values[0] < south.y.values[-1]
    np.testing.assert_allclose(south.isel(y=slice(None, None, -1)), north, rtol=1e-6)
    warped = cubes.resample_spatial(cases.cube(array).isel(y=slice(None, None, -1)), resolution=5)
    plain = cubes.resample_spatial(cases.cube(array), resolution=5)
    np.testing.assert_allclose(warped.isel(y=slice(None, None, -1)), plain)


def test_a_cube_is_brought_to_the_grid_of_another() -> None:
    cube = cases.cube(smooth((1, 1, 20, 20)), {"y": 7})
    target = cube.isel(t=0, bands=0, y=slice(4, 12), x=slice(3, 9))
    result = cubes.resample_cube_spatial(cube, target)
    np.testing.assert_array_equal(result, cube.values[:, :, 4:12, 3:9])
    np.testing.assert_array_equal(result.x, target.x)


def test_other_orders_of_dimensions_are_kept() -> None:
    cube = cases.cube(smooth((2, 1, 20, 20)), {"y": 7}).transpose("x", "t", "y", "bands")
    result = cubes.resample_spatial(cube, resolution=20, method="average")
    assert result.dims == cube.dims
    assert result.shape == (10, 2, 10, 1)


def test_bad_arguments_are_named() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"method.*'nearest'"):
        cubes.resample_spatial(cube, resolution=5, method="nearest")
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"resolution.*-1"):
        cubes.resample_spatial(cube, resolution=-1)
    with pytest.raises(exceptions.CRSInvalid, match="nonsense"):
        cubes.resample_spatial(cube, projection="nonsense")
    with pytest.raises(exceptions.DimensionMissing):
        cubes.resample_spatial(cube.isel(x=0, drop=True), resolution=5)
    with pytest.raises(exceptions.CRSInvalid, match="no CRS"):
        cubes.resample_spatial(cube.drop_vars("spatial_ref"), projection=4326)
    uneven = cube.assign_coords(x=cube.x.values + np.arange(8.0) ** 2)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="evenly"):
        cubes.resample_spatial(uneven, resolution=5)
    assert isinstance(cube, xr.DataArray)


def test_half_precision_is_warped_and_kept() -> None:
    array = cases.values().astype("float16")
    for chunks in (None, cases.AWKWARD):
        result = cubes.resample_spatial(cases.cube(array, chunks), 20)
        assert result.dtype == np.float16
        exact = cubes.resample_spatial(cases.cube(array.astype("float32")), 20)
        np.testing.assert_array_equal(result, exact)


@pytest.mark.parametrize("resolution", [-1, "10", None, [10], [1, 2, 3], float("nan"), True, [None, 1], 1e-9, 1e-300])
def test_a_resolution_is_one_or_two_sensible_numbers(resolution: object) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match="resolution"):
        cubes.resample_spatial(cases.cube(), resolution)


def test_a_resolution_may_be_a_number_of_numpy() -> None:
    assert cubes.resample_spatial(cases.cube(), np.int64(20)).identical(cubes.resample_spatial(cases.cube(), 20))


@pytest.mark.parametrize("method", ["near", "bilinear", "cubic", "lanczos", "average", "mode"])
def test_planes_that_are_warped_together_are_those_that_are_warped_alone(method: str) -> None:
    cube = cases.cube(cases.values((3, 2, 20, 24), gaps=0.3))
    together = cubes.resample_spatial(cube, 10, 32633, method)
    alone = [cubes.resample_spatial(cube.isel(t=[i], bands=[j]), 10, 32633, method) for i in range(3) for j in range(2)]
    for number, one in enumerate(alone):
        np.testing.assert_array_equal(together.values[number // 2, number % 2], one.values[0, 0])


def exact_places(result: xr.DataArray, cube: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a result lie in rows and columns of a cube, as pyproj says for each of them."""
    to = pyproj.Transformer.from_crs(result.rio.crs, cube.rio.crs, always_xy=True)
    x, y = to.transform(*np.meshgrid(result.x.values, result.y.values))
    steps = [(one.values[1] - one.values[0]) for one in (cube.y, cube.x)]
    return (y - cube.y.values[0]) / steps[0], (x - cube.x.values[0]) / steps[1]


FINE, COARSE = 10.0, 50_000.0  # the lattice does not serve pixels of 50 km: their places are computed one by one


@pytest.mark.parametrize(
    ("pixel", "projection", "resolution"),
    [
        *((FINE, *to) for to in ((3035, 10), (3857, 11), (32633, 8), (4326, 8e-5))),
        *((COARSE, *to) for to in ((3035, 50_000), (32633, 40_000), (4326, 0.3))),
    ],
)
def test_bilinear_pixels_are_those_of_scipy_at_exact_places(pixel: float, projection: int, resolution: float) -> None:
    array = smooth((1, 1, 60, 70))
    cube = cases.cube(array).assign_coords(
        y=5_000_000 - pixel * (np.arange(60) + 0.5), x=600_000 + pixel * (np.arange(70) + 0.5)
    )
    result = cubes.resample_spatial(cube, resolution, projection, "bilinear")
    rows, columns = exact_places(result, cube)
    inner = (rows > 0) & (rows < 59) & (columns > 0) & (columns < 69)
    expected = ndimage.map_coordinates(array[0, 0].astype(float), [rows[inner], columns[inner]], order=1)
    step = max(np.abs(np.diff(array[0, 0], axis=axis)).max() for axis in (0, 1))
    np.testing.assert_allclose(result.values[0, 0][inner], expected, atol=2 * warping.TOLERANCE * step)
    near = cubes.resample_spatial(cube, resolution, projection, "near").values[0, 0]
    sure = inner & (np.abs(rows % 1 - 0.5) > warping.TOLERANCE) & (np.abs(columns % 1 - 0.5) > warping.TOLERANCE)
    chosen = array[0, 0][np.rint(rows[sure]).astype(int), np.rint(columns[sure]).astype(int)]
    np.testing.assert_array_equal(near[sure], chosen)


@pytest.mark.parametrize("method", ["near", "bilinear"])
@pytest.mark.parametrize("chunks", [{"y": 17, "x": 23, "t": 1}, {"y": 60, "x": 11}])
@pytest.mark.parametrize("projection", [3035, 32633, None])
@pytest.mark.parametrize("always", [False, True], ids=["numpy", "compiled"])
def test_no_bit_depends_on_chunks_or_on_the_compiler(
    method: str, chunks: dict, projection: int | None, always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = cases.values((2, 2, 60, 70), gaps=0.2)
    array[:, :, 20:24, 30:33] = np.inf
    whole = cubes.resample_spatial(cases.cube(array), 9.7, projection, method)
    monkeypatch.setattr(compiled, "LEAST", 1 if always else 10**9)
    np.testing.assert_array_equal(cubes.resample_spatial(cases.cube(array, chunks), 9.7, projection, method), whole)


@pytest.mark.parametrize("projection", [3035, None])
def test_bilinear_pixels_with_gaps_around_are_those_of_gdal(projection: int | None) -> None:
    cube = cases.cube(cases.values((1, 1, 60, 70), gaps=0.2))
    result = cubes.resample_spatial(cube, 9.8, projection, "bilinear")
    expected = np.full(result.shape[2:], np.nan, "float32")
    rasterio.warp.reproject(
        cube.values[0, 0],
        expected,
        src_transform=cube.rio.transform(),
        src_crs=cube.rio.crs,
        src_nodata=np.nan,
        dst_transform=result.rio.transform(),
        dst_crs=result.rio.crs,
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
        tolerance=0,
        XSCALE=1,
        YSCALE=1,
    )
    got = result.values[0, 0]
    both = np.isfinite(got) & np.isfinite(expected)
    assert (np.isfinite(got) != np.isfinite(expected)).mean() < 1e-3  # where the nearest of two is a matter of rounding
    np.testing.assert_allclose(got[both], expected[both], atol=1e-3)
