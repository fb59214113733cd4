"""Merging by labels that are hard to compare: geometries, instants written in other ways, labels that repeat."""

from __future__ import annotations

import datetime
from typing import Any

import dask.array as da
import geopandas
import numpy as np
import pytest
import shapely
import xarray as xr

from openeo_processes_dask import dimensions, exceptions, vectors
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed

BOXES = [shapely.box(i, 0, i + 1, 2) for i in range(4)]
BACKWARDS = [shapely.Polygon([*box.exterior.coords[1:], box.exterior.coords[1]]) for box in BOXES]
POINTS = [shapely.Point(i, i) for i in range(4)]
LINES = [shapely.LineString([(i, 0), (i, 1)]) for i in range(4)]


def fields(shapes: list[Any], first: int = 0, crs: int = 32632, **properties: Any) -> xr.DataArray:
    """A lazy vector cube of two bands, whose values count up."""
    table = geopandas.GeoDataFrame(properties, geometry=shapes, crs=crs)
    values = first + np.arange(2.0 * len(shapes)).reshape(2, -1)
    made = vectors.cube(vectors.read(table), values, ["bands", "geometry"], bands=["a", "b"])
    return made.copy(data=da.from_array(made.values, chunks=(2, 1)))


def merged(*given: Any) -> xr.DataArray:
    """What is merged, with its geometries and their CRS."""
    with nothing_computed():
        result = cubes.merge_cubes(*given)
    assert dimensions.crs(result).to_epsg() == 32632
    assert hasattr(result.xindexes["geometry"], "crs")
    return result


def test_geometries_that_cover_the_same_points_are_one_label() -> None:
    one, other = (
        fields(BOXES[:3], name=list("xyz")),
        fields([BACKWARDS[2], BOXES[3], BACKWARDS[0]], 100, name=list("uvw")),
    )
    for resolver, both in (("add", np.add), ("subtract", np.subtract)):
        result = merged(one, other, resolver)
        values, others = one.values, other.values
        expected = [both(values[:, 0], others[:, 2]), values[:, 1], both(values[:, 2], others[:, 0]), others[:, 1]]
        np.testing.assert_array_equal(result, np.stack(expected, axis=1))
        assert list(result.geometry.values) == BOXES
        assert result["name"].values.tolist() == ["x", "y", "z", "v"]


def test_the_same_geometries_in_another_order_are_the_same() -> None:
    one, other = fields(BOXES), fields(BACKWARDS[::-1], 10)
    np.testing.assert_array_equal(merged(one, other, "add"), one.values + other.values[:, ::-1])
    with pytest.raises(exceptions.OverlapResolverMissing):
        cubes.merge_cubes(one, other)


def test_other_geometries_and_other_bands_follow_each_other() -> None:
    one, other = fields(BOXES[:2], area=[1.5, 2.5]), fields(BOXES[2:], 10, area=[3.5, 4.5])
    result = merged(one, other)
    np.testing.assert_array_equal(result, np.concatenate([one, other], axis=1))
    assert result["area"].values.tolist() == [1.5, 2.5, 3.5, 4.5]
    renamed = other.assign_coords(bands=["c", "d"])
    corners = merged(one, renamed)
    gap = np.full((2, 2), np.nan)
    np.testing.assert_array_equal(corners, np.block([[one.values, gap], [gap, other.values]]))
    assert corners["area"].values.tolist() == [1.5, 2.5, 3.5, 4.5]
    assert list(merged(one, one.assign_coords(bands=["c", "d"])).geometry.values) == BOXES[:2]


def test_a_property_that_one_cube_lacks_is_missing_there() -> None:
    result = merged(fields(BOXES[:2], n=[1, 2]), fields(BOXES[2:], word=["a", "b"]))
    assert result["word"].values.tolist() == [None, None, "a", "b"]
    np.testing.assert_array_equal(result["n"], [1, 2, np.nan, np.nan])


def test_empty_and_repeated_geometries_meet_each_once() -> None:
    one = fields([BOXES[0], shapely.Polygon(), BOXES[0]])
    np.testing.assert_array_equal(merged(one, one, "add"), 2 * one.values)
    np.testing.assert_array_equal(merged(one, one.isel(geometry=[1]), "add"), one.values * [1, 2, 1])


def test_several_of_a_kind_are_of_the_kind() -> None:
    many = shapely.MultiPolygon(BOXES[::2])
    assert list(merged(fields(BOXES[:1]), fields([many])).geometry.values) == [BOXES[0], many]


@pytest.mark.parametrize("shapes", [POINTS, LINES, [*BOXES[:3], POINTS[3]]])
def test_other_kinds_of_geometries_are_refused(shapes: list[Any]) -> None:
    for one, other in ((fields(BOXES), fields(shapes)), (fields(shapes), fields(BOXES))):
        with nothing_computed(), pytest.raises(exceptions.IncompatibleGeometryTypes, match=r"cube1 .*cube2"):
            cubes.merge_cubes(one, other, "add")


def test_pixels_and_geometries_are_refused() -> None:
    raster = cases.cube(chunks=cases.AWKWARD)
    for one, other in ((raster, fields(BOXES)), (fields(BOXES), raster)):
        with nothing_computed(), pytest.raises(exceptions.IncompatibleGeometryTypes, match="pixels"):
            cubes.merge_cubes(one, other, "add")


def test_geometries_in_another_crs_are_refused() -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"UTM zone 32N.*WGS 84"):
        cubes.merge_cubes(fields(BOXES), fields(BOXES, crs=4326), "add")


# --- instants

DATES = np.arange("2023-01-01", "2023-01-08", dtype="datetime64[D]")
WRITTEN: dict[str, Any] = {
    "texts": [f"{date}" for date in DATES],
    "in UTC": [f"{date}T00:00:00Z" for date in DATES],
    "with an offset": [f"{date}T02:00:00+02:00" for date in DATES],
    "dates": np.array([date.item() for date in DATES], object),
    "with a zone": np.array(
        [datetime.datetime.combine(d.item(), datetime.time(), datetime.UTC) for d in DATES], object
    ),
    "seconds": DATES.astype("datetime64[s]"),
}  # fmt: skip


@pytest.mark.parametrize("way", WRITTEN)
def test_instants_are_the_same_however_they_are_written(way: str) -> None:
    one = cases.cube(chunks=cases.AWKWARD, t=DATES.astype("datetime64[ns]"))
    other = cases.cube(chunks=cases.AWKWARD, t=WRITTEN[way])
    for first, second in ((one, other), (other, one)):
        np.testing.assert_array_equal(cubes.merge_cubes(first, second, "add"), 2 * one.values)
        late = cubes.merge_cubes(first.isel(t=slice(0, 5)), second.isel(t=slice(3, 7)), "add")
        twice = np.isin(np.arange(7), (3, 4))[:, None, None, None]
        np.testing.assert_array_equal(late, np.where(twice, 2 * one.values, one.values))


def test_labels_that_cannot_be_compared_are_refused() -> None:
    one = cases.cube()
    nat = one.t.values.copy()
    nat[2] = np.datetime64("NaT")
    refused: list[tuple[str, Any, str]] = [
        ("t", nat, "has no value"),
        ("t", one.t.values[[0, 0, 1, 2, 3, 4, 5]], "repeat"),
        ("t", np.arange(7) + 0.5, "neither a date"),
        ("t", [f"2023-djf{i}" for i in range(7)], "neither a date"),
        ("y", list("abcdef"), "texts"),
        ("bands", ["B02", "B02", "B04"], "repeat"),
    ]
    for name, labels, said in refused:
        other = one.assign_coords({name: labels})
        for pair in ((one, other), (other, one)):
            with nothing_computed(), pytest.raises(exceptions.ProcessParameterInvalid, match=said):
                cubes.merge_cubes(*pair, "add")
