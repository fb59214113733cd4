"""Integer cubes with a no-data value: what child processes make of them, and no result that is taken for a gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from openeo_processes_dask.dimensions import nodata
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.process_implementations.cubes import (
    aggregate_temporal_period,
    apply,
    apply_dimension,
    merge_cubes,
    reduce_dimension,
)
from tests.cubes.cases import child, given, node, of

X = given("x")


def cube(values: Any, fill: Any, dtype: str = "uint8") -> xr.DataArray:
    attrs = {} if fill is None else {"nodata": fill}
    return xr.DataArray(np.asarray(values, dtype), dims=("t", "x"), attrs=attrs)


def floating(made: xr.DataArray) -> np.ndarray:
    """The values with NaN for gaps."""
    values = np.asarray(made.values, np.float64)
    return values if nodata(made) is None else np.where(values == nodata(made), np.nan, values)


ROWS = [[0, 7, 255], [100, 255, 1]]
ONE: dict[str, tuple[Any, bool]] = {  # a child process, and whether uint8 with 255 for gaps keeps them as 255
    "ten times": (child(m=node("multiply", x=X, y=10)), True),
    "from 200": (child(m=node("subtract", x=200, y=X)), True),
    "and 200": (child(m=node("add", x=X, y=200)), False),
    "less itself": (child(m=node("subtract", x=X, y=X)), True),
    "kept below 300": (child(m=node("clip", x=X, min=0, max=300)), True),
    "raised to 255": (child(m=node("clip", x=X, min=255, max=300)), False),
    "of 256": (child(m=node("mod", x=X, y=256)), True),
}


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("name", ONE)
def test_integers_stay_if_none_becomes_the_nodata_value(name: str, lazily: bool) -> None:
    process, kept = ONE[name]
    whole = cube(ROWS, 255)
    result = apply(whole.chunk(1) if lazily else whole, process)
    assert (result.dtype.kind in "iu", nodata(result)) == (kept, 255 if kept else None)
    expected = apply(xr.DataArray(floating(whole), dims=whole.dims), process)
    np.testing.assert_array_equal(floating(result), np.broadcast_to(expected, whole.shape))


def test_a_cube_less_itself_is_zero_where_zero_means_nodata() -> None:
    result = apply(cube(ROWS, 0), ONE["less itself"][0])
    np.testing.assert_array_equal(result, [[np.nan, 0, 0], [0, 0, 0]])
    assert nodata(result) is None


def test_results_far_away_are_seen_to_cross_the_nodata_value() -> None:
    large = cube([[5_000_000, -9999]], -9999, "int32")
    down = apply(large, child(s=node("subtract", x=X, y=5_009_999)))
    np.testing.assert_array_equal(down, [[-9999, np.nan]])
    up = apply(large, child(s=node("absolute", x=X)))
    assert (up.dtype, nodata(up)) == (np.int64, -9999)


REDUCERS: dict[str, Any] = {name: child(r=node(name, data=given("data"))) for name in ("min", "max", "first", "last")}
CHOOSING = REDUCERS | {
    "second": child(r=node("array_element", data=given("data"), index=1)),
    "smallest of two": child(
        a=node("first", data=given("data")), b=node("last", data=given("data")), m=node("min", data=[of("a"), of("b")])
    ),
}
COMPUTING = {
    "sum": child(r=node("sum", data=given("data"))),
    "product": child(r=node("product", data=given("data"))),
    "at least 7": child(m=node("max", data=given("data")), r=node("max", data=[of("m"), 7])),
    "difference": child(
        a=node("first", data=given("data")),
        b=node("last", data=given("data")),
        d=node("subtract", x=of("a"), y=of("b")),
    ),
}


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("name", [*CHOOSING, *COMPUTING])
def test_what_only_chooses_keeps_type_and_nodata_value(name: str, lazily: bool) -> None:
    process = (CHOOSING | COMPUTING)[name]
    for fill in (0, 7, 255):
        whole = cube(ROWS, fill)
        result = reduce_dimension(whole.chunk(1) if lazily else whole, process, "t")
        assert (result.dtype, nodata(result)) == ((np.uint8, fill) if name in CHOOSING else (np.float64, None))
        expected = reduce_dimension(xr.DataArray(floating(whole), dims=whole.dims), process, "t")
        np.testing.assert_array_equal(floating(result), expected)


@drawn(st.data())
@settings(max_examples=60, deadline=None)
def test_integer_cubes_with_nodata_behave_like_float_cubes_with_gaps(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["int8", "uint8", "int16", "uint16", "int32"]))
    values = data.draw(arrays.arrays(dtype, (3, 4), elements=st.integers(0, 12)))
    fill = data.draw(st.integers(0, 12))
    whole = cube(values, fill, dtype)
    gapped = xr.DataArray(floating(whole), dims=whole.dims)
    names = st.sampled_from(["absolute", "add", "subtract", "multiply", "divide", "mod", "power", "gt", "eq"])
    of_one = data.draw(names)
    reducer = data.draw(st.sampled_from([*CHOOSING.values(), *COMPUTING.values(), "mean", "median", "sd", "count"]))
    one = child(n=node(of_one, x=X) if of_one == "absolute" else _second(of_one, data.draw(st.integers(0, 12))))
    two = child(n=node("subtract", x=X, y=given("y")))
    pieces = data.draw(st.sampled_from([None, {"t": 2, "x": 3}, {"t": 1}]))
    for run in (
        lambda one_cube: apply(one_cube, one),
        lambda one_cube: reduce_dimension(one_cube, reducer, "t"),
        lambda one_cube: apply_dimension(one_cube, "cumsum", "t"),
        lambda one_cube: apply_dimension(one_cube, "sort", "x"),
        lambda one_cube: merge_cubes(one_cube, one_cube[::-1], two),
    ):
        expected = run(gapped)
        found = run(whole if pieces is None else whole.chunk(pieces))
        np.testing.assert_allclose(floating(found), floating(expected), rtol=1e-6)


def _second(name: str, value: int) -> dict[str, Any]:
    return node(name, base=X, p=value % 4) if name == "power" else node(name, x=X, y=value)


@pytest.mark.parametrize("pieces", [None, {"t": -1}, {"t": 1}])
@pytest.mark.parametrize(
    ("reducer", "expected"), [("sum", [3, np.nan, 3]), ("max", [2, np.nan, 3]), ("count", [2, 0, 1])]
)
def test_empty_groups_of_integers_are_gaps(reducer: str, expected: list[float], pieces: Any) -> None:
    dates = np.array(["2020-01-01", "2020-01-09", "2020-03-01"], "datetime64[ns]")
    whole = xr.DataArray(np.array([1, 2, 3], "int16"), dims="t", coords={"t": dates})
    many = xr.concat([whole, whole.assign_coords(t=dates + np.timedelta64(3653, "D"))], "t")
    result = aggregate_temporal_period(whole if pieces is None else whole.chunk(pieces), "month", reducer)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == (np.int64 if reducer == "count" else np.float64)
    much = aggregate_temporal_period(many if pieces is None else many.chunk(pieces), "month", reducer)
    np.testing.assert_array_equal(much[:3], expected)


def test_gaps_that_no_trial_showed_are_an_error_and_no_number() -> None:
    whole = cube(ROWS, None, "int16")
    with pytest.raises(ProcessParameterInvalid, match="returned no-data, which int16 cannot hold"):
        apply(whole, lambda x: np.where(x > 50, np.nan, x) if (x > 50).any() else x)
