"""Cubes of ten times a worker's memory pass through processes on that worker.

Cases that are BLOCKWISE, TREE and SHUFFLE run by default; `OPENEO_BOUNDED=.` runs all of them, as `python -m benchmarks
bounded` does, and another expression those whose names it is found in. Those with an OVERLAP are not among the first:
`apply_kernel` holds so many blocks which wait for their neighbours that it still spills.

The limit of the worker is what it takes for the modules that these cases import, which is most of any small limit,
and 128 MiB; the cube has ten times these 128 MiB.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bounded
from benchmarks.__main__ import main

DEFAULT = r"Ndvi\(|ReduceDimensionAcrossChunks\('|MaskPolygon\(64"
CHOSEN = re.compile(os.environ.get("OPENEO_BOUNDED", DEFAULT))
CASES = [(name, case) for name, case in bounded.cases() if CHOSEN.search(f"{name}({', '.join(map(repr, case))})")]
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the most memory")


@pytest.fixture(scope="module")
def worker() -> Iterator[tuple[Any, int]]:
    """Give the client of a worker, and its limit."""
    taken = bounded.modules(CASES)
    with bounded.one_worker(taken + bounded.ROOM, taken) as client:
        bounded.warm(client, CASES)
        yield client, taken + bounded.ROOM


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{n}{c or ''}" for n, c in CASES])
def test_a_cube_of_ten_times_the_memory_passes(name: str, case: tuple[Any, ...], worker: tuple[Any, int]) -> None:
    client, limit = worker
    cube = bounded.cube_of(bounded.TIMES * bounded.ROOM)
    assert 4 * math.prod(cube.shape) >= bounded.TIMES * bounded.ROOM
    found = bounded.passed(client, name, case, cube)
    assert not found.bad(limit, bounded.may_spill(name, case)), found
    assert found.peak > limit - 1.5 * bounded.ROOM  # beside modules there is about the room that was meant


def test_what_breaks_the_promise_is_said() -> None:
    assert bounded.Passed("one", 0.0, 1e6, 1.0).bad(2e6, False) == ""
    assert bounded.Passed("one", 1e6, 1e6, 1.0).bad(2e6, True) == ""
    assert "spilled" in bounded.Passed("one", 1e6, 1e6, 1.0).bad(2e6, False)
    assert "held" in bounded.Passed("one", 0.0, 3e6, 1.0).bad(2e6, True)
    assert bounded.Passed("one", error="1 workers were lost").bad(2e6, True) == "1 workers were lost"


def test_what_holds_the_whole_cube_is_found(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(bounded, "CHUNK", (6, 4, 64, 64))
    monkeypatch.setattr(bounded, "TIMES", 1)
    monkeypatch.setattr(bounded, "ROOM", 2**20)  # less than a chunk with its index
    assert main(["bounded", "cubes.indices.Ndvi"]) == 1
    said = capsys.readouterr().out
    assert "were held" in said or "were spilled" in said or "were lost" in said or "KilledWorker" in said
