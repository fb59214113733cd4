"""Graphs of cubes far larger than any memory."""

from __future__ import annotations

import math

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


def test_what_cannot_be_built_is_said() -> None:
    found = large._apart("cubes.indices.None", 0, "1GiB")
    assert "KeyError" in found.error
    assert not found.good
