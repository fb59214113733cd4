"""Saving block by block: nobody holds the cube, nothing is computed twice, and progress is for those who watch."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

from openeo_processes_dask.process_implementations.cubes.saving import stream


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
