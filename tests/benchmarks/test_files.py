"""The table of reading and writing beside other libraries, in small: `python -m benchmarks.files`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROWS = {
    "read COGs, rasterio",
    "read COGs, odc-stac",
    "read netCDF, xarray",
    "read zarr, xarray",
    "mosaic of 4, rasterio.merge",
    "write GTiff, rasterio",
    "write COG, rasterio",
    "write netCDF, xarray",
    "write zarr, xarray",
}


def table(*options: str) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.files", "--side", "256", "--rounds", "1", *options]
    run = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=250, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    head, *rows = run.stdout.strip().splitlines()
    assert head.split()[:2] == ["what", "MB"]
    return rows


def test_every_row_is_measured() -> None:
    rows = table("--no-peaks")
    told = {row[:28].strip(): row[28:].split() for row in rows if "1 km²" not in row}
    assert set(told) == ROWS
    assert all(len(numbers) == 6 and float(numbers[3]) > 0 for numbers in told.values())
    requests = [row for row in rows if "1 km²" in row]
    assert len(requests) == 4
    assert all("kB while building" in row and "kB while computing" in row for row in requests)


def test_rows_are_chosen_by_a_part_of_their_name() -> None:
    (row,) = table("--rows", "MOSAIC", "--side", "1024")
    assert row[:28].strip() == "mosaic of 4, rasterio.merge"
    assert 0 < float(row.split()[-1]) < 1000  # megabytes at the peak
