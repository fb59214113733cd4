"""Reading, mosaicking and writing beside rasterio, xarray and odc-stac: `python -m benchmarks.files`.

Each pair is measured in turns in one process, so that what else the machine does falls on both; the ratio of the
medians is what counts. Values are compared before anything is timed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import rasterio
import rasterio.merge
import rasterio.shutil
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.load import load_stac
from openeo_processes_dask.process_implementations.cubes.save import save_result

from .scenes import Scene, sentinel2

ROUNDS = 5
SIDE = 2048  # rows and columns of the scene
BANDS = ["B02", "B03", "B04", "B08"]


def main() -> int:
    """Print a table of ours, others and their ratio."""
    with tempfile.TemporaryDirectory(prefix="openeo-benchmarks-") as folder, dask.config.set(scheduler="threads"):
        scene = sentinel2(Path(folder, "scene"), size=SIDE, dates=2)
        print(f"{'what':34}{'MB':>8}{'ours MB/s':>11}{'other MB/s':>12}{'ratio':>7}{'ours peak MB':>14}")
        for name, size, ours, other in (*_reading(scene), *_writing(scene, Path(folder))):
            times = _in_turns(ours, other)
            peak = _peak(ours)
            speeds = [size / 1e6 / one for one in times]
            print(
                f"{name:34}{size / 1e6:8.0f}{speeds[0]:11.0f}{speeds[1]:12.0f}{speeds[0] / speeds[1]:7.2f}{peak:14.0f}"
            )
            sys.stdout.flush()
    return 0


Pair = tuple[str, int, Callable[[], Any], Callable[[], Any]]


def _reading(scene: Scene) -> Iterator[Pair]:
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

    def mosaic() -> np.ndarray:
        with dask.config.set({"openeo.load.group_by": "day"}):
            return load_stac(catalog, bands=["B04"]).values[0, 0]

    def merged() -> np.ndarray:
        files = [rasterio.open(scene.files[days[0], "B04"])]
        try:
            return np.asarray(rasterio.merge.merge(files, nodata=0)[0][0])
        finally:
            files[0].close()

    np.testing.assert_array_equal(ours(), plain())
    np.testing.assert_array_equal(mosaic(), merged())
    size = plain().nbytes
    yield "read COGs, rasterio", size, ours, plain
    if np.array_equal(other(), ours()):
        yield "read COGs, odc-stac", size, ours, other


def _writing(scene: Scene, folder: Path) -> Iterator[Pair]:
    cube = load_stac(str(scene.catalog), bands=BANDS).isel(t=0).compute().chunk({"y": 512})
    labels = xr.DataArray(cube.data, dims=cube.dims, coords={"y": cube.y, "x": cube.x, "band": ("bands", BANDS)})
    profile = {"driver": "GTiff", "count": len(BANDS), "height": SIDE, "width": SIDE, "dtype": "uint16", "nodata": 0}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "predictor": 2}
    profile |= {"num_threads": "ALL_CPUS"}

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


def _in_turns(*functions: Callable[[], Any]) -> list[float]:
    """The median of the seconds that each takes; the first round counts for none."""
    took: list[list[float]] = [[] for _ in functions]
    for number in range(ROUNDS + 1):
        for times, function in zip(took, functions, strict=True):
            start = time.perf_counter()
            function()
            if number:
                times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in took]


def _peak(function: Callable[[], Any]) -> float:
    """By how many megabytes this process grows meanwhile, looked at every few milliseconds."""
    process, most, done = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        function()
    finally:
        done.set()
        watcher.join()
    return max(most[0] - before, 0) / 1e6


if __name__ == "__main__":
    sys.exit(main())
