"""Processes on values stand beside bare numpy expressions that say the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from benchmarks import kernels
from benchmarks.__main__ import main
from openeo_processes_dask.declare import DECLARED

OTHER_GAPS = {"and", "or", "not", "xor", "cummax", "cummin", "order", "sort"}  # numpy takes NaN for a value


@pytest.mark.parametrize("name", sorted(kernels.rows()))
def test_the_expression_is_that_of_the_process(name: str) -> None:
    block = kernels.block_of(24 * 40 * 4)
    block = np.nan_to_num(block, nan=0.5) if name in OTHER_GAPS else block
    block[:, 0] = 0.5  # numpy warns of rows without values
    row = kernels.rows()[name]
    operands = row.operands(block)
    with np.errstate(all="ignore"):
        found, expected = np.asarray(row.ours(name)(*operands)), np.asarray(row.bare(*operands))
    gap = np.isnan(found) if found.dtype.kind == "f" else np.zeros(found.shape, bool)
    if name in ("extrema", "quantiles"):
        found, gap = np.moveaxis(found, -1, 0), np.moveaxis(gap, -1, 0)
    expected = expected.reshape(found.shape)
    np.testing.assert_allclose(found[~gap.reshape(found.shape)], expected[~gap.reshape(found.shape)], rtol=2e-5)
    assert not gap.all()


def test_every_process_on_values_is_there_or_it_is_said_why_not() -> None:
    values = {id_ for id_, process in DECLARED.items() if ".cubes." not in process.function.__module__}
    assert set(kernels.rows()) | set(kernels.WITHOUT) == values
    assert not set(kernels.rows()) & set(kernels.WITHOUT)


def test_a_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "--size", "smallest", "mean", "gt"]) == 0
    printed = capsys.readouterr().out
    assert "mean" in printed
    assert "gte" in printed
    assert "median" not in printed
    assert main(["kernels", "--size", "smallest", "nothing like it"]) == 2


def test_child_processes_stand_beside_the_expression_on_the_same_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    cube = xr.DataArray(da.from_array(np.arange(24.0, dtype="float32").reshape(2, 12), chunks=(2, 4)), dims=("t", "x"))
    blocks = np.split(cube.values, 3, axis=1)
    with ThreadPoolExecutor(1) as pool:
        corners = kernels._corners(cube, 5, pool)
    assert sorted(corners) == [kernels._added(block, 5) for block in blocks] == [5, 9, 13]
    assert main(["kernels", "--size", "smallest", "apply (5 "]) == 0
    printed = capsys.readouterr().out
    assert "apply (5 nodes)" in printed
    assert "apply (50" not in printed
