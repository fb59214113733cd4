"""What loading reads of each format: headers while building, then the blocks of files that were asked for, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import geopandas
import h5py
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
import xarray as xr
import zarr
from affine import Affine
from rasterio.features import geometry_mask

from benchmarks import reading
from openeo_processes_dask.process_implementations.cubes import load_collection
from tests.cubes import pictures
from tests.laziness import nothing_computed

SIDE, TILE, DATES = 1024, 256, 3
BYTES = TILE * TILE * 2  # of a tile: nothing is compressed
HEADERS = 25_000  # bytes of a file that are read to know what it is
DAY = ["2023-04-11", "2023-04-21"]  # the last is the instant of an image, which does not belong to it
NAMES = {"B04": "red", "B08": "nir"}
TIFFS = ("one band a file", "pixels together", "bands apart")
VARIABLES = ("a.nc", "along.nc", "two.zarr", "three.zarr", "shards.zarr")
TRANSFORM = Affine(10, 0, pictures.WEST, 0, -10, pictures.NORTH)

pytestmark = pytest.mark.skipif(not reading.COUNTER.exists(), reason="this system does not count what is read")


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return pictures.pixels((DATES, len(NAMES), SIDE, SIDE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> Path:
    """Give a folder that has the same cube in every format, in tiles of which each is of one date."""
    place = tmp_path_factory.mktemp("formats")
    days = pd.date_range("2023-04-01", periods=DATES, freq="10D")
    tiles = {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    for i, day in enumerate(days):
        for j, band in enumerate(NAMES):
            pictures.write(place / TIFFS[0] / f"S2_{day:%Y%m%d}_{band}.tif", values[i, j], **tiles)
        for kind, interleave in zip(TIFFS[1:], ("pixel", "band"), strict=True):
            path = place / kind / f"S2_{day:%Y%m%d}.tif"
            pictures.write(path, values[i], names=list(NAMES), interleave=interleave, **tiles)
    with dask.config.set(scheduler="synchronous"):
        write_variables(place, values, days)
    return place


def write_variables(place: Path, values: np.ndarray, days: pd.DatetimeIndex) -> None:
    middles = 5 + 10 * np.arange(SIDE)
    axes = {"t": days, "y": pictures.NORTH - middles, "x": pictures.WEST + middles}
    about = {"grid_mapping": "crs", "_FillValue": 0}
    crs = ((), 0, pyproj.CRS(32632).to_cf())
    bands = {
        name: (("t", "y", "x"), values[:, j], {**about, "common_name": NAMES[name]}) for j, name in enumerate(NAMES)
    }
    apart = xr.Dataset({**bands, "crs": crs}, axes)
    common = {"common_name": ("band", list(NAMES.values()))}
    along = xr.Dataset(
        {"v": (("t", "band", "y", "x"), values, about), "crs": crs}, {**axes, "band": list(NAMES), **common}
    )
    block = (1, TILE, TILE)
    apart.to_netcdf(place / "a.nc", engine="h5netcdf", encoding={name: {"chunksizes": block} for name in NAMES})
    along.to_netcdf(place / "along.nc", engine="h5netcdf", encoding={"v": {"chunksizes": (1, 1, TILE, TILE)}})
    plain = {"chunks": block, "compressors": None}
    for name, format, more in (("two", 2, {}), ("three", 3, {}), ("shards", 3, {"shards": (1, 2 * TILE, 2 * TILE)})):
        encoding = dict.fromkeys(NAMES, plain | more)
        apart.to_zarr(place / f"{name}.zarr", zarr_format=format, consolidated=False, encoding=encoding)


@pytest.fixture(params=[*TIFFS, *VARIABLES])
def source(request: pytest.FixtureRequest, folder: Path) -> Path:
    return folder / request.param


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Read in this thread, so that nobody else's bytes are counted."""
    with dask.config.set(scheduler="synchronous"):
        yield


def box(rows: tuple[int, int], columns: tuple[int, int]) -> dict[str, Any]:
    """The extent of some rows and columns, in the CRS of the files."""
    west, east = (pictures.WEST + 10 * column for column in columns)
    north, south = (pictures.NORTH - 10 * row for row in rows)
    return {"west": west, "south": south, "east": east, "north": north, "crs": 32632}


def lonlat(extent: dict[str, Any]) -> dict[str, float]:
    move = pyproj.Transformer.from_crs(extent["crs"], 4326, always_xy=True)
    sides = move.transform_bounds(*(extent[side] for side in ("west", "south", "east", "north")), densify_pts=21)
    return dict(zip(("west", "south", "east", "north"), sides, strict=True))


def polygon(rows: tuple[int, int], columns: tuple[int, int]) -> shapely.Polygon:
    extent = box(rows, columns)
    return shapely.box(extent["west"], extent["south"], extent["east"], extent["north"])


def blocks_read(source: Path, extent: Any, dates: Any = DAY, bands: Any = ("B08",)) -> tuple[xr.DataArray, float]:
    """The cube in memory, and how many blocks of files were read for it; building may read no block at all."""
    load_collection(str(source), extent, dates, bands).compute()  # what is imported and cached is not counted
    with reading.counted() as built, nothing_computed():
        cube = load_collection(str(source), extent, dates, bands)
    assert built.bytes < min(BYTES, HEADERS * max(len(list(source.glob("*.tif"))), 4))
    with reading.counted() as computed:
        cube = cube.compute()
    return cube, (computed.bytes - HEADERS * together(source) * cube.sizes["t"] / 2) / BYTES


def together(source: Path) -> int:
    """How many bands lie in a tile."""
    return 2 if source.name == "pixels together" else 1


def assert_blocks(found: float, expected: int) -> None:
    """So many blocks, and of headers no more than for a fraction of one."""
    assert expected - 0.4 < found < expected + 0.4


def test_a_box_within_a_tile_reads_this_tile(source: Path, values: np.ndarray) -> None:
    cube, blocks = blocks_read(source, box((260, 400), (520, 700)))
    np.testing.assert_array_equal(cube, values[1:2, 1:, 260:400, 520:700])
    assert_blocks(blocks, together(source))


def test_a_box_in_longitude_and_latitude_reads_the_tiles_that_it_meets(source: Path, values: np.ndarray) -> None:
    cube, blocks = blocks_read(source, lonlat(box((300, 600), (300, 500))))
    rows, columns = cube.sizes["y"], cube.sizes["x"]
    top, left = ((pictures.NORTH - 5 - cube.y[0]) / 10, (cube.x[0] - pictures.WEST - 5) / 10)
    assert (290 < top <= 300, 290 < left <= 300, 300 <= rows < 320, 200 <= columns < 212) == (True,) * 4
    part = values[1:2, 1:, int(top) : int(top) + rows, int(left) : int(left) + columns]
    np.testing.assert_array_equal(cube, part)
    assert_blocks(blocks, 2 * together(source))


def test_dates_and_bands_that_are_not_asked_for_are_not_read(source: Path, values: np.ndarray) -> None:
    extent = box((0, 10), (0, 10))
    _, one = blocks_read(source, extent)
    both, two = blocks_read(source, extent, bands=None)
    every, six = blocks_read(source, extent, None, None)
    np.testing.assert_array_equal(both, values[1:2, :, :10, :10])
    np.testing.assert_array_equal(every, values[:, :, :10, :10])
    for found, expected in ((one, together(source)), (two, 2), (six, 2 * DATES)):
        assert_blocks(found, expected)


@pytest.mark.parametrize("kind", VARIABLES)
def test_a_band_by_its_common_name_reads_this_band(folder: Path, kind: str, values: np.ndarray) -> None:
    cube, blocks = blocks_read(folder / kind, box((0, 10), (0, 10)), bands=["nir"])
    assert cube.bands.values.tolist() == ["B08"]
    np.testing.assert_array_equal(cube, values[1:2, 1:, :10, :10])
    assert_blocks(blocks, 1)


def test_polygons_far_from_each_other_read_the_tiles_under_them(source: Path, values: np.ndarray) -> None:
    shapes = [polygon((10, 110), (10, 110)), polygon((900, 1000), (700, 800)), polygon((940, 990), (760, 790))]
    cube, blocks = blocks_read(source, geopandas.GeoDataFrame(geometry=shapes, crs=32632))
    part = values[1:2, 1:, 10:1000, 10:800]
    outside = geometry_mask(shapes, part.shape[-2:], TRANSFORM @ Affine.translation(10, 10))
    np.testing.assert_array_equal(cube, np.where(outside, 0, part))
    assert_blocks(blocks, 3 * together(source))  # the second lies in two tiles of one row
    moved = geopandas.GeoDataFrame(geometry=shapes, crs=32632).to_crs(4326)
    same, blocks = blocks_read(source, json.loads(moved.to_json()))
    np.testing.assert_array_equal(same, np.where(outside, 0, part))
    assert_blocks(blocks, 3 * together(source))


def test_each_tile_is_read_once_where_the_cube_is_cut(source: Path, values: np.ndarray) -> None:
    load_collection(str(source), box((0, 10), (0, 10)), DAY).compute()  # what is imported and cached is not counted
    with dask.config.set({"array.chunk-size": "256 KiB"}):
        with reading.counted() as read:
            cube = load_collection(str(source), box((300, 1024), (20, 1024)), DAY)
            np.testing.assert_array_equal(cube, values[1:2, :, 300:, 20:])
        # multiples of tiles, counted from where the file begins
        assert cube.chunks[2:] == ((212, 256, 256), (236, 256, 256, 256))
    assert 24 * BYTES <= read.bytes < 24 * BYTES + 12 * 2 * HEADERS


def test_one_date_of_a_file_is_one_block(source: Path, values: np.ndarray) -> None:
    with dask.config.set({"array.chunk-size": "4 MiB"}):
        cube = load_collection(str(source), None, None)
        assert cube.chunks == ((1,) * DATES, (2,), (SIDE,), (SIDE,))
    np.testing.assert_array_equal(cube, values)


def test_parts_of_one_file_are_not_taken_for_each_other(source: Path, values: np.ndarray) -> None:
    parts = [box((0, 10), (0, 10)), box((50, 60), (0, 10)), box((0, 10), (50, 60))]
    cubes = [load_collection(str(source), part, DAY) for part in parts]
    shapes = [polygon((0, 10), (0, 5)), polygon((0, 5), (0, 10))]
    cubes += [
        load_collection(str(source), geopandas.GeoDataFrame(geometry=[one, polygon((9, 10), (9, 10))], crs=32632), DAY)
        for one in shapes
    ]
    assert len({cube.data.name for cube in cubes}) == 5
    first, second, third, *_ = dask.compute(*cubes)
    np.testing.assert_array_equal(first, values[1:2, :, :10, :10])
    np.testing.assert_array_equal(second, values[1:2, :, 50:60, :10])
    np.testing.assert_array_equal(third, values[1:2, :, :10, 50:60])


def test_of_images_of_one_instant_only_what_others_leave_is_read(tmp_path: Path) -> None:
    below, above = pictures.pixels((2, 1, 2 * TILE, TILE), gaps=0)
    above[0, TILE // 2 :] = 0  # so that of the other one both tiles are needed, and of a third one none
    tiles = {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    items = []
    for name, values in (("0", above), ("1", below), ("2", above)):
        path = pictures.write(tmp_path / f"{name}.tif", values, **tiles)
        items.append(pictures.item(name, "2023-04-03T10:00:00Z", {"a": path}))
    cube = load_collection(pictures.collection(tmp_path / "items.json", items), None, None)
    cube[..., :1, :1].compute()  # what is imported and cached is not counted
    with reading.counted() as read:
        np.testing.assert_array_equal(cube[0], np.where(above == 0, below, above))
    assert_blocks(read.bytes / BYTES, 4)
    corner = load_collection(str(tmp_path / "items.json"), box((0, TILE // 2), (0, TILE)), None)
    with reading.counted() as read:
        np.testing.assert_array_equal(corner[0], above[:, : TILE // 2])
    assert_blocks(read.bytes / BYTES, 1)


def test_blocks_of_several_dates_are_read_once_whenever_the_interval_begins(tmp_path: Path) -> None:
    values = pictures.pixels((30, 64, 64))
    days = pd.date_range("2023-01-01", periods=30)
    middles = np.arange(64.0)
    data = xr.Dataset({"a": (("t", "y", "x"), values)}, {"t": days, "y": -middles, "x": middles})
    for name, write in (("a.nc", data.to_netcdf), ("a.zarr", data.to_zarr)):
        key = "chunksizes" if name == "a.nc" else "chunks"
        more = {"engine": "h5netcdf"} if name == "a.nc" else {"zarr_format": 3, "consolidated": False}
        write(tmp_path / name, encoding={"a": {key: (10, 64, 64)}}, **more)
        cube = load_collection(str(tmp_path / name), None, ["2023-01-04", "2023-01-29"])
        assert cube.chunks[0] == (7, 10, 8)
        np.testing.assert_array_equal(cube[:, 0], values[3:28])


# --- files of the size of a satellite's tile, of which nothing is written


def huge_tiff(path: Path) -> Path:
    profile = {"driver": "GTiff", "count": 1, "height": 10980, "width": 10980, "dtype": "uint16", "sparse_ok": True}
    place = {"crs": "EPSG:32632", "transform": TRANSFORM}
    path.mkdir()
    for band in ("B02", "B03", "B04", "B08"):
        name = path / f"S2_20230403_{band}.tif"
        with rasterio.open(name, "w", **profile, **place, tiled=True, blockxsize=1024, blockysize=1024):
            pass
    return path


def huge_netcdf(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in (("t", np.arange(2)), ("y", -10.0 * np.arange(10980)), ("x", 10.0 * np.arange(10980))):
            file.create_dataset(name, data=data).make_scale(name)
        file["t"].attrs["units"] = "days since 2023-04-03"
        for band in ("B02", "B03", "B04", "B08"):
            made = file.create_dataset(band, (2, 10980, 10980), "u2", chunks=(1, 1024, 1024))
            for i, name in enumerate(("t", "y", "x")):
                made.dims[i].attach_scale(file[name])
    return path


def huge_zarr(path: Path) -> Path:
    group = zarr.create_group(path, zarr_format=3)
    axes = {"y": -10.0 * np.arange(10980), "x": 10.0 * np.arange(10980)}
    for name, data in axes.items():
        group.create_array(name, shape=data.shape, dtype="f8", dimension_names=[name])[:] = data
    for band in ("B02", "B03", "B04", "B08"):
        group.create_array(band, shape=(10980, 10980), chunks=(1024, 1024), dtype="u2", dimension_names=["y", "x"])
    return path


@pytest.mark.parametrize("write", [huge_tiff, huge_netcdf, huge_zarr])
def test_large_images_are_cut_at_their_tiles_near_a_hundred_megabytes(tmp_path: Path, write: Any) -> None:
    cube = load_collection(str(write(tmp_path / ("a.nc" if write is huge_netcdf else "a"))), None, None)
    *_, rows, columns = cube.chunks
    assert (cube.sizes["y"], cube.sizes["x"]) == (10980, 10980)
    assert all(size % 1024 == 0 for size in (*rows[:-1], *columns[:-1]))
    assert 64e6 <= rows[0] * columns[0] * 4 * 2 <= 2**27
    assert "t" not in cube.dims or set(cube.chunks[0]) == {1}


def test_items_that_conditions_leave_out_are_not_opened(tmp_path: Path, values: np.ndarray) -> None:
    items = []
    for i, clouds in enumerate((80, 5, 60)):
        path = pictures.write(tmp_path / f"{i}.tif", values[i, 0])
        items.append(pictures.item(f"i{i}", f"2023-04-0{i + 1}T10:00:00Z", {"a": path}, **{"eo:cloud_cover": clouds}))
        if clouds > 50:
            path.write_bytes(b"this is not to be read")
    catalog = pictures.collection(tmp_path / "catalog.json", items, "Catalog")
    cube = load_collection(str(Path(catalog).parent), None, None, None, {"eo:cloud_cover": lambda value: value < 50})
    np.testing.assert_array_equal(cube[:, 0], values[1:2, 0])
