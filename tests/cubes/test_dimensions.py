"""Adding, dropping, renaming, trimming, combining and splitting dimensions."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask import dimensions, exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed

LAYOUTS: list[Any] = [None, cases.AWKWARD]


def test_a_cube_is_built_from_nothing() -> None:
    cube = cubes.create_data_cube()
    assert cube.dims == ()
    cube = cubes.add_dimension(cube, "bands", "B1", "bands")
    cube = cubes.add_dimension(cube, "when", "2020-01-01", "temporal")
    assert cube.dims == ("when", "bands")
    assert np.isnan(cube.values).all()
    assert cube.when.values[0] == np.datetime64("2020-01-01", "ns")


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_a_new_dimension_comes_first_and_changes_nothing_else(chunks: Any) -> None:
    cube = cases.cube(chunks=chunks)
    with nothing_computed():
        result = cubes.add_dimension(cube, "model", 7)
    assert result.dims == ("model", *cube.dims)
    assert result.model.values.tolist() == [7]
    assert dimensions.role(result, "model") == "other"
    np.testing.assert_array_equal(result[0], cube)
    assert result.attrs == cube.attrs
    assert dimensions.crs(result) == dimensions.crs(cube)
    assert "model" not in cube.dims


def test_a_type_is_kept_against_the_name() -> None:
    assert dimensions.role(cubes.add_dimension(cases.cube()[0, 0], "t", 1, "other"), "t") == "other"
    assert dimensions.role(cubes.add_dimension(cases.cube()[0, 0], "sensor", "a", "bands"), "sensor") == "bands"


def test_a_spatial_dimension_is_the_first_that_is_missing() -> None:
    cube = cases.cube()
    assert dimensions.role(cubes.add_dimension(cube, "height", 2, "spatial"), "height") == "z"
    assert dimensions.role(cubes.add_dimension(cube.isel(x=0, drop=True), "a", 2, "spatial"), "a") == "x"
    assert dimensions.role(cubes.add_dimension(cube.isel(y=0, drop=True), "a", 2, "spatial"), "a") == "y"
    with pytest.raises(exceptions.DimensionExists, match="x, y and z"):
        cubes.add_dimension(cubes.add_dimension(cube, "height", 2, "spatial"), "depth", 2, "spatial")
    with pytest.raises(exceptions.DimensionExists, match="'bands'"):
        cubes.add_dimension(cube, "bands", "B99")
    with pytest.raises(exceptions.ProcessParameterInvalid, match="'vertical'"):
        cubes.add_dimension(cube, "height", 2, "vertical")


def test_what_was_added_can_be_dropped() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    result = cubes.drop_dimension(cubes.add_dimension(cube, "model", "a"), "model")
    assert "model" not in result.coords
    xr.testing.assert_identical(result, cube)
    with pytest.raises(exceptions.DimensionLabelCountMismatch, match="3 labels"):
        cubes.drop_dimension(cube, "bands")
    with pytest.raises(exceptions.DimensionLabelCountMismatch, match="0 labels"):
        cubes.drop_dimension(cube.isel(bands=[]), "bands")
    with pytest.raises(exceptions.DimensionNotAvailable, match="'nope'"):
        cubes.drop_dimension(cube, "nope")
    back = cubes.add_dimension(cube.isel(t=0), "t", "2020-01-01", "temporal")  # a scalar named t was left behind
    assert back.sizes["t"] == 1


@pytest.mark.parametrize("labelled", [True, False])
def test_a_renamed_dimension_keeps_its_type(labelled: bool) -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    cube = cube if labelled else cube.drop_vars(["t", "bands", "y", "x"])
    for old, new in (("x", "bands2"), ("t", "x2"), ("bands", "t2")):
        cube = cubes.rename_dimension(cube, old, new)
    assert cube.dims == ("x2", "t2", "y", "bands2")
    assert cube.openeo.temporal_dims == ("x2",)
    assert cube.openeo.band_dims == ("t2",)
    assert cube.openeo.x_dim == "bands2"
    if labelled:
        assert cube.x2.values[0] == cases.cube().t.values[0]


def test_bad_renaming_has_its_codes() -> None:
    with pytest.raises(exceptions.DimensionExists, match="'y'"):
        cubes.rename_dimension(cases.cube(), "x", "y")
    with pytest.raises(exceptions.DimensionNotAvailable, match="'z'"):
        cubes.rename_dimension(cases.cube(), "z", "w")


def test_labels_get_other_names_in_their_old_order() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    with nothing_computed():
        result = cubes.rename_labels(cube, "bands", ["nir", "blue"], ["B08", "B02"])
    assert result.bands.values.tolist() == ["blue", "B04", "nir"]
    np.testing.assert_array_equal(result, cube)
    assert cube.bands.values.tolist() == cases.BANDS
    assert dimensions.role(result, "bands") == "bands"


def test_labels_that_count_need_no_source() -> None:
    cube = cases.cube().assign_coords(bands=[0, 1, 2])
    assert cubes.dimension_labels(cubes.rename_labels(cube, "bands", ["a", "b"]), "bands") == ["a", "b", 2]
    assert cubes.dimension_labels(cubes.rename_labels(cube.drop_vars("bands"), "bands", ["a"]), "bands") == ["a", 1, 2]


def test_instants_are_renamed_by_their_texts() -> None:
    cube = cases.cube()
    result = cubes.rename_labels(cube, "t", ["2022-01-01"], ["2023-04-03T00:00:00Z"])
    assert result.t.values[0] == np.datetime64("2022-01-01", "ns")
    named = cubes.rename_labels(cube, "t", ["before"], ["2023-04-03"])
    assert cubes.dimension_labels(named, "t")[:2] == ["before", "2023-04-13T00:00:00Z"]
    assert dimensions.role(named, "t") == "temporal"


@pytest.mark.parametrize(
    ("target", "source", "error"),
    [
        (["a"], [], exceptions.LabelsNotEnumerated),
        (["a", "b"], ["B02"], exceptions.LabelMismatch),
        (["a"], ["B99"], exceptions.LabelNotAvailable),
        (["B04"], ["B02"], exceptions.LabelExists),
        (["a", "a"], ["B02", "B04"], exceptions.LabelExists),
    ],
)
def test_bad_labels_have_their_codes(target: list, source: list, error: type[Exception]) -> None:
    with pytest.raises(error):
        cubes.rename_labels(cases.cube(), "bands", target, source)
    with pytest.raises(exceptions.LabelMismatch):
        cubes.rename_labels(cases.cube().assign_coords(bands=[0, 1, 2]), "bands", ["a", "b", "c", "d"])


def test_labels_are_those_of_json() -> None:
    cube = cases.cube()
    assert cubes.dimension_labels(cube, "bands") == cases.BANDS
    assert cubes.dimension_labels(cube, "t")[0] == "2023-04-03T00:00:00Z"
    assert cubes.dimension_labels(cube, "x")[:2] == [600_005.0, 600_015.0]
    assert cubes.dimension_labels(cube.drop_vars("bands"), "bands") == [0, 1, 2]
    shifted = cube.assign_coords(t=cube.t + np.timedelta64(1500, "ms"))
    assert cubes.dimension_labels(shifted, "t")[0] == "2023-04-03T00:00:01.500Z"


# --- trimming


def holed(dtype: Any, gap: Any) -> np.ndarray:
    """Gaps around, at one band and one date in the middle, and at one row in the middle."""
    array = np.full((7, 3, 6, 8), 5, dtype)
    array[0] = array[3] = gap
    array[:, 1] = gap
    array[:, :, -1] = array[:, :, 2] = gap
    array[..., :2] = gap
    return array


@pytest.mark.parametrize("chunks", LAYOUTS)
@pytest.mark.parametrize(("dtype", "gap"), [("float32", np.nan), ("uint8", 255), ("float64", -9999.0)])
def test_labels_without_values_go(chunks: Any, dtype: str, gap: float) -> None:
    array = holed(dtype, gap)
    result = cubes.trim_cube(cases.cube(array, chunks, nodata=None if np.isnan(gap) else gap))
    np.testing.assert_array_equal(result, array[1:, [0, 2], :5, 2:])
    assert result.bands.values.tolist() == ["B02", "B08"]
    assert isinstance(result.data, da.Array) == (chunks is not None)
    dates = cases.cube(array).t.values[[0, 1, 2, 3, 4, 5, 6]] + np.arange(7) ** 2 * np.timedelta64(1, "D")
    uneven = cubes.trim_cube(cases.cube(array, chunks, nodata=None if np.isnan(gap) else gap, t=dates))
    np.testing.assert_array_equal(uneven, array[[1, 2, 4, 5, 6]][:, [0, 2], :5, 2:])


def test_a_cube_of_nothing_is_trimmed_to_nothing() -> None:
    assert cubes.trim_cube(cases.cube(np.full((2, 2, 3, 3), np.nan), cases.AWKWARD)).shape == (0, 0, 0, 0)


def test_integers_without_nodata_are_not_read() -> None:
    cube = cases.cube(np.zeros((2, 2, 3, 3), "uint8"), cases.AWKWARD)
    with nothing_computed():
        assert cubes.trim_cube(cube).identical(cube)


# --- combining and splitting


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_dimensions_become_one_in_the_order_asked_for(chunks: Any) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    with nothing_computed():
        result = cubes.flatten_dimensions(cube, ["bands", "t"], "both", "|")
    assert result.dims == ("both", "y", "x")
    np.testing.assert_array_equal(result, array.transpose(1, 0, 2, 3).reshape(21, 6, 8))
    assert result.both.values[:2].tolist() == ["B02|2023-04-03T00:00:00Z", "B02|2023-04-13T00:00:00Z"]
    assert dimensions.role(result, "both") == "other"
    assert dimensions.crs(result) == dimensions.crs(cube)
    apart = cubes.flatten_dimensions(cube, ["t", "x"], "both")
    assert apart.dims == ("both", "bands", "y")
    np.testing.assert_array_equal(apart, array.transpose(0, 3, 1, 2).reshape(56, 3, 6))
    assert apart.both.values[1] == "2023-04-03T00:00:00Z~600015.0"


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_what_was_combined_can_be_split(chunks: Any) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    flat = cubes.flatten_dimensions(cube, ["t", "bands"], "both")
    shuffled = flat.isel(both=[0, 2, 1, *range(20, 2, -1)])
    with nothing_computed():
        result = cubes.unflatten_dimension(flat, "both", ["date", "bands"])
        again = cubes.unflatten_dimension(shuffled, "both", ["date", "bands"])
    assert result.dims == ("date", "bands", "y", "x")
    np.testing.assert_array_equal(result, array)
    assert result.bands.values.tolist() == cases.BANDS
    assert dimensions.role(result, "date") == "other"
    np.testing.assert_array_equal(again.sel(date=result.date, bands=cases.BANDS), array)


def test_nothing_can_be_combined_and_split() -> None:
    flat = cubes.flatten_dimensions(cases.cube(chunks=cases.AWKWARD).isel(t=[]), ["t", "bands"], "both")
    assert flat.shape == (0, 6, 8)
    assert cubes.unflatten_dimension(flat, "both", ["t", "bands"]).shape == (0, 0, 6, 8)


def test_tasks_of_combining_grow_with_the_chunks() -> None:
    per_chunk = []
    for size in (16, 32, 64):
        cube = cases.cube(cases.values((4, 2, size, size)), {"t": 1, "bands": 1, "y": 4, "x": 4})
        result = cubes.flatten_dimensions(cube, ["t", "bands"], "both")
        per_chunk.append(cases.tasks(result.data) / cube.data.npartitions)
        assert max(map(np.prod, [result.data.chunksize])) <= 4 * np.prod(cube.data.chunksize)
    assert per_chunk[-1] <= per_chunk[0] * 1.05


def test_what_cannot_be_combined_or_split_has_its_code() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.DimensionNotAvailable, match="'z'"):
        cubes.flatten_dimensions(cube, ["t", "z"], "both")
    with pytest.raises(exceptions.TargetDimensionExists, match="'x'"):
        cubes.flatten_dimensions(cube, ["t", "bands"], "x")
    with pytest.raises(exceptions.ProcessParameterInvalid):
        cubes.flatten_dimensions(cube, [], "both")
    with pytest.raises(exceptions.DimensionNotAvailable, match="'z'"):
        cubes.unflatten_dimension(cube, "z", ["a", "b"])
    with pytest.raises(exceptions.TargetDimensionExists, match="'t'"):
        cubes.unflatten_dimension(cube, "bands", ["a", "t"])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="'B02' has 1 parts"):
        cubes.unflatten_dimension(cube, "bands", ["a", "b"])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="4 combinations"):
        cubes.unflatten_dimension(cube.assign_coords(bands=["a~b", "a~c", "d~b"]), "bands", ["a", "b"])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="at least 2"):
        cubes.unflatten_dimension(cube, "bands", ["a"])
