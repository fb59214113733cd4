"""Looking into data logs what they are, returns them untouched and computes nothing."""

from __future__ import annotations

import logging

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations.development import inspect
from tests.laziness import nothing_computed


def test_plain_data_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    data = {"a": [1, None]}
    with caplog.at_level(logging.DEBUG):
        assert inspect(data, "so far", "Mine", "warning") is data
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "Mine: so far {'a': [1, None]}"
    assert (record.code, record.data) == ("Mine", "{'a': [1, None]}")


def test_of_cubes_only_the_outside_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    cube = xr.DataArray(da.zeros((4, 6), chunks=(2, 6), dtype="int16"), dims=("t", "x"))
    with caplog.at_level(logging.INFO), nothing_computed():
        assert inspect(cube) is cube
        inspect(np.zeros((1000, 1000)))
    assert (
        caplog.records[0].data == "DataArray of dimensions ('t', 'x'), shape (4, 6), type int16, chunks ((2, 2), (6,))"
    )
    assert caplog.records[1].data == "ndarray of shape (1000, 1000), type float64"


def test_long_data_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        inspect(list(range(10_000)))
    assert len(caplog.records[0].data) < 600


def test_a_level_that_is_not_asked_for_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Unwritable:
        def __repr__(self) -> str:
            raise AssertionError

    with caplog.at_level(logging.ERROR):
        inspect(Unwritable())
    assert not caplog.records


def test_a_level_that_does_not_exist() -> None:
    with pytest.raises(ProcessParameterInvalid):
        inspect(1, level="loud")
