"""Catalogues of many items: what it takes to build a cube of them grows as they do."""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

from benchmarks.files import many_items
from openeo_processes_dask.process_implementations.cubes import load_stac


def calls(folder: Path, count: int) -> int:
    """How many functions are called to build the cube of so many items: exact, whatever else the machine does."""
    where = many_items(folder, count)
    with cProfile.Profile() as profile:
        cube = load_stac(where)
    assert cube.sizes["t"] == count
    return int(pstats.Stats(profile).total_calls)


def test_building_is_linear_in_the_items(tmp_path: Path) -> None:
    calls(tmp_path, 10)  # what is imported and cached
    few, many, most = (calls(tmp_path, count) for count in (500, 1000, 2000))
    assert most - many < 2.2 * (many - few)
