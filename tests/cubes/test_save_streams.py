"""Saving block by block: nobody holds the cube, nothing is computed twice, and progress is for those who watch."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openeo_processes_dask.exceptions import StorageFailure
from openeo_processes_dask.process_implementations.cubes import load_collection, save_result
from openeo_processes_dask.process_implementations.cubes.saving import arrays, stream, workers
from tests.cubes import cases


def test_nothing_holds_the_cube() -> None:
    living, most = set(), []

    def block(block_id: tuple[int, ...]) -> np.ndarray:
        living.add(block_id)
        most.append(len(living))
        return np.full((1, 1, 50, 70), sum(block_id), "float32")

    values = da.map_blocks(block, chunks=((1,) * 20, (1,), (50,), (70,)), dtype="float32", meta=np.empty((0,) * 4))

    def write(where: Any, values: np.ndarray) -> None:
        living.discard((where[0].start, 0, 0, 0))

    with dask.config.set(scheduler="threads", num_workers=2):
        stream.each_block(values, write, "")
    assert not living
    assert max(most) <= 2


def test_on_a_cluster_a_few_blocks_are_under_way(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    original = type(client).get
    written: list[Any] = []

    def get(self: Any, graph: Any, keys: Any, **more: Any) -> Any:
        asked.append(len(keys))
        assert sum(asked) - len(written) <= 4
        return original(self, graph, keys, **more)

    monkeypatch.setattr(type(client), "get", get)
    values = da.ones((20, 8, 8), chunks=(1, 8, 8)) + 1
    with dask.config.set(scheduler=client):
        stream.each_block(values, lambda where, block: written.append((where, block.sum())), "")
    assert asked == [1] * 20
    assert sorted(where[0].start for where, _ in written) == list(range(20))
    assert {total for _, total in written} == {128.0}


def test_on_a_cluster_shared_work_is_sent_at_once(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    original = type(client).get

    def get(self: Any, graph: Any, keys: Any, **more: Any) -> Any:
        asked.append(len(keys))
        return original(self, graph, keys, **more)

    monkeypatch.setattr(type(client), "get", get)
    values = da.random.default_rng(0).random((6, 40, 4), chunks=(1, 40, 4)).rechunk((6, 4, 4))
    with dask.config.set(scheduler=client):
        stream.each_block(values, lambda where, block: None, "")
    assert asked == [10]


def test_progress_is_for_those_who_watch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(stream, "PATIENCE", 0.0)
    values = da.ones((4, 2), chunks=(1, 2))
    stream.each_block(values, lambda where, block: None, "writing a.tif")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    stream.each_block(values, lambda where, block: None, "writing a.tif")
    assert capsys.readouterr().err.endswith(f"\rwriting a.tif [{'#' * 30}] 100%\n")
    with dask.config.set({"openeo.progress": False}):
        stream.each_block(values, lambda where, block: None, "writing a.tif")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("format", ["GTiff", "COG", "Zarr"])
def test_workers_write_what_they_compute(client: Any, format: str, tmp_path: Path) -> None:
    saved = cases.cube(cases.values((3, 2, 50, 70)), {"t": 2, "y": 20, "x": 33})
    pid = os.getpid()

    def elsewhere(block: np.ndarray) -> np.ndarray:
        assert os.getpid() != pid
        return block

    def never(*more: Any) -> None:
        raise AssertionError("blocks came to the client")

    computed = saved.copy(data=saved.data.map_blocks(elsewhere, meta=saved.data._meta))
    with dask.config.set(scheduler=client), pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_from_cluster", never)
        save_result(computed, format, {"path": str(tmp_path / "a")})
    loaded = load_collection(str(tmp_path / "a.zarr" if format == "Zarr" else tmp_path), None, None)
    np.testing.assert_array_equal(loaded, saved)


@pytest.mark.parametrize("format", ["GTiff", "COG", "Zarr"])
def test_what_workers_do_not_see_comes_here(client: Any, format: str, tmp_path: Path) -> None:
    saved = cases.cube(cases.values((3, 2, 50, 70)), {"t": 2, "y": 20, "x": 33})
    with dask.config.set(scheduler=client), pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "all_see", lambda client, folder: False)
        save_result(saved, format, {"path": str(tmp_path / "a")})
    loaded = load_collection(str(tmp_path / "a.zarr" if format == "Zarr" else tmp_path), None, None)
    np.testing.assert_array_equal(loaded, saved)


def test_a_failure_on_a_worker_ends_all_writing(client: Any, tmp_path: Path) -> None:
    def slow(block: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        if block_id[0] == 1:
            raise ArithmeticError("in the middle")
        time.sleep(0.1)
        return block

    saved = cases.cube(cases.values((30, 1, 5, 7)), {"t": 1})
    failing = saved.copy(data=saved.data.map_blocks(slow, meta=saved.data._meta))
    with dask.config.set(scheduler=client), pytest.raises(ArithmeticError, match="in the middle"):
        save_result(failing, "Zarr", {"path": str(tmp_path / "a")})
    time.sleep(0.3)
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 3000))
def test_blocks_of_a_store_are_written_by_one_only(sizes: list[int], factor: int) -> None:
    rows = [size * factor for size in sizes]
    values = da.zeros((2, 1, sum(rows), 4), chunks=((1, 1), (1,), tuple(rows), (4,)))
    made = arrays.variables(
        cases.cube(np.zeros((2, 1, 1, 1)))
        .isel(y=0, x=0, drop=True)
        .expand_dims({"y": np.arange(sum(rows))[::-1], "x": np.arange(4)}, (2, 3))
        .copy(data=values),
        "Zarr",
    )
    chunks = arrays._aligned(made).chunks
    (t, y, x) = made.blocks
    for sizes_of, step in zip((chunks[0], *chunks[2:]), (t, y, x), strict=True):
        assert all(size % step == 0 for size in sizes_of[:-1])


@pytest.fixture(params=["workers write", "blocks come here"])
def writing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers see the folder, then not."""
    if request.param == "blocks come here":
        monkeypatch.setattr(workers, "all_see", lambda client, folder: False)


@pytest.mark.usefixtures("writing")
def test_paused_workers_end_a_save_with_an_error_that_names_them(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    quiet: Any = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
    small = {"distributed.worker.memory.pause": 1e-4, "distributed.worker.memory.terminate": False}
    with (
        dask.config.set({"openeo.results": str(tmp_path), "openeo.save.standstill": "1s", **small}),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, memory_limit="3GB", **quiet) as cluster,
        Client(cluster) as client,
    ):
        paused(client)
        cube = cases.cube(np.ones((3, 2, 8, 8)), {"t": 1})
        with pytest.raises(StorageFailure, match=r"2 of 2 are paused.*of 2.79 GiB of .*memory") as told:
            save_result(cube, "GTiff", {"path": "a"})
        assert all(address in str(told.value) for address in client.scheduler_info(n_workers=-1)["workers"])
    assert not list(tmp_path.iterdir())


def paused(client: Any) -> None:
    """Wait until all workers are."""
    deadline = time.monotonic() + 30
    while {one["status"] for one in client.scheduler_info(n_workers=-1)["workers"].values()} != {"paused"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("writing")
def test_a_block_that_never_comes_ends_a_save(client: Any, tmp_path: Path) -> None:
    cube = cases.cube(np.ones((3, 2, 8, 8)), {"t": 1})
    slow = cube.copy(data=cube.data.map_blocks(lambda block: time.sleep(6) or block, dtype=float))
    # A busy worker does not stand still; that it is busy, it says every half second, or later on a loaded machine.
    limits = {"openeo.save.timeout": "3s", "openeo.save.standstill": "2s"}
    client.run(importlib.import_module, "openeo_processes_dask.process_implementations")  # in which it says nothing
    with (
        dask.config.set({"openeo.results": str(tmp_path), "scheduler": client, **limits}),
        pytest.raises(StorageFailure, match=r"for 3 s no block was written; none of 1 is paused; they use"),
    ):
        save_result(slow, "GTiff", {"path": "a"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["GTiff", "Zarr", "netCDF", "JSON"])
def test_a_block_that_hangs_on_a_thread_ends_a_save(format: str, tmp_path: Path) -> None:
    going_on = threading.Event()

    def hang(block: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        assert block_id[0] != 1 or going_on.wait(60)
        return block

    cube = cases.cube(np.ones((3, 2, 8, 8)), {"t": 1})
    stuck = cube.copy(data=cube.data.map_blocks(hang, meta=cube.data._meta))
    more = {"openeo.results": str(tmp_path), "openeo.save.timeout": "1s", "num_workers": 2}
    told = r"for 1 s no block was written; of 3 blocks 1 are missing, none being written, .*: \[1:2, 0:2, 0:8, 0:8\]\."
    with dask.config.set(more):
        try:
            with pytest.raises(StorageFailure, match=told):
                save_result(stuck, format, {"path": "a"})
        finally:
            going_on.set()
        for thread in (one for one in threading.enumerate() if one.name == "openeo-save"):
            thread.join(30)
            assert not thread.is_alive()
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_the_threads_of_a_save(tmp_path: Path) -> None:
    computed = []

    def interrupt(block: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        computed.append(block_id)
        if len(computed) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)
        return block

    cube = cases.cube(np.ones((500, 2, 8, 8)), {"t": 1})
    long = cube.copy(data=cube.data.map_blocks(interrupt, meta=cube.data._meta))
    with dask.config.set({"openeo.results": str(tmp_path), "num_workers": 2}):
        with pytest.raises(KeyboardInterrupt):
            save_result(long, "Zarr", {"path": "a"})
        for thread in (one for one in threading.enumerate() if one.name == "openeo-save"):
            thread.join(30)
            assert not thread.is_alive()
    assert len(computed) < 250
    assert not list(tmp_path.iterdir())


def test_a_cluster_without_workers_is_said(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    quiet: Any = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
    with (
        dask.config.set({"openeo.results": str(tmp_path), "openeo.save.standstill": "500ms"}),
        LocalCluster(n_workers=0, processes=False, **quiet) as cluster,
        Client(cluster),
        pytest.raises(StorageFailure, match="the cluster has no workers left"),
    ):
        save_result(cases.cube(np.ones((3, 2, 8, 8)), {"t": 1}), "Zarr", {"path": "a"})
    assert not list(tmp_path.iterdir())
