"""The three workflows give what plain numpy and rasterio give, wherever they run."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from distributed import Client, LocalCluster

from benchmarks.scenes import Scene, landsat8
from openeo_processes_dask import exceptions
from openeo_processes_dask.execution import execute
from tests import oracles
from tests.cubes import cases
from tests.laziness import nothing_computed

WORKFLOWS = Path(__file__).parents[2] / "examples" / "workflows"
PATIENCE = 60  # seconds for a cluster to come up


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _embedded() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def _separate() -> Iterator[Client]:
    """Start a scheduler and a worker as processes of their own, as on another machine."""
    address = f"tcp://127.0.0.1:{_free_port()}"
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--no-dashboard"],
        ["worker", address, "--nthreads", "2", "--memory-limit", "2GiB", "--no-dashboard"],
    ]
    with contextlib.ExitStack() as stack:
        for command in commands:
            started = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[3],  # where `benchmarks` and `tests` cannot be imported
            )
            stack.callback(started.wait, 30)
            stack.callback(started.terminate)
        deadline = time.monotonic() + PATIENCE
        client = stack.enter_context(Client(address, timeout=PATIENCE))
        client.wait_for_workers(1, timeout=max(1.0, deadline - time.monotonic()))
        yield client


@pytest.fixture(scope="module", params=["threads", "embedded", "separate"])
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the module's tests on dask's threads, on a cluster in this process, and on a separate one."""
    where = {"threads": contextlib.nullcontext, "embedded": _embedded, "separate": _separate}
    with where[request.param]():
        yield request.param


def composite(scene: Scene, path: Path) -> dict[str, Any]:
    return {"id": str(scene.cogs), "path": str(path)}


def to_grid(scene: Scene, path: Path) -> dict[str, Any]:
    return {
        "url": str(scene.collection),
        "spatial_extent": scene.extent(0.75),
        "temporal_extent": ["2023-04-10", "2023-06-01"],
        "bands": ["B04", "B08"],
        "path": str(path),
    }


def test_the_ndvi_composite_is_that_of_numpy(scene: Scene, target: str, tmp_path: Path) -> None:
    path = tmp_path / "ndvi.tif"
    item = execute(WORKFLOWS / "ndvi_composite.json", composite(scene, path))
    expected = oracles.ndvi_composite(scene.cogs)
    with rasterio.open(path) as result:
        np.testing.assert_allclose(result.read(1), expected, rtol=1e-5, atol=1e-6)
        assert result.crs.to_epsg() == scene.epsg
        assert result.bounds == pytest.approx(scene.bounds)
        assert np.isnan(result.nodata)
    assert item["type"] == "Feature"
    assert 0 < np.isnan(expected).sum() < expected.size / 2


def test_monthly_ndvi_is_that_of_numpy(scene: Scene, target: str, tmp_path: Path) -> None:
    path = tmp_path / "ndvi.nc"
    execute(WORKFLOWS / "monthly_ndvi.json", {"id": str(scene.collection), "path": str(path)})
    labels, expected = oracles.monthly_ndvi(scene.cogs)
    with xr.open_dataset(path, engine="h5netcdf") as result:
        values = next(v for v in result.data_vars.values() if v.ndim == 3)
        np.testing.assert_allclose(values.transpose("t", "y", "x"), expected, rtol=1e-5, atol=1e-6)
        assert [str(label) for label in result.t.values] == list(labels)


def test_a_catalogue_comes_to_a_grid_as_with_numpy(scene: Scene, target: str, tmp_path: Path) -> None:
    path = tmp_path / "grid.zarr"
    parameters = to_grid(scene, path)
    execute(WORKFLOWS / "stac_to_grid.json", parameters)
    expected = oracles.stac_to_grid(
        scene.cogs, parameters["spatial_extent"], parameters["temporal_extent"], parameters["bands"]
    )
    with xr.open_zarr(path, consolidated=False) as result:
        values = np.stack([result[band].transpose("t", "y", "x").values for band in parameters["bands"]], axis=1)
        np.testing.assert_allclose(values, expected.values, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(result.x, expected.x)
        np.testing.assert_allclose(result.y, expected.y)
    assert expected.values.shape[1] == 2


@pytest.mark.parametrize(
    ("workflow", "parameters"), [("ndvi_composite", composite), ("monthly_ndvi", composite), ("stac_to_grid", to_grid)]
)
def test_building_a_workflow_computes_nothing(scene: Scene, workflow: str, parameters: Any, tmp_path: Path) -> None:
    handed_over: list[xr.DataArray] = []
    keep = {"save_result": lambda data, format, options: handed_over.append(data)}
    with nothing_computed():
        execute(WORKFLOWS / f"{workflow}.json", parameters(scene, tmp_path / "out"), processes=keep)
    assert handed_over[0].chunks is not None
    assert not list(tmp_path.iterdir())


def test_an_unknown_collection_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(exceptions.CollectionNotFound, match="nowhere"):
        execute(WORKFLOWS / "monthly_ndvi.json", {"id": "nowhere", "path": str(tmp_path / "ndvi.nc")})
    assert not list(tmp_path.iterdir())


def test_two_real_landsat_scenes_become_one_index(tmp_path: Path) -> None:
    real = landsat8(tmp_path / "catalogue")
    if real is None:
        pytest.skip("the Landsat scenes lie in ../shared/data, which is not here")
    box = (740_025, -2_806_005, 750_015, -2_799_015)
    extent = {**dict(zip(("west", "south", "east", "north"), box, strict=True)), "crs": 32621}
    pick = {b: cases.node("array_element", data=cases.given("data"), label=b) for b in ("B3", "B4")}
    index = cases.child(**pick, nd=cases.node("normalized_difference", x=cases.of("B4"), y=cases.of("B3")))
    graph = {
        "load": cases.node("load_stac", url=str(real.collection), spatial_extent=extent, bands=["B3", "B4"]),
        "index": cases.node("reduce_dimension", data=cases.of("load"), dimension="bands", reducer=index),
        "best": cases.node(
            "reduce_dimension",
            data=cases.of("index"),
            dimension="t",
            reducer=cases.child(m=cases.node("max", data=cases.given("data"))),
        ),
        "save": cases.node(
            "save_result", data=cases.of("best"), format="GTiff", options={"path": str(tmp_path / "nd.tif")}
        ),
    }
    graph["save"]["result"] = True
    execute(graph)
    layers = []
    for row in ("077", "078"):
        bands = []
        for band in ("B3", "B4"):
            path = next(files[band] for name, files in real.files.items() if f"224{row}" in name)
            with rasterio.open(path) as file:
                window = rasterio.windows.from_bounds(*box, transform=file.transform).round()
                values = file.read(1, window=window).astype(float)
            bands.append(np.where(values == 0, np.nan, values))
        layers.append((bands[1] - bands[0]) / (bands[1] + bands[0]))
    with rasterio.open(tmp_path / "nd.tif") as result:
        # both were seen at the same instant, so they make one date, in which the first that saw a pixel counts
        expected = np.where(np.isfinite(layers[0]), *layers)
        np.testing.assert_allclose(result.read(1), expected, rtol=1e-4, atol=1e-6)
    assert np.isfinite(layers[0]).any()
    assert np.isfinite(layers[1]).any()
