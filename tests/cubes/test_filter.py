"""Filtering bands, boxes and intervals."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node
from tests.laziness import nothing_computed


def named() -> object:
    return cases.cube(chunks=cases.AWKWARD).assign_coords(
        common_name=("bands", ["blue", "red", "nir"]), center_wavelength=("bands", [0.49, 0.665, 0.842])
    )


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"bands": ["B08", "B02"]}, ["B08", "B02"]),
        ({"bands": ["nir", "B04"]}, ["B08", "B04"]),
        ({"bands": ["nope", "red"]}, ["B04"]),
        ({"bands": ["nope"]}, []),
        ({"wavelengths": [[0.6, 0.9]]}, ["B04", "B08"]),
        ({"bands": ["B08"], "wavelengths": [[0.4, 0.7]]}, ["B08", "B02", "B04"]),
    ],
)
def test_bands_come_in_the_order_of_the_request(asked: dict, found: list[str]) -> None:
    cube = named()
    result = cubes.filter_bands(cube, **asked)
    assert result.bands.values.tolist() == found
    np.testing.assert_array_equal(result, cube.sel(bands=found))


def test_bands_need_a_request_and_a_dimension() -> None:
    with pytest.raises(exceptions.BandFilterParameterMissing):
        cubes.filter_bands(named())
    with pytest.raises(exceptions.DimensionMissing):
        cubes.filter_bands(named().isel(bands=0, drop=True), bands=["B02"])


def box(cube: object, crs: int = 32632, grow: float = 0.0) -> dict:
    x, y = cube.x.values, cube.y.values
    return {"west": x[2] - grow, "east": x[5] + grow, "south": y[4] - grow, "north": y[1] + grow, "crs": crs}


@pytest.mark.parametrize("grow", [0.0, 4.9])
def test_pixels_with_their_centres_in_the_box_stay(grow: float) -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    result = cubes.filter_bbox(cube, box(cube, grow=grow))
    np.testing.assert_array_equal(result, cube.values[:, :, 1:5, 2:6])
    flipped = cubes.filter_bbox(cube.isel(y=slice(None, None, -1)), box(cube, grow=grow))
    np.testing.assert_array_equal(flipped, cube.values[:, :, 4:0:-1, 2:6])


def test_a_box_in_degrees_is_brought_to_the_cube() -> None:
    cube = cases.cube()
    metres = box(cube, grow=2)
    to = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    west, south, east, north = to.transform_bounds(*(metres[s] for s in ("west", "south", "east", "north")))
    degrees = {"west": west, "south": south, "east": east, "north": north}
    result = cubes.filter_bbox(cube, degrees)
    np.testing.assert_array_equal(result, cube.values[:, :, 1:5, 2:6])


def test_a_box_beside_the_cube_leaves_nothing() -> None:
    assert cubes.filter_bbox(cases.cube(), {"west": 0, "south": 0, "east": 1, "north": 1}).size == 0


@pytest.mark.parametrize(
    ("extent", "error"),
    [
        ({"west": 0, "south": 0, "east": 1}, exceptions.ProcessParameterInvalid),
        ({"west": 2, "south": 0, "east": 1, "north": 1}, exceptions.ProcessParameterInvalid),
        ({"west": 0, "south": 0, "east": 1, "north": 1, "crs": "nonsense"}, exceptions.CRSInvalid),
        ("everywhere", exceptions.ProcessParameterInvalid),
    ],
)
def test_a_bad_box_is_refused(extent: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        cubes.filter_bbox(cases.cube(), extent)


def test_the_parsers_box_and_interval_are_taken() -> None:
    from openeo_pg_parser_networkx.pg_schema import BoundingBox, TemporalInterval

    cube = cases.cube()
    given = {k: v for k, v in box(cube).items() if k != "crs"} | {"crs": "EPSG:32632"}
    assert cubes.filter_bbox(cube, BoundingBox.model_validate(given)).equals(cubes.filter_bbox(cube, given))
    dates = ["2023-04-13", "2023-05-03"]
    parsed = TemporalInterval.model_validate(dates)
    assert cubes.filter_temporal(cube, parsed).equals(cubes.filter_temporal(cube, dates))


@pytest.mark.parametrize(
    ("extent", "found"),
    [
        (["2023-04-13", "2023-05-03"], slice(1, 3)),
        (["2023-04-13T00:00:00Z", "2023-05-03T00:00:01Z"], slice(1, 4)),
        (["2023-04-13T02:00:00+02:00", None], slice(1, 7)),
        ([None, "2023-04-13"], slice(0, 1)),
        (["2030-01-01", "2031-01-01"], slice(0, 0)),
    ],
)
def test_an_interval_holds_its_start_and_not_its_end(extent: list, found: slice) -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    np.testing.assert_array_equal(cubes.filter_temporal(cube, extent), cube.values[found])


def test_bad_intervals_have_their_codes() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.TemporalExtentEmpty):
        cubes.filter_temporal(cube, ["2023-05-03", "2023-05-03"])
    with pytest.raises(exceptions.ProcessParameterInvalid, match="'spring'"):
        cubes.filter_temporal(cube, ["spring", None])
    with pytest.raises(exceptions.DimensionNotAvailable, match="'time'"):
        cubes.filter_temporal(cube, ["2023-05-03", None], dimension="time")


def test_labels_stay_where_the_condition_is_true() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    late = child(later=node("gt", x=given("value"), y=given("context")))
    with nothing_computed():
        few = cubes.filter_labels(cube, child(same=node("neq", x=given("value"), y="B04")), "bands")
        east = cubes.filter_labels(cube, late, "x", context=600_030)
        none = cubes.filter_labels(cube, late, "x", context=None)
    np.testing.assert_array_equal(few, cube.values[:, [0, 2]])
    np.testing.assert_array_equal(east, cube.values[..., 3:])
    assert none.sizes["x"] == 0
    first = cubes.filter_labels(cube, child(e=node("eq", x=given("value"), y="2023-04-03T00:00:00Z")), "t")
    np.testing.assert_array_equal(first, cube.values[:1])
    with pytest.raises(exceptions.DimensionNotAvailable, match="'z'"):
        cubes.filter_labels(cube, late, "z")


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_an_interval_may_reach_to_the_ends_of_the_calendar(unit: str) -> None:
    cube = cases.cube()
    cube = cube.assign_coords(t=cube.t.values.astype(f"datetime64[{unit}]"))
    assert cubes.filter_temporal(cube, ["0001-01-01", "9999-12-31"]).identical(cube)
    assert cubes.filter_temporal(cube, ["2023-05-01", "9999-12-31"]).sizes["t"] == 4


def test_dates_before_the_year_1000_are_filtered() -> None:
    dates = np.array(["0899-12-31", "0900-01-01", "0900-12-31", "0901-01-01"], "datetime64[s]")
    cube = cases.cube().isel(t=slice(0, 4)).assign_coords(t=dates)
    assert cubes.filter_temporal(cube, ["0900-01-01", "0901-01-01"]).t.values.tolist() == dates[1:3].tolist()


def test_a_box_that_spans_the_antimeridian_keeps_both_sides() -> None:
    globe = cases.cube(
        np.zeros((1, 1, 4, 8)), t=[0], bands=["B02"], y=[60.0, 20.0, -20.0, -60.0], x=np.arange(-157.5, 180, 45)
    )
    globe = globe.drop_vars("spatial_ref").rio.write_crs(4326)
    around = {"west": -4e6, "south": -4e6, "east": 4e6, "north": 4e6, "crs": "+proj=laea +lat_0=0 +lon_0=180"}
    kept = cubes.filter_bbox(globe, around)
    assert kept.x.values.tolist() == [157.5, 202.5]  # longitudes go on
    assert kept.y.values.tolist() == [20, -20]
