"""Reading, mosaicking and writing beside rasterio, xarray and odc-stac: `python -m benchmarks.files`.

Each pair is measured in turns in one process, so that what else the machine does falls on both; the ratio of the
medians is what counts. Values are compared before anything is timed.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import rasterio
import rasterio.merge
import rasterio.shutil
import xarray as xr
from rasterio.transform import from_origin
from rasterio.windows import Window

from openeo_processes_dask.process_implementations.cubes.load import load_stac
from openeo_processes_dask.process_implementations.cubes.save import save_result

from .scenes import Scene, sentinel2

ROUNDS = 5
SIDE = 2048  # rows and columns of the scene
PATIENCE = 300  # seconds for a program that tells its peak
BANDS = ["B02", "B03", "B04", "B08"]


def main() -> int:
    """Print a table of ours, others and their ratio, in seconds and in processor time, and of the memory ours takes."""
    if sys.argv[1:2] == ["--peak"]:
        return _tell_peak(sys.argv[2], Path(sys.argv[3]))
    if sys.argv[1:2] == ["--items"]:
        return _tell_items(int(sys.argv[2]))
    with tempfile.TemporaryDirectory(prefix="openeo-benchmarks-") as folder, dask.config.set(scheduler="threads"):
        head = (
            f"{'what':28}{'MB':>7}{'ours MB/s':>11}{'other MB/s':>12}{'ratio':>7}{'CPU ratio':>11}{'ours peak MB':>14}"
        )
        print(head)
        for name, size, ours, other in _pairs(Path(folder), check=True):
            (mine, cpu), (theirs, their_cpu) = _in_turns(ours, other)
            peak = _peak(name, folder)
            speeds = f"{size / 1e6 / mine:11.0f}{size / 1e6 / theirs:12.0f}"
            print(f"{name:28}{size / 1e6:7.0f}{speeds}{theirs / mine:7.2f}{their_cpu / cpu:11.2f}{peak:14.0f}")
            sys.stdout.flush()
    return 0


Pair = tuple[str, int, Callable[[], Any], Callable[[], Any]]


def _pairs(folder: Path, check: bool) -> Iterator[Pair]:
    scene = sentinel2(folder / "scene", size=SIDE, dates=2)
    yield from _reading(scene, check)
    yield from _mosaicking(scene, folder, check)
    yield from _writing(scene, folder)


def _reading(scene: Scene, check: bool) -> Iterator[Pair]:
    days = [f"{moment:%Y-%m-%d}" for moment in scene.moments]
    catalog = str(scene.catalog)

    def ours() -> np.ndarray:
        return load_stac(catalog, bands=BANDS).values

    def plain() -> np.ndarray:
        out = np.empty((len(days), len(BANDS), SIDE, SIDE), "uint16")
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

    size = 2 * len(days) * len(BANDS) * SIDE * SIDE
    if check:
        np.testing.assert_array_equal(ours(), plain())
    yield "read COGs, rasterio", size, ours, plain
    if not check or np.array_equal(other(), ours()):
        yield "read COGs, odc-stac", size, ours, other


def _mosaicking(scene: Scene, folder: Path, check: bool) -> Iterator[Pair]:
    """Four images of one instant, which overlap in the middle and differ there."""
    half, rim = SIDE // 2, SIDE // 16
    paths = [folder / f"part{i}.tif" for i in range(4)]
    if check:
        with rasterio.open(scene.files[f"{scene.moments[0]:%Y-%m-%d}", "B04"]) as file:
            for number, path in enumerate(paths):
                row, column = (divmod(number, 2)[i] * (half - rim) for i in range(2))
                window = Window(column, row, half + rim, half + rim)
                profile = {**file.profile, "width": half + rim, "height": half + rim, "driver": "COG"}
                for name in ("blockxsize", "blockysize", "tiled", "interleave"):
                    profile.pop(name)
                values = file.read(1, window=window)
                profile |= {"transform": file.window_transform(window), "blocksize": 256}
                with rasterio.open(path, "w", **profile) as part:
                    part.write(np.where(values == 0, 0, np.minimum(values, 60_000) + number), 1)
        items = [
            {
                "type": "Feature",
                "id": path.stem,
                "properties": {"datetime": "2023-04-03T10:00:00Z"},
                "assets": {"a": {"href": str(path), "type": "image/tiff", "roles": ["data"]}},
            }
            for path in paths
        ]
        (folder / "parts.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))

    def ours() -> np.ndarray:
        return load_stac(str(folder / "parts.json")).values[0, 0]

    def merged() -> np.ndarray:
        return np.asarray(rasterio.merge.merge(paths, nodata=0)[0][0])

    if check:
        np.testing.assert_array_equal(ours(), merged())
    yield "mosaic of 4, rasterio.merge", 2 * SIDE * SIDE, ours, merged


def _writing(scene: Scene, folder: Path) -> Iterator[Pair]:
    cube = load_stac(str(scene.catalog), bands=BANDS).isel(t=0).compute().chunk({"y": 512})
    labels = xr.DataArray(cube.data, dims=cube.dims, coords={"y": cube.y, "x": cube.x, "band": ("bands", BANDS)})
    profile = {"driver": "GTiff", "count": len(BANDS), "height": SIDE, "width": SIDE, "dtype": "uint16", "nodata": 0}
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
    packing = {name: {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": (512, 512)} for name in BANDS}
    yield "write GTiff, rasterio", cube.nbytes, ours("GTiff"), plain
    yield "write COG, rasterio", cube.nbytes, ours("COG"), cog
    yield (
        "write netCDF, xarray",
        cube.nbytes,
        ours("netCDF"),
        lambda: dataset.to_netcdf(folder / "x.nc", engine="h5netcdf", encoding=packing),
    )
    yield (
        "write zarr, xarray",
        cube.nbytes,
        ours("Zarr"),
        lambda: dataset.to_zarr(folder / "x.zarr", mode="w", zarr_format=3, consolidated=False),
    )


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


def _in_turns(*functions: Callable[[], Any]) -> list[tuple[float, float]]:
    """The medians of the seconds that each takes, and of those of the processor; the first round counts for none."""
    took: list[list[tuple[float, float]]] = [[] for _ in functions]
    for number in range(ROUNDS + 1):
        for times, function in zip(took, functions, strict=True):
            start, busy = time.perf_counter(), time.process_time()
            function()
            if number:
                times.append((time.perf_counter() - start, time.process_time() - busy))
    return [(statistics.median(s for s, _ in times), statistics.median(c for _, c in times)) for times in took]


def _peak(name: str, folder: str) -> float:
    """By how many megabytes a new program grows at most while it does ours; here much is in use that was not freed."""
    command = [sys.executable, "-m", "benchmarks.files", "--peak", name, folder]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return float(run.stdout.split()[-1])


def _tell_peak(name: str, folder: Path) -> int:
    with dask.config.set(scheduler="threads"):
        (ours,) = [mine for called, _, mine, _ in _pairs(folder, check=False) if called == name]
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
