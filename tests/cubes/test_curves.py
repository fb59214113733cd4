"""Curves laid through rows, and predicted at other times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from openeo_processes_dask import exceptions
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.execution import execute
from openeo_processes_dask.kernels import fitting
from openeo_processes_dask.process_implementations import cubes
from openeo_processes_dask.process_implementations.cubes import fit_curve, predict_curve
from openeo_processes_dask.process_implementations.cubes.curves import linear
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed
from tests.test_callbacks import parsed

YEAR = 31557600
LAYOUTS: list[Any] = [None, cases.AWKWARD, {"t": -1, "y": 4, "x": 5}, {"t": 2}]
ANGLE = {
    "w": node("multiply", x=given("x"), y=2 * np.pi / YEAR),
    "p0": node("array_element", data=given("parameters"), index=0),
    "p1": node("array_element", data=given("parameters"), index=1),
    "p2": node("array_element", data=given("parameters"), index=2),
}
HARMONIC = child(
    **ANGLE,
    c=node("cos", x=of("w")),
    s=node("sin", x=of("w")),
    a=node("multiply", x=of("p1"), y=of("c")),
    b=node("multiply", x=of("p2"), y=of("s")),
    both=node("add", x=of("a"), y=of("b")),
    r=node("add", x=of("p0"), y=of("both")),
)
PHASE = child(
    **ANGLE,
    shift=node("add", x=of("w"), y=of("p2")),
    c=node("cos", x=of("shift")),
    a=node("multiply", x=of("p1"), y=of("c")),
    r=node("add", x=of("p0"), y=of("a")),
)
LINE = child(
    p0=node("array_element", data=given("parameters"), index=0),
    p1=node("array_element", data=given("parameters"), index=1),
    m=node("multiply", x=of("p1"), y=given("x")),
    r=node("add", x=of("p0"), y=of("m")),
)


def seconds(cube: xr.DataArray) -> np.ndarray:
    return cube.t.values.astype("datetime64[s]").astype(float)


def harmonic(x: np.ndarray, p0: Any, p1: Any, p2: Any) -> np.ndarray:
    w = 2 * np.pi / YEAR * x
    return p0 + p1 * np.cos(w) + p2 * np.sin(w)


def phase(x: np.ndarray, p0: Any, p1: Any, p2: Any) -> np.ndarray:
    return p0 + p1 * np.cos(2 * np.pi / YEAR * x + p2)


def curves(function: Any, *ranges: tuple[float, float], gaps: float = 0.2) -> np.ndarray:
    """Values around curves whose parameters differ from pixel to pixel; some pixels hold nearly nothing."""
    rng = np.random.default_rng(5)
    dates = pd.date_range("2022-01-05", periods=24, freq="15D").to_numpy().astype("datetime64[s]").astype(float)
    parameters = [rng.uniform(*between, (1, 2, 6, 8)) for between in ranges]
    made = function(dates.reshape(-1, 1, 1, 1), *parameters) + rng.normal(0, 0.05, (24, 2, 6, 8))
    made[rng.random(made.shape) < gaps] = np.nan
    made[2:, :, 0, 0] = np.nan
    return made


def years(array: np.ndarray, chunks: Any = None) -> xr.DataArray:
    dates = pd.date_range("2022-01-05", periods=24, freq="15D").to_numpy().astype("datetime64[ns]")
    return cases.cube(array, chunks, t=dates)


def expected(function: Any, x: np.ndarray, array: np.ndarray, guess: list[float]) -> np.ndarray:
    """By scipy, pixel by pixel; rows with too few values have no result."""
    out = np.full((len(guess), *array.shape[1:]), np.nan)
    for index in np.ndindex(*array.shape[1:]):
        row = array[(slice(None), *index)]
        held = ~np.isnan(row)
        if held.sum() >= len(guess):
            out[(slice(None), *index)] = curve_fit(function, x[held], row[held], guess)[0]
    return out


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_a_linear_model_is_solved_as_scipy_does(chunks: Any) -> None:
    array = curves(harmonic, (-1, 1), (-1, 1), (-1, 1))
    cube = years(array, chunks)
    with nothing_computed():
        result = fit_curve(cube, [1, 1, 1], HARMONIC, dimension="t")
    assert linear(trace(HARMONIC, "x", "parameters"))
    np.testing.assert_allclose(result, expected(harmonic, seconds(cube), array, [1, 1, 1]), rtol=1e-5, atol=1e-7)
    assert result.dims == ("param", "bands", "y", "x")
    assert result.param.values.tolist() == ["param_0", "param_1", "param_2"]
    assert result.rio.crs == cube.rio.crs
    assert result.dtype == np.float64


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_any_other_model_is_fitted_as_scipy_does(chunks: Any) -> None:
    array = curves(phase, (-1, 1), (0.5, 1), (-1, 1))
    cube = years(array, chunks)
    with nothing_computed():
        result = fit_curve(cube, [0, 1, 0], PHASE, dimension="t")
    assert not linear(trace(PHASE, "x", "parameters"))
    wanted = expected(phase, seconds(cube), array, [0, 1, 0])
    assert np.isfinite(result.values[:, :, 1:]).all()
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)


def test_a_foreign_function_is_fitted_too() -> None:
    array = curves(harmonic, (-1, 1), (-1, 1), (-1, 1))
    cube = years(array, {"y": 2})
    result = fit_curve(cube, [1, 1, 1], lambda x, p: harmonic(x, *p), dimension="t")
    np.testing.assert_allclose(result, fit_curve(cube, [1, 1, 1], HARMONIC, dimension="t"), rtol=1e-5, atol=1e-6)


def test_a_line_over_seconds_since_1970_keeps_its_digits() -> None:
    x = seconds(years(np.zeros((24, 1, 1, 1))))
    array = (5 + 3e-8 * (x - x.mean())).reshape(24, 1, 1, 1)
    array[[3, 4, 20]] = np.nan
    array = np.concatenate([array, array], axis=3)
    array[5:, 0, 0, 1] = np.nan
    result = fit_curve(years(array), [0, 0], LINE).values[:, 0, 0]
    np.testing.assert_allclose(result[1], 3e-8, rtol=1e-7)
    np.testing.assert_allclose(result[0], 5 - 3e-8 * x.mean(), rtol=1e-7)


def test_rows_are_fitted_in_apply_dimension_and_predicted() -> None:
    array = curves(harmonic, (-1, 1), (-1, 1), (-1, 1))
    cube = years(array, {"t": 5, "y": 4})
    process = child(f=node("fit_curve", data=given("data"), parameters=[1, 1, 1], function=HARMONIC))
    graph = {
        "fit": node("apply_dimension", data=given("cube"), dimension="t", target_dimension="fit", process=process),
        "predict": {
            **node(
                "predict_curve",
                parameters=of("fit"),
                function=HARMONIC,
                dimension="t",
                labels=["2023-02-01", "2023-03-01T12:00:00Z"],
            ),
            "result": True,
        },
    }
    with nothing_computed():
        result = execute(graph, {"cube": cube})
    dates = np.array(["2023-02-01", "2023-03-01T12:00"], "datetime64[ns]")
    p = expected(harmonic, seconds(cube), array, [1, 1, 1])
    wanted = harmonic(dates.astype("datetime64[s]").astype(float).reshape(-1, 1, 1, 1), *p)
    np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(result.t, dates)
    assert result.openeo.temporal_dims == ("t",)
    assert result.dims == cube.dims


# The parser takes curves as nodes of the graph itself, and not as its result.
def test_older_clients_fit_and_predict_whole_cubes_through_the_parser() -> None:
    cube = years(curves(harmonic, (-1, 1), (-1, 1), (-1, 1)), {"t": 5})
    graph = {
        "fit": node("fit_curve", data=given("cube"), parameters=[1, 1, 1], function=HARMONIC, dimension="t"),
        "fill": node("predict_curve", data=given("cube"), parameters=of("fit"), function=HARMONIC, dimension="t"),
        "name": {**node("rename_dimension", data=of("fill"), source="t", target="time"), "result": True},
    }
    with pytest.warns(FutureWarning, match="no longer a parameter"):
        result = parsed(graph, cube=cube)
    full = predict_curve(fit_curve(cube, [1, 1, 1], HARMONIC), HARMONIC, "t", cube.t.values)
    np.testing.assert_allclose(result, np.where(np.isnan(cube), full, cube), rtol=1e-6)
    assert np.isnan(cube).any()
    assert not np.isnan(result.values[:, :, 1:]).any()


def test_plain_and_labelled_arrays() -> None:
    labelled = xr.DataArray([1.0, 3.0, np.nan, 7.0], dims="labels", coords={"labels": [0, 1, 2, 3]})
    np.testing.assert_allclose(fit_curve(labelled, [0, 0], LINE), [1, 2])
    np.testing.assert_allclose(fit_curve([1, 3, None, 7], [0, 0], LINE), [1, 2])
    assert np.isnan(fit_curve([1, 3, None, 7], [0, 0], LINE, ignore_nodata=False)).all()
    assert np.isnan(fit_curve([1, None], [0, 0], LINE)).all()
    assert np.isnan(fit_curve([], [0, 0], LINE)).all()
    dated = xr.DataArray([1.0, 2.0], dims="labels", coords={"labels": ["1970-01-01", "1970-01-01T00:00:10Z"]})
    np.testing.assert_allclose(fit_curve(dated, [0, 0], LINE), [1, 0.1])
    rows = np.array([[1, 3, 5], [2, 2, 2]])
    np.testing.assert_allclose(fit_curve(rows, [0, 0], LINE, axis=1), [[1, 2], [2, 0]], atol=1e-12)
    assert np.isnan(fit_curve([1, 2, np.inf], [0, 0], LINE)).all()


def test_integers_with_nodata_have_gaps() -> None:
    floats = curves(harmonic, (5, 9), (-1, 1), (-1, 1))
    array = np.nan_to_num(floats * 100, nan=0).astype("int16")
    for chunks in (None, cases.AWKWARD):
        cube = years(array, chunks).assign_attrs(nodata=0)
        result = fit_curve(cube, [1, 1, 1], HARMONIC)
        wanted = fit_curve(years(cases.gapped(array, 0)), [1, 1, 1], HARMONIC)
        np.testing.assert_allclose(result, wanted, rtol=1e-9)
        assert "nodata" not in result.attrs
        inside = cubes.apply_dimension(
            cube, child(f=node("fit_curve", data=given("data"), parameters=[1, 1, 1], function=HARMONIC)), "t"
        )
        np.testing.assert_allclose(inside, wanted, rtol=1e-9)
        assert inside.t.values.tolist() == [0, 1, 2]


def test_a_row_with_gaps_has_no_result_where_gaps_count() -> None:
    array = curves(harmonic, (-1, 1), (-1, 1), (-1, 1), gaps=0.01)
    result = fit_curve(years(array, cases.AWKWARD), [1, 1, 1], HARMONIC, ignore_nodata=False)
    np.testing.assert_array_equal(np.isnan(result.values[0]), np.isnan(array).any(axis=0))


def test_predictions_of_many_labels_come_in_blocks() -> None:
    cube = years(curves(harmonic, (-1, 1), (-1, 1), (-1, 1)), {"t": -1, "y": 3, "x": 4})
    parameters = fit_curve(cube, [1, 1, 1], HARMONIC)
    labels = (np.datetime64("2023-01-01") + np.arange(365)).tolist()
    with nothing_computed():
        result = predict_curve(parameters, HARMONIC, "t", [str(day) for day in labels])
    assert max(result.chunks[0]) <= 12
    whole = predict_curve(parameters.compute(), HARMONIC, "t", [str(day) for day in labels])
    np.testing.assert_allclose(result, whole)
    assert result.sizes["t"] == 365
    numbers = predict_curve(parameters, HARMONIC, "param", [0, 0.5])
    assert numbers.dims == parameters.dims
    assert numbers.param.values.tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("model", "is_linear"),
    [
        (child(r=node("sum", data=given("parameters"))), True),
        (child(r=node("multiply", x=given("x"), y=given("x"))), True),
        (child(p=node("first", data=given("parameters")), r=node("divide", x=of("p"), y=given("x"))), True),
        (child(p=node("first", data=given("parameters")), r=node("divide", x=given("x"), y=of("p"))), False),
        (child(p=node("first", data=given("parameters")), r=node("multiply", x=of("p"), y=of("p"))), False),
        (child(p=node("first", data=given("parameters")), r=node("exp", p=of("p"))), False),
        (child(r=node("product", data=given("parameters"))), False),
        (child(r=node("array_element", data=[1, 2], index=given("parameters"))), False),
    ],
)
def test_a_linear_model_is_seen(model: Any, is_linear: bool) -> None:
    assert linear(trace(model, "x", "parameters")) is is_linear


def test_a_model_that_rows_do_not_determine_has_no_result() -> None:
    twice = child(r=node("sum", data=given("parameters")))
    assert np.isnan(fit_curve([1, 2, 3], [1, 1], twice)).all()


@settings(deadline=None, max_examples=40)
@drawn(st.integers(0, 2**32 - 1), st.integers(3, 30), st.integers(1, 4))
def test_gapped_rows_are_solved_as_each_by_itself(seed: int, length: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(1.6e9, 1.7e9, length)
    columns = np.stack([((x - 1.65e9) / 1e8) ** power for power in range(count)], axis=1)
    rows = rng.normal(size=(20, length))
    held = rng.random(rows.shape) < rng.uniform(0.2, 1)
    parts = fitting.design(lambda _, p: np.concatenate(p, axis=1) @ columns.T, x, count)
    made = fitting.linear(rows, held, parts, count)
    for row, which, found in zip(rows, held, made, strict=True):
        if np.isnan(found).any():
            assert which.sum() < count or length < count or np.linalg.cond(columns[which]) > 1e3
        else:
            wanted, *_ = np.linalg.lstsq(columns[which], row[which])
            limit = 1e-11 * np.linalg.cond(columns[which]) ** 2
            assert np.abs(found - wanted).max() <= limit * max(np.abs(wanted).max(), 1)


def test_a_fit_that_does_not_end_has_no_result() -> None:
    x = np.arange(5.0)
    rows = np.tile(x, (3, 1))
    held = np.ones_like(rows, bool)
    assert np.isnan(fitting.nonlinear(rows, held, lambda x, p: p[0] * np.exp(-p[1] * x) + p[2], x, [1, 1, 1], 1)).all()


def test_bad_arguments_have_their_codes() -> None:
    cube = years(curves(harmonic, (-1, 1), (-1, 1), (-1, 1)))
    for wrong in ([], ["a"], None, [np.nan], 1):
        with pytest.raises(exceptions.ProcessParameterInvalid, match="parameters"):
            fit_curve(cube, wrong, HARMONIC)
    with pytest.raises(exceptions.DimensionNotAvailable, match="'when' among"):
        fit_curve(cube, [1], LINE, dimension="when")
    with pytest.raises(exceptions.ArrayElementNotAvailable, match="index 2 among 2"):
        fit_curve(cube, [1, 1], HARMONIC)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="array of values"):
        fit_curve("text", [1], LINE)
    with pytest.raises(exceptions.ProcessParameterInvalid, match="neither a date"):
        fit_curve(cube.rename(bands="b"), [1, 1], LINE, dimension="b")
    parameters = fit_curve(cube, [1, 1], LINE)
    with pytest.raises(exceptions.ProcessParameterMissing, match="labels"):
        predict_curve(parameters, LINE, "t")
    with pytest.raises(exceptions.ProcessParameterInvalid, match="differ"):
        predict_curve(parameters, LINE, "t", [1, 1])
    with pytest.raises(exceptions.DimensionExists, match="'x'"):
        predict_curve(parameters, LINE, "x", [1])
    with pytest.raises(exceptions.DimensionAmbiguous, match="'when'"):
        predict_curve(cube, LINE, "when", [1])
    with pytest.raises(exceptions.TargetDimensionExists, match="param"):
        fit_curve(cube.rename(bands="param"), [1, 1], LINE)
