"""Reading, mosaicking and writing beside rasterio, xarray and odc-stac: `python -m benchmarks.files`.

Each pair is measured in turns in one process, so that what else the machine does falls on both; the ratio of the
medians is what counts. Values are compared before anything is timed. `--rows` chooses rows by a part of their name.
Behind the table: how many bytes are read for one square kilometre, of each format.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dask
import numpy as np
import rasterio
import rasterio.merge
import rasterio.shutil
import xarray as xr
from rasterio.transform import from_origin

from openeo_processes_dask.process_implementations.cubes.load import load_collection, load_stac
from openeo_processes_dask.process_implementations.cubes.save import save_result

from . import reading
from .scenes import Scene, overlapping, sentinel2

ROUNDS = 5
SECONDS = 8.0  # for the rounds of a row, when at least two are done
SIDE = 2048  # rows and columns of the scene
PATIENCE = 300  # seconds for a program that tells its peak
BANDS = ["B02", "B03", "B04", "B08"]
SQUARE = 100  # rows and columns of a square kilometre


class Row(NamedTuple):
    """What is compared: ours with another, for so many bytes of values; they are made when they are measured."""

    name: str
    size: int
    ours: Callable[[], Any]
    other: Callable[[], Any]
    same: bool = True  # whether both give the values, which are then compared


def main() -> int:
    """Print a table of ours, others and their ratio, in seconds and in processor time, and of the memory ours takes."""
    asked = _arguments()
    if asked.peak:
        return _tell_peak(asked.peak, Path(asked.folder), asked.side)
    if asked.items:
        return _tell_items(asked.items)
    with tempfile.TemporaryDirectory(prefix="openeo-benchmarks-") as folder, dask.config.set(scheduler="threads"):
        _tell("making the scene …")
        scene = _scene(Path(folder), asked.side)
        chosen = [row for row in _rows(scene, Path(folder)) if asked.rows.casefold() in row.name.casefold()]
        head = "what", "MB", "ours MB/s", "other MB/s", "ratio", "CPU ratio", "ours peak MB"
        print("{:28}{:>7}{:>11}{:>12}{:>7}{:>11}{:>14}".format(*head), flush=True)
        for number, row in enumerate(chosen, 1):
            _tell(f"{number} of {len(chosen)}: {row.name} …")
            if row.same:
                np.testing.assert_array_equal(row.ours(), row.other())
            (mine, cpu), (theirs, their_cpu) = _in_turns(asked.rounds, row.ours, row.other)
            peak = math.nan if asked.no_peaks else _peak(row.name, folder, asked.side)
            speeds = f"{row.size / 1e6 / mine:11.0f}{row.size / 1e6 / theirs:12.0f}"
            told = f"{row.name:28}{row.size / 1e6:7.0f}{speeds}{theirs / mine:7.2f}{their_cpu / cpu:11.2f}{peak:14.0f}"
            print(told, flush=True)
        _tell_requests(scene, asked.rows)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.files", description="Reading and writing beside others."
    )
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows whose name has this in it")
    parser.add_argument("--side", type=int, default=SIDE, help="rows and columns of the scene")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of a row, of which medians are taken")
    parser.add_argument("--items", type=int, help="build of so many items instead")
    parser.add_argument("--no-peaks", action="store_true", help="do not start a program for each row's memory")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("folder", nargs="?", help=argparse.SUPPRESS)
    return parser.parse_args()


def _tell(line: str) -> None:
    """What is being done, where somebody looks on."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


def _scene(folder: Path, side: int) -> Scene:
    return sentinel2(folder / "scene", size=side, dates=2)


def _rows(scene: Scene, folder: Path) -> Iterator[Row]:
    yield from _reading(scene)
    yield from _variables(scene)
    yield _mosaicking(scene)
    yield from _writing(scene, folder)


def _reading(scene: Scene) -> Iterator[Row]:
    days = [f"{moment:%Y-%m-%d}" for moment in scene.moments]
    catalog = str(scene.catalog)
    shape = len(days), len(BANDS), scene.size, scene.size

    def ours() -> np.ndarray:
        return load_stac(catalog, bands=BANDS).values

    def plain() -> np.ndarray:
        out = np.empty(shape, "uint16")
        for i, day in enumerate(days):
            for j, band in enumerate(BANDS):
                with rasterio.open(scene.files[day, band]) as file:
                    file.read(1, out=out[i, j])
        return out

    def other() -> np.ndarray:
        import odc.stac
        import pystac

        items = list(pystac.Catalog.from_file(catalog).get_items(recursive=True))
        made = odc.stac.load(items, bands=BANDS, chunks={}, groupby="id")
        return made.to_dataarray("band").transpose("time", "band", "y", "x").values

    size = 2 * int(np.prod(shape))
    yield Row("read COGs, rasterio", size, ours, plain)
    yield Row("read COGs, odc-stac", size, ours, other)


def _variables(scene: Scene) -> Iterator[Row]:
    """The same scene in one file, beside xarray alone, without dask."""
    size = 2 * len(scene.moments) * len(BANDS) * scene.size**2

    def ours(path: Callable[[], Path]) -> Callable[[], Any]:
        return lambda: load_collection(str(path()), None, None, BANDS).values

    def plain(path: Callable[[], Path], engine: str) -> Callable[[], Any]:
        def read() -> np.ndarray:
            with xr.open_dataset(path(), engine=engine, mask_and_scale=False, cache=False) as data:
                return np.stack([data[band].values for band in BANDS], axis=1)

        return read

    for name, path, engine in (("netCDF", scene.netcdf, "h5netcdf"), ("zarr", scene.zarr, "zarr")):
        yield Row(f"read {name}, xarray", size, ours(path), plain(path, engine))


def _mosaicking(scene: Scene) -> Row:
    """Four images of one instant, which overlap in the middle and differ there."""

    def ours() -> np.ndarray:
        return load_stac(str(overlapping(scene).catalog)).values[0, 0]

    def merged() -> np.ndarray:
        return np.asarray(rasterio.merge.merge(overlapping(scene).files, nodata=0)[0][0])

    return Row("mosaic of 4, rasterio.merge", 2 * scene.size**2, ours, merged)


def _writing(scene: Scene, folder: Path) -> Iterator[Row]:
    cube = load_stac(str(scene.catalog), bands=BANDS).isel(t=0).compute().chunk({"y": 512})
    labels = xr.DataArray(cube.data, dims=cube.dims, coords={"y": cube.y, "x": cube.x, "band": ("bands", BANDS)})
    profile = {
        "driver": "GTiff",
        "count": len(BANDS),
        "height": scene.size,
        "width": scene.size,
        "dtype": "uint16",
        "nodata": 0,
    }
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "predictor": 2}
    profile |= {"num_threads": "ALL_CPUS", "crs": "EPSG:32632", "transform": from_origin(6e5, 5e6, 10, 10)}

    def ours(format: str) -> Callable[[], Any]:
        return lambda: save_result(cube, format, {"path": str(folder / "ours"), "overwrite": True, "stac": False})

    def plain(path: Path = folder / "plain.tif") -> None:
        with rasterio.open(path, "w", **profile) as file:
            file.write(cube.values)

    def cog() -> None:
        plain(folder / "first.tif")
        options = {"compress": "deflate", "predictor": "STANDARD", "num_threads": "ALL_CPUS"}
        rasterio.shutil.copy(folder / "first.tif", folder / "plain.cog.tif", driver="COG", **options)

    dataset = xr.Dataset({name: (("y", "x"), labels.data[i]) for i, name in enumerate(BANDS)})
    packing = {
        name: {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": (min(512, scene.size),) * 2}
        for name in BANDS
    }

    def netcdf() -> None:
        dataset.to_netcdf(folder / "x.nc", engine="h5netcdf", encoding=packing)

    def store() -> None:
        # the same blocks in the file, as for the other formats: how many files there are decides how long it takes
        packing = {name: {"chunks": (min(512, scene.size),) * 2} for name in BANDS}
        dataset.to_zarr(folder / "x.zarr", mode="w", zarr_format=3, consolidated=False, encoding=packing)

    yield Row("write GTiff, rasterio", cube.nbytes, ours("GTiff"), plain, False)
    yield Row("write COG, rasterio", cube.nbytes, ours("COG"), cog, False)
    yield Row("write netCDF, xarray", cube.nbytes, ours("netCDF"), netcdf, False)
    yield Row("write zarr, xarray", cube.nbytes, ours("Zarr"), store, False)


def _tell_requests(scene: Scene, chosen: str) -> None:
    """What is read for the middle of the scene, one band of one date, in blocks and headers."""
    if not reading.COUNTER.exists() or chosen.casefold() not in "requests":
        return
    extent = scene.extent(min(SQUARE / scene.size, 1))
    for name, path in (
        ("COG, catalogue", scene.catalog.parent),
        ("COG, folder", scene.cogs),
        ("netCDF", scene.netcdf()),
    ):
        _tell_request(name, path, extent)
    _tell_request("zarr", scene.zarr(), extent)


def _tell_request(name: str, path: Path, extent: dict[str, float]) -> None:
    interval = ["2023-04-01", "2023-04-10"]
    with dask.config.set(scheduler="synchronous"):
        with reading.counted() as built:
            cube = load_collection(str(path), extent, interval, ["B04"])
        with reading.counted() as computed:
            values = cube.values
    about = f"{built.bytes / 1e3:7.0f} kB while building, {computed.bytes / 1e3:7.0f} kB while computing"
    print(f"1 km², {name:15}: {values.nbytes / 1e3:5.0f} kB of values, {about}", flush=True)


def many_items(folder: Path, count: int) -> str:
    """A catalogue of so many Items, one a day, whose documents say all but one file's blocks; give where it lies."""
    path, side = folder / "one.tif", 64
    place = {"crs": "EPSG:32632", "transform": from_origin(6e5, 5e6, 10, 10)}
    with rasterio.open(path, "w", "GTiff", side, side, 1, dtype="uint16", nodata=0, **place) as file:
        file.write(np.ones((side, side), "uint16"), 1)
    about = {"proj:code": "EPSG:32632", "proj:shape": [side, side], "proj:transform": list(place["transform"])[:6]}
    asset = {"href": "one.tif", "type": "image/tiff", "roles": ["data"], "raster:bands": [{"data_type": "uint16"}]}
    days = np.datetime_as_string(np.datetime64("1900-01-01") + np.arange(count)).tolist()
    features = [
        {
            "type": "Feature",
            "id": f"i{i}",
            "properties": {"datetime": f"{day}T00:00:00Z", **about},
            "assets": {"a": asset},
        }
        for i, day in enumerate(days)
    ]
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(folder / "items.json")


def _tell_items(count: int) -> int:
    with tempfile.TemporaryDirectory(prefix="openeo-benchmarks-") as folder:
        for some in (count // 4, count // 2, count):
            where = many_items(Path(folder), some)
            start, busy = time.perf_counter(), time.process_time()
            with dask.config.set({"openeo.load.size": "4 GiB"}):
                cube = load_stac(where)
            took = f"{time.perf_counter() - start:.1f} s, {time.process_time() - busy:.1f} s of processor time"
            print(f"{some} items: {took}, {cube.data.npartitions} blocks, {_status('VmHWM') / 1e3:.0f} MB at most")
    return 0


def _in_turns(rounds: int, *functions: Callable[[], Any]) -> list[tuple[float, float]]:
    """The medians of the seconds that each takes, and of those of the processor; the first round counts for none."""
    took: list[list[tuple[float, float]]] = [[] for _ in functions]
    began = time.perf_counter()
    for number in range(rounds + 1):
        for times, function in zip(took, functions, strict=True):
            start, busy = time.perf_counter(), time.process_time()
            function()
            if number:
                times.append((time.perf_counter() - start, time.process_time() - busy))
        if number > 1 and time.perf_counter() - began > SECONDS:
            break
    return [(statistics.median(s for s, _ in times), statistics.median(c for _, c in times)) for times in took]


def _peak(name: str, folder: str, side: int) -> float:
    """By how many megabytes a new program grows at most while it does ours; here much is in use that was not freed."""
    command = [sys.executable, "-m", "benchmarks.files", "--peak", name, "--side", str(side), folder]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return float(run.stdout.split()[-1])


def _tell_peak(name: str, folder: Path, side: int) -> int:
    with dask.config.set(scheduler="threads"):
        (ours,) = [row.ours for row in _rows(_scene(folder, side), folder) if row.name == name]
        before = _status("VmRSS")
        ours()
    print((max(_status("VmHWM"), before) - before) * 1024 / 1e6)
    return 0


def _status(name: str) -> int:
    """A number of kilobytes that the system tells of this program."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(name))
    return int(line.split()[1])


if __name__ == "__main__":
    sys.exit(main())
