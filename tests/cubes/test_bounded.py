"""Cubes of ten times a worker's memory pass through processes on that worker.

Some cases of each promise run by default; `OPENEO_BOUNDED=.` runs all of them, as `python -m benchmarks bounded` does,
and another expression those whose names it is found in.

The limit of the worker is what it holds once it has imported and compiled what these cases need, which is most of any
small limit, and 128 MiB; the cube has ten times these 128 MiB.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from benchmarks import bounded, inputs, store
from benchmarks.__main__ import main
from benchmarks.suite import suites
from openeo_processes_dask.declare import DECLARED

DEFAULT = r"ApplyKernel\(|ApplyNeighborhood\(|ApplyPolygon\(2|Ndvi\(|ReduceDimensionAcrossChunks\('|MaskPolygon\(64"
CHOSEN = re.compile(os.environ.get("OPENEO_BOUNDED", DEFAULT))
CASES = [(name, case) for name, case in bounded.cases() if CHOSEN.search(f"{name}({', '.join(map(repr, case))})")]
OF_FILES = ("load", "save", "vector")  # modules whose processes read, write, or have no raster cube
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the most memory")


@pytest.fixture(scope="module")
def worker() -> Iterator[tuple[Any, int]]:
    """Give the client of a worker, and its limit."""
    with bounded.one_worker() as client:
        yield client, bounded.narrowed(client, CASES) + bounded.ROOM


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{n}{c or ''}" for n, c in CASES])
def test_a_cube_of_ten_times_the_memory_passes(name: str, case: tuple[Any, ...], worker: tuple[Any, int]) -> None:
    client, limit = worker
    cube = bounded.cube_of(bounded.TIMES * bounded.ROOM)
    assert 4 * math.prod(cube.shape) >= bounded.TIMES * bounded.ROOM
    found = bounded.passed(client, name, case, cube)
    assert not found.bad(limit, bounded.may_spill(name, case)), found
    assert found.peak > limit - 1.5 * bounded.ROOM  # beside modules there is about the room that was meant


def test_every_process_on_cubes_has_a_case() -> None:
    folder = "openeo_processes_dask.process_implementations.cubes."
    measured = {id_ for name, _ in bounded.cases() for id_ in suites()[name].ids()}
    wanted = {
        id_
        for id_, process in DECLARED.items()
        if (home := process.function.__module__).startswith(folder)
        if home.removeprefix(folder).split(".")[0] not in OF_FILES
    } | {"run_udf"}
    assert len(wanted) >= 37  # or nothing would be asked for
    assert not wanted - measured


def test_results_stream_without_their_blocks() -> None:
    block = np.ones((100, 100))
    cube = xr.DataArray(da.from_array(block, chunks=(50, 100)))
    graph = inputs.streamed(cube)
    found = [dask.get(graph, key) for key in inputs.ends(graph)]
    assert [value.shape for value in found] == [(1, 1), (1, 1)]
    assert all(value.base is None for value in found)  # a view would keep its block


def test_what_breaks_the_promise_is_said() -> None:
    assert bounded.Passed("one", 1e7, 0.0, 1e6, 1.0).bad(2e6, False) == ""
    assert bounded.Passed("one", 1e7, 1e6, 1e6, 1.0).bad(2e6, True) == ""
    assert "spilled" in bounded.Passed("one", 1e7, 1e6, 1e6, 1.0).bad(2e6, False)
    assert "held" in bounded.Passed("one", 1e7, 0.0, 3e6, 1.0).bad(2e6, True)
    assert "another" in bounded.Passed("one", 1e7, 0.0, 1e6, 1.0, right=False).bad(2e6, True)
    assert bounded.Passed("one", error="1 workers were lost").bad(2e6, True) == "1 workers were lost"


def test_what_holds_the_whole_cube_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(store.PLACE, str(tmp_path / "records.jsonl"))
    monkeypatch.setattr(bounded, "RESULT", tmp_path / "results" / "bounded.md")
    monkeypatch.setattr(bounded, "CHUNK", (6, 4, 64, 64))
    monkeypatch.setattr(bounded, "TIMES", 1)
    monkeypatch.setattr(bounded, "ROOM", 2**20)  # less than a chunk with its index
    assert main(["bounded", "cubes.indices.Ndvi"]) == 1
    said = capsys.readouterr().out
    table = bounded.RESULT.read_text().splitlines()
    assert table[0].startswith("| case |")
    assert len(table) == 3
    (kept,) = store.records(kind="bounded", suite="cubes.indices.Ndvi")
    assert kept["error"]
    assert "were held" in said or "were spilled" in said or "were lost" in said or "KilledWorker" in said
