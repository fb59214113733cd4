"""Applying a child process to values and to rows."""

from __future__ import annotations

import numpy as np
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed


def chain(length: int) -> dict:
    nodes = {"n0": node("add", x=given("x"), y=1)}
    nodes |= {f"n{i}": node("add", x=of(f"n{i - 1}"), y=1) for i in range(1, length)}
    return child(**nodes)


@pytest.mark.parametrize("length", [1, 5, 50])
def test_a_callback_costs_one_task_a_chunk_however_many_nodes_it_has(length: int) -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    with nothing_computed():
        result = cubes.apply(cube, chain(length))
    assert cases.tasks(result.data) - cases.tasks(cube.data) == cube.data.npartitions
    np.testing.assert_allclose(result, cube.values + length, rtol=1e-6)
    assert result.dtype == np.float32


def test_the_public_parser_and_json_and_plain_functions_agree() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    double = child(d=node("multiply", x=given("x"), y=given("context")))
    expected = cube.values * 2
    np.testing.assert_allclose(cubes.apply(cube, double, context=2), expected)
    np.testing.assert_allclose(cubes.apply(cube, lambda x: x * 2), expected)
    np.testing.assert_allclose(cubes.apply(cube, "absolute"), np.abs(cube.values))
    np.testing.assert_allclose(cubes.apply(cube, np.abs), np.abs(cube.values))


def test_integers_with_nodata_stay_integers_where_integers_come_out() -> None:
    array = cases.values(dtype="uint8")
    for chunks in (None, cases.AWKWARD):
        cube = cases.cube(array, chunks, nodata=0)
        result = cubes.apply(cube, child(m=node("multiply", x=given("x"), y=10)))
        assert result.attrs["nodata"] == 0
        assert result.dtype.kind == "i"
        np.testing.assert_array_equal(result, np.where(array == 0, 0, array.astype(int) * 10))


def test_the_nodata_value_itself_is_left_alone() -> None:
    array = np.array([[[[1, 255], [3, 4]]]], dtype="uint8")
    result = cubes.apply(cases.cube(array, nodata=255), child(m=node("multiply", x=given("x"), y=10)))
    np.testing.assert_array_equal(result.values.ravel(), [10, 255, 30, 40])


def test_a_nodata_value_in_the_encoding_is_declared_by_the_result() -> None:
    array = cases.values(dtype="int16")
    cube = cases.cube(array, cases.AWKWARD)
    cube.encoding["_FillValue"] = np.int16(0)
    result = cubes.apply(cube, child(m=node("multiply", x=given("x"), y=10)))
    assert result.attrs["nodata"] == 0
    np.testing.assert_array_equal(cubes.reduce_dimension(result, "count", "t"), (array != 0).sum(axis=0))


def test_integers_with_nodata_become_floats_where_fractions_come_out() -> None:
    array = cases.values(dtype="uint16")
    cube = cases.cube(array, cases.AWKWARD, nodata=0)
    result = cubes.apply(cube, child(m=node("divide", x=given("x"), y=10)))
    assert "nodata" not in result.attrs
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, cases.gapped(array, 0) / 10, rtol=1e-6)


def test_a_constant_fills_the_cube() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    result = cubes.apply(cube, child(m=node("add", x=1, y=2)))
    assert (result.values == 3).all()
    assert result.shape == cube.shape


def test_dimensions_labels_and_attributes_stay() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    result = cubes.apply(cube, "absolute")
    assert result.dims == cube.dims
    assert set(result.coords) == set(cube.coords)
    assert result.rio.crs == cube.rio.crs
    assert result.attrs == cube.attrs


def test_a_row_may_become_a_row_of_another_length() -> None:
    array = cases.values()
    for chunks in (None, cases.AWKWARD, {"t": -1}):
        cube = cases.cube(array, chunks)
        with nothing_computed():
            result = cubes.apply_dimension(cube, "extrema", "t", target_dimension="kind")
        assert result.dims == ("kind", "bands", "y", "x")
        assert result.coords["kind"].values.tolist() == [0, 1]
        low = np.where(np.isnan(array).all(0), np.nan, np.nanmin(np.where(np.isnan(array), np.inf, array), axis=0))
        np.testing.assert_allclose(result.values[0], low)


def test_a_reducer_leaves_a_dimension_of_one_label() -> None:
    array = cases.values()
    result = cubes.apply_dimension(cases.cube(array, {"t": -1}), "sum", "t")
    assert result.sizes["t"] == 1
    expected = np.where(np.isnan(array).all(0), np.nan, np.nansum(array, axis=0))
    np.testing.assert_allclose(result.values[0], expected, rtol=1e-5)


def test_values_less_the_mean_of_their_row() -> None:
    array = cases.values()
    process = child(m=node("mean", data=given("data")), d=node("subtract", x=given("data"), y=of("m")))
    for dimension, axis in (("t", 0), ("bands", 1), ("x", 3)):
        cube = cases.cube(array, cases.AWKWARD)
        result = cubes.apply_dimension(cube, process, dimension)
        with np.errstate(all="ignore"):
            mean = np.nansum(array, axis=axis, keepdims=True) / (~np.isnan(array)).sum(axis=axis, keepdims=True)
        np.testing.assert_allclose(result, array - mean, rtol=1e-4, atol=1e-6)
        assert result.coords[dimension].equals(cube.coords[dimension])


def test_a_dimension_that_is_not_there_is_named() -> None:
    with pytest.raises(exceptions.DimensionNotAvailable, match=r"no dimension 'time' among \('t', 'bands', 'y', 'x'\)"):
        cubes.apply_dimension(cases.cube(), "mean", "time")
    with pytest.raises(exceptions.DimensionExists, match="'x'"):
        cubes.apply_dimension(cases.cube(), "mean", "t", target_dimension="x")


def test_what_is_no_child_process_is_refused() -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match="child process"):
        cubes.apply(cases.cube(), 5)
