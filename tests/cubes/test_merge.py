"""Merging two cubes."""

from __future__ import annotations

import numpy as np
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node
from tests.laziness import nothing_computed

BOTH = [None, cases.AWKWARD]


@pytest.mark.parametrize("chunks", BOTH)
def test_the_same_labels_are_combined_block_by_block(chunks: dict | None) -> None:
    array = cases.values()
    cube1, cube2 = cases.cube(array, chunks), cases.cube(array[::-1].copy(), chunks)
    with nothing_computed():
        result = cubes.merge_cubes(cube1, cube2, "subtract")
    np.testing.assert_allclose(result, array - array[::-1])
    if chunks:
        own = cases.tasks(result.data) - cases.tasks(cube1.data) - cases.tasks(cube2.data)
        assert own == cube1.data.npartitions


def test_references_in_a_list_resolve_an_overlap() -> None:
    array = cases.values()
    cube1, cube2 = cases.cube(array, cases.AWKWARD), cases.cube(array[::-1].copy(), cases.AWKWARD)
    resolver = child(m=node("max", data=[given("x"), given("y")]))
    np.testing.assert_array_equal(cubes.merge_cubes(cube1, cube2, resolver), np.fmax(array, array[::-1]))
    np.testing.assert_array_equal(cubes.merge_cubes(cube1, cube2, "max"), np.fmax(array, array[::-1]))


def test_an_overlap_without_resolver_is_refused() -> None:
    cube = cases.cube()
    for other in (cube, cube.isel(t=slice(3, 7)), cube.isel(t=0, drop=True)):
        with pytest.raises(exceptions.OverlapResolverMissing, match="overlap_resolver"):
            cubes.merge_cubes(cube, other)


@pytest.mark.parametrize("chunks", BOTH)
def test_other_bands_are_put_behind(chunks: dict | None) -> None:
    array = cases.values()
    cube1 = cases.cube(array, chunks)
    cube2 = cases.cube(array * 2, chunks, bands=["A01", "A02", "A03"])
    with nothing_computed():
        result = cubes.merge_cubes(cube1, cube2)
    assert result.bands.values.tolist() == ["B02", "B04", "B08", "A01", "A02", "A03"]
    np.testing.assert_array_equal(result, np.concatenate([array, array * 2], axis=1))
    if chunks:
        assert cases.tasks(result.data) / result.data.npartitions <= 4


def test_times_are_sorted_and_a_merge_can_be_undone() -> None:
    array = cases.values()
    cube = cases.cube(array, cases.AWKWARD)
    odd, even = cube.isel(t=slice(1, None, 2)), cube.isel(t=slice(0, None, 2))
    result = cubes.merge_cubes(odd, even)
    assert result.t.equals(cube.t)
    np.testing.assert_array_equal(result, array)
    assert cubes.merge_cubes(even, odd).equals(result)


def test_a_partial_overlap_is_resolved_where_it_is() -> None:
    array = cases.values(gaps=0)
    cube = cases.cube(array, cases.AWKWARD)
    result = cubes.merge_cubes(cube.isel(t=slice(0, 5)), cube.isel(t=slice(3, 7)), "sum")
    expected = array.copy()
    expected[3:5] *= 2
    expected[:, :, 0, 0] = np.where(np.isnan(expected[:, :, 0, 0]), np.nan, expected[:, :, 0, 0])
    np.testing.assert_allclose(result, expected)


def test_cubes_that_differ_in_two_dimensions_leave_gaps() -> None:
    array = cases.values(gaps=0)
    cube = cases.cube(array, cases.AWKWARD)
    result = cubes.merge_cubes(cube.isel(t=slice(0, 3), bands=[0]), cube.isel(t=slice(3, 7), bands=[1, 2]))
    expected = np.full(array.shape, np.nan)
    expected[:3, :1], expected[3:, 1:] = array[:3, :1], array[3:, 1:]
    np.testing.assert_array_equal(result, expected)


def test_a_cube_with_fewer_dimensions_meets_each_label() -> None:
    array = cases.values()
    cube = cases.cube(array, cases.AWKWARD)
    height = cube.isel(t=0, bands=0, drop=True)
    result = cubes.merge_cubes(cube, height, "add")
    np.testing.assert_allclose(result, array + array[0, 0])
    assert result.dims == cube.dims
    turned = cubes.merge_cubes(height, cube, "subtract")
    np.testing.assert_allclose(turned.transpose(*cube.dims), array[0, 0] - array)


def test_integers_with_different_nodata_are_told_apart() -> None:
    array = cases.values(dtype="uint8")
    one, two = cases.cube(array, nodata=0), cases.cube(array, nodata=7)
    result = cubes.merge_cubes(one, two, "add")
    np.testing.assert_array_equal(result, cases.gapped(array, 0) + cases.gapped(array, 7))


def test_another_grid_is_brought_to_the_first() -> None:
    cube = cases.cube(cases.values(gaps=0), cases.AWKWARD)
    coarse = cube.coarsen(y=2, x=2).mean().assign_coords(bands=["A", "B", "C"])
    result = cubes.merge_cubes(cube, coarse)
    assert result.sizes["y"] == 6
    spread = np.kron(coarse.values, np.ones((1, 1, 2, 2)))
    np.testing.assert_allclose(result.values[:, 3:], spread, rtol=1e-6)


def test_inputs_stay_as_they_are_and_merging_twice_works() -> None:
    cube1, cube2 = cases.cube(), cases.cube(bands=["A01", "A02", "A03"])
    before = cube1.copy(deep=True), cube2.copy(deep=True)
    once = cubes.merge_cubes(cube1, cube2)
    assert cubes.merge_cubes(once, cases.cube(bands=["C1", "C2", "C3"])).sizes["bands"] == 9
    assert cube1.identical(before[0])
    assert cube2.identical(before[1])


@pytest.mark.parametrize("chunks", BOTH)
@pytest.mark.parametrize("jitter", [0, 1e-6])
def test_a_cube_that_runs_the_other_way_and_jitters_is_merged_where_it_overlaps(
    chunks: dict | None, jitter: float
) -> None:
    array = cases.values(gaps=0)
    cube1 = cases.cube(array).isel(y=slice(0, 4))
    cube2 = cases.cube(array * 3).isel(y=slice(5, 1, -1))
    cube2 = cube2.assign_coords(y=cube2.y + jitter, x=cube2.x - jitter)
    if chunks:
        cube1, cube2 = cube1.chunk(chunks), cube2.chunk(chunks)
    result = cubes.merge_cubes(cube1, cube2, "subtract")
    expected = np.concatenate([array[:, :, :2], array[:, :, 2:4] * -2, array[:, :, 4:] * 3], axis=2)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    np.testing.assert_allclose(result.y, cases.cube().y, atol=1e-5)
    assert result.x.equals(cube1.x)
    two = cubes.merge_cubes(cube1.isel(bands=[0, 1]), cube2.isel(bands=[1, 2]), "subtract")
    np.testing.assert_allclose(two[:, 1], expected[:, 1], rtol=1e-6)
    assert two.shape == expected.shape


def test_a_coordinate_that_only_one_cube_has_goes_where_the_cubes_differ() -> None:
    cube = cases.cube()
    extra = cube.assign_coords(quality=(("y", "x"), np.ones((6, 8))))
    result = cubes.merge_cubes(extra.isel(y=slice(0, 4)), cube.isel(y=slice(3, 6)), "max")
    assert result.equals(cube)


def test_dimensions_without_labels_count_up_from_zero() -> None:
    cube = cases.cube()
    bare = cube.drop_vars("bands")
    for other in (bare, bare.isel(y=slice(0, 3))):
        result = cubes.merge_cubes(other, cube, "max")
        assert result.sizes["bands"] == 6
    assert cubes.ndvi(cube.assign_coords(bands=["a", "B08", "B04"]), "B08", "B04", "n").sizes["bands"] == 4


@pytest.mark.parametrize("chunks", [None, cases.AWKWARD, {"t": 1, "y": 4}])
def test_other_bands_without_time_are_put_beside_those_of_each_date(chunks: dict | None) -> None:
    whole = cases.cube(cases.values(), chunks)
    first, second = whole.isel(bands=[0, 1]), whole.isel(bands=[2], t=3, drop=True)
    with nothing_computed():
        merged, turned = cubes.merge_cubes(first, second), cubes.merge_cubes(second, first)
    assert merged.dims == turned.dims == whole.dims
    assert merged.bands.values.tolist() == ["B02", "B04", "B08"]
    assert turned.bands.values.tolist() == ["B08", "B02", "B04"]
    np.testing.assert_array_equal(merged.isel(bands=[0, 1]), first)
    for date in range(whole.sizes["t"]):
        np.testing.assert_array_equal(merged.isel(bands=2, t=date), second.isel(bands=0))
    np.testing.assert_array_equal(turned.sel(bands=["B02", "B04", "B08"]), merged)
    if chunks:
        assert merged.chunks[0] == first.chunks[0]


def test_bands_and_places_may_differ_where_time_is_missing() -> None:
    whole = cases.cube(cases.values())
    first, second = whole.isel(bands=[0], y=slice(0, 3)), whole.isel(bands=[1], y=slice(3, 6), t=0, drop=True)
    merged = cubes.merge_cubes(first, second)
    assert merged.shape == (7, 2, 6, 8)
    np.testing.assert_array_equal(merged.values[:, 0, :3], first.values[:, 0])
    np.testing.assert_array_equal(merged.values[4, 1, 3:], second.values[0])
    assert np.isnan(merged.values[:, 0, 3:]).all()
    assert np.isnan(merged.values[:, 1, :3]).all()


def test_disjoint_bands_cost_no_more_than_their_slices() -> None:
    cube = cases.cube(cases.values((8, 2, 8, 8)), {"t": 4, "y": 4, "x": 4})
    other = cube.assign_coords(bands=["C01", "C02"]) + 1
    merged = cubes.merge_cubes(cube, other)
    assert cases.tasks(merged.data) <= 4 * (cube.data.npartitions + other.data.npartitions)
