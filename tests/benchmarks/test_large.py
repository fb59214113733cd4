"""Graphs of cubes far larger than any memory."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import large
from benchmarks.__main__ import main
from benchmarks.suite import Suite


@pytest.mark.parametrize(("total", "chunks"), [("128MiB", 1), ("1GiB", 8), ("4TiB", 32768)])
def test_a_cube_of_so_many_bytes_has_so_many_chunks(total: str, chunks: int) -> None:
    cube = large.cube_of(large.parse_bytes(total))
    assert math.prod(n // c for n, c in zip(cube.shape, cube.chunks, strict=True)) == chunks
    assert 4 * math.prod(cube.shape) == large.parse_bytes(total)


def test_graphs_are_built_apart_and_none_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "--bytes", "16GiB", "cubes.indices.Ndvi"]) == 0
    said = capsys.readouterr().out
    assert "17.2 GB in chunks of 134 MB" in said
    assert "0 of 1 take more than 30 s" in said
    assert large.LARGE not in Suite.sizes


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux keeps a peak that can be reset")
def test_the_memory_of_who_started_it_does_not_count() -> None:
    ours = np.ones(2**26)  # 512 MiB, which the maximum that a program inherits would have in it
    first = large._apart("cubes.indices.Ndvi", 0, "16GiB")
    assert ours.nbytes > 20 * first.bytes > 0
    assert not large.Built("one", bytes=3e9, build=1.0).good
    assert large.Built("one", bytes=math.nan, build=1.0).good


def test_what_cannot_be_built_is_said() -> None:
    found = large._apart("cubes.indices.None", 0, "1GiB")
    assert "KeyError" in found.error
    assert not found.good
