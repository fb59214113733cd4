"""Saving what is ten times larger than the memory: workers write, and neither they nor the client hold the cube."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5netcdf
import numpy as np
import psutil
import pytest
import rasterio
import zarr

from openeo_processes_dask.process_implementations.cubes import save_result
from tests.clusters import separate_processes
from tests.cubes import cases

LIMIT = 448 * 2**20  # bytes of a worker, of which its modules take 280 MB; from four fifths on it pauses
TIMES = 10
SIDE = 2048
# what is written is all the same; as much as possible is memory, and little the disk
PACKING: Any = {one: {"compression": "zstd"} for one in ("GTiff", "COG", "Zarr")} | {"netCDF": {"compression": 0}}


def large() -> Any:
    """A cube of ten times the limit; each value is the number of its date, and made when it is asked for."""
    dates = -(-TIMES * LIMIT // (SIDE * SIDE * 4))
    number = da.arange(dates, chunks=1, dtype="float32")[:, None, None, None]
    values = da.broadcast_to(number, (dates, 1, SIDE, SIDE), (1, 1, SIDE // 2, SIDE)) + np.float32(1)
    small = cases.cube(np.zeros((dates, 1, 2, 2), "float32"))
    coordinates = {"y": 5_000_000 - 10.0 * np.arange(SIDE), "x": 600_000 + 10.0 * np.arange(SIDE)}
    return small.isel(y=0, x=0, drop=True).expand_dims(coordinates, (2, 3)).copy(data=values)


def save_and_tell(address: str, format: str, folder: str) -> None:
    """Save the large cube, and print by how much this process grew; without an address the cluster is in it."""
    from distributed import Client, LocalCluster

    quiet: Any = {
        "dashboard_address": None,
        "scheduler_kwargs": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    }
    cube = large()
    with dask.config.set({"openeo.results": folder}):
        if address:
            with Client(address) as client:
                before, pids = psutil.Process().memory_info().rss, client.run(os.getpid)
                save_result(cube, format, PACKING[format])
                assert client.run(os.getpid) == pids  # none was ended because of its memory
        else:
            quiet |= {"processes": False, "n_workers": 2, "threads_per_worker": 1, "memory_limit": 0}
            with LocalCluster(**quiet) as cluster, Client(cluster):
                before = psutil.Process().memory_info().rss
                save_result(cube, format, PACKING[format])
    print(cube.nbytes, peak() - before)


def peak() -> int:
    """The most bytes that this program had; what resource.getrusage tells starts with those of its parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of two workers with a limit, in processes of their own."""
    with separate_processes(tmp_path_factory.mktemp("cluster"), memory=str(LIMIT)) as address:
        yield address


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for gigabytes, which pytest would keep."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the most memory of a program")
@pytest.mark.parametrize("format", PACKING)
@pytest.mark.parametrize("where", ["embedded", "separate"])
def test_ten_times_the_memory_is_saved(where: str, format: str, results: Path, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue("separate") if where == "separate" else ""
    program = "import sys; from tests.cubes import test_save_memory as t; t.save_and_tell(*sys.argv[1:])"
    command = [sys.executable, "-c", program, address, format, str(results)]
    run = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=290, check=False
    )
    assert run.returncode == 0, run.stderr
    size, grown = map(int, run.stdout.split())
    assert size >= TIMES * LIMIT
    assert grown < LIMIT, f"the client grew by {grown / 2**20:.0f} MB"
    saved = sorted(path for path in results.iterdir() if not path.name.endswith(".stac.json"))
    if format == "Zarr":
        last = zarr.open_group(saved[0], mode="r")["B02"][-1, ::500, ::500]
    elif format == "netCDF":
        with h5netcdf.File(saved[0]) as file:
            last = file["B02"][-1, ::500, ::500]
    else:
        with rasterio.open(saved[-1]) as file:
            last = file.read(1)[::500, ::500]
        assert len(saved) * SIDE * SIDE * 4 == size
    assert set(last.ravel().tolist()) == {size // (SIDE * SIDE * 4)}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only glibc gives memory back as it is told to")
@pytest.mark.parametrize("dates", [1, 3])
def test_a_cog_takes_little_fresh_memory_on_a_worker(dates: int, results: Path) -> None:
    """GDAL's overviews on several threads took 60 times the bytes of the image, which was what took so long."""
    program = """
import resource, sys
import dask
from tests.cubes import test_save_memory as t
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
cube = t.large().isel(t=slice(0, int(sys.argv[2])))
with dask.config.set({"openeo.results": sys.argv[1], "scheduler": "synchronous"}):
    t.save_result(cube.isel(t=[0]), "COG", {"path": "first"})
    before = faults()
    t.save_result(cube, "COG", {"path": "second", "compression": "none"})
print((faults() - before) * resource.getpagesize() / cube.nbytes)
"""
    command = [sys.executable, "-c", program, str(results), str(dates)]
    variables = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}  # as dask's nannies start workers
    run = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=variables, capture_output=True, text=True, timeout=200, check=False
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 25
