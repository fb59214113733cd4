"""What every process on cubes says of arguments that it cannot take: one table, driven by the documents."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import jsonschema
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask import (
    dimensions,
    exceptions,
    process_implementations,  # noqa: F401  (importing it declares the processes)
    specs,
)
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import OpenEOException, shown
from tests.cubes import cases
from tests.laziness import nothing_computed

FILES = ("load", "save", "vector")  # which have tables of their own
SCOPE = sorted(
    id_
    for id_, process in DECLARED.items()
    if id_ == "run_udf"
    or (
        ".cubes." in process.function.__module__
        and not process.function.__module__.rpartition(".")[2].startswith(FILES)
    )
)
PARAMETERS = [(id_, name) for id_ in SCOPE for name in DECLARED[id_].parameters]
# What JSON has, and none of it is right for most parameters.
JSON: list[Any] = [None, True, 1.5, -1, 10**30, math.nan, "nope", "", [], ["nope"], [1, None], [None], [[]], [[1]]]
JSON += [{}, {"a": 1}, [{}]]
# What else Python has, and callers may hand over by mistake.
PYTHON: list[Any] = [("a", "b"), object(), np.array([1, 2]), np.float64("nan"), xr.DataArray(1.0), len, b"nope"]
# What the documents refuse and these processes take.
TAKEN = {
    "geometries": "lists of geometries are geometries too",
    ("filter_vector", "data"): "the same",
    ("fit_curve", "data"): "there is no-data among values",
    ("filter_temporal", "extent"): "a year may be a number",
}
CODES = {cls.__name__ for cls in vars(exceptions).values() if isinstance(cls, type)}


def square(left: float, top: float, side: float = 30.0) -> dict[str, Any]:
    """A feature in the CRS of the cubes of these tests."""
    ring = [[left, top], [left + side, top], [left + side, top - side], [left, top - side], [left, top]]
    return {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def features(*found: dict[str, Any]) -> dict[str, Any]:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    return {"type": "FeatureCollection", "features": list(found), "crs": crs}


FIELD = features(square(600_000, 5_000_000))
ABSOLUTE = cases.child(
    a=cases.node("apply", data=cases.given("data"), process=cases.child(b=cases.node("absolute", x=cases.given("x"))))
)
LINE = cases.child(a=cases.node("array_element", data=cases.given("parameters"), index=0))
IS_B02 = cases.child(a=cases.node("eq", x=cases.given("value"), y="B02"))
WINDOW = [{"dimension": "x", "value": 2, "unit": "px"}, {"dimension": "y", "value": 2, "unit": "px"}]
BOX = {"west": 600_000, "east": 600_060, "south": 4_999_950, "north": 5_000_000, "crs": 32632}


def run(id_: str, **arguments: Any) -> Any:
    return DECLARED[id_].function(**arguments)


@functools.cache
def calls() -> dict[str, dict[str, Any]]:
    """By process arguments that it takes, all parameters but `context` among them."""
    cube = cases.cube(chunks=cases.AWKWARD)
    year, ever = [2022, 2023], ["2023-01-01", "2024-01-01"]
    with nothing_computed():
        months = run("aggregate_temporal_period", data=cube, period="month", reducer="mean")
        normals = run("climatological_normal", data=cube, period="month", climatology_period=year)
        fitted = run("fit_curve", data=cube, parameters=[1.0], function=LINE)
        fields = run("aggregate_spatial", data=cube, geometries=FIELD, reducer="mean")
        flat = run("flatten_dimensions", data=cube, dimensions=["t", "bands"], target_dimension="tb")
    bands = cube.isel(bands=slice(0, 2)).assign_coords(bands=["red", "nir"])
    reducing = {"data": cube, "reducer": "mean"}
    on = {"data": cube}
    return {
        "add_dimension": {**on, "name": "n", "label": "a", "type": "other"},
        "aggregate_spatial": {**reducing, "geometries": FIELD, "target_dimension": "counts"},
        "aggregate_spatial_window": {**reducing, "size": [2, 2], "boundary": "pad", "align": "upper-left"},
        "aggregate_temporal": {**reducing, "intervals": [ever], "labels": ["a"], "dimension": "t"},
        "aggregate_temporal_period": {**reducing, "period": "month", "dimension": "t"},
        "anomaly": {"data": months, "normals": normals, "period": "month"},
        "apply": {**on, "process": "absolute"},
        "apply_dimension": {**on, "process": "cumsum", "dimension": "t", "target_dimension": "n"},
        "apply_kernel": {**on, "kernel": [[1.0]], "factor": 1, "border": 0, "replace_invalid": 0},
        "apply_neighborhood": {**on, "process": ABSOLUTE, "size": WINDOW, "overlap": []},
        "apply_polygon": {**on, "geometries": FIELD, "process": ABSOLUTE, "mask_value": 0},
        "climatological_normal": {**on, "period": "month", "climatology_period": year},
        "create_data_cube": {},
        "dimension_labels": {**on, "dimension": "t"},
        "drop_dimension": {"data": cube.isel(t=[0]), "name": "t"},
        "filter_bands": {**on, "bands": ["B02"], "wavelengths": []},
        "filter_bbox": {**on, "extent": BOX},
        "filter_labels": {**on, "condition": IS_B02, "dimension": "bands"},
        "filter_spatial": {**on, "geometries": FIELD},
        "filter_temporal": {**on, "extent": ever, "dimension": "t"},
        "filter_vector": {"data": fields, "geometries": FIELD, "relation": "intersects"},
        "fit_curve": {**on, "parameters": [1.0], "function": LINE, "ignore_nodata": True},
        "flatten_dimensions": {**on, "dimensions": ["t", "bands"], "target_dimension": "n", "label_separator": "~"},
        "mask": {**on, "mask": cube > 0, "replacement": 1},
        "mask_polygon": {**on, "mask": FIELD, "replacement": 1, "inside": True},
        "merge_cubes": {"cube1": cube, "cube2": cube, "overlap_resolver": "add"},
        "ndvi": {"data": bands, "nir": "nir", "red": "red", "target_band": "n"},
        "predict_curve": {"parameters": fitted, "function": LINE, "dimension": "t", "labels": ["2023-01-01"]},
        "reduce_dimension": {**reducing, "dimension": "t"},
        "reduce_spatial": reducing,
        "rename_dimension": {**on, "source": "t", "target": "n"},
        "rename_labels": {**on, "dimension": "bands", "target": ["a"], "source": ["B02"]},
        "resample_cube_spatial": {**on, "target": cube, "method": "near"},
        "resample_cube_temporal": {**on, "target": cube, "dimension": "t", "valid_within": 5},
        "resample_spatial": {**on, "resolution": 20, "projection": 32632, "method": "near", "align": "upper-left"},
        "run_udf": {**on, "udf": "def apply_datacube(cube, context):\n    return cube\n", "runtime": "Python"},
        "trim_cube": {"data": cases.cube()},
        "unflatten_dimension": {
            "data": flat,
            "dimension": "tb",
            "target_dimensions": ["t", "bands"],
            "label_separator": "~",
        },
    }


def schema_of(id_: str, parameter: str) -> dict[str, Any]:
    """What the document of a process says of a parameter, as plain JSON schema."""
    (found,) = (p["schema"] for p in getattr(specs, id_)["parameters"] if p["name"] == parameter)
    return {"anyOf": found} if isinstance(found, list) else found


def is_cube(schema: Any) -> bool:
    return {"type": "object", "subtype": "datacube"}.items() <= schema.items()


def test_every_process_is_in_the_table() -> None:
    assert set(calls()) == set(SCOPE)
    assert len(SCOPE) > 35


@pytest.mark.parametrize("id_", SCOPE)
def test_what_is_right_is_taken(id_: str) -> None:
    with nothing_computed():
        run(id_, **calls()[id_])
    for name, value in calls()[id_].items():
        if isinstance(value, (str, int, float, list)) and value not in ("absolute", "mean", "cumsum", "add"):
            jsonschema.validate(value, schema_of(id_, name))


@pytest.mark.parametrize(("id_", "parameter"), PARAMETERS)
def test_what_the_documents_refuse_is_refused(id_: str, parameter: str) -> None:
    schema = schema_of(id_, parameter)
    default = DECLARED[id_].parameters[parameter].default
    taken = {parameter, (id_, parameter)} & set(TAKEN)
    check = jsonschema.Draft202012Validator(schema)
    for value in JSON:
        given = value is None and not isinstance(default, (str, int, float)) and parameter not in DECLARED[id_].required
        if (check.is_valid(value) and not is_cube(schema)) or given or (taken and isinstance(value, list)):
            continue
        with nothing_computed(), pytest.raises(OpenEOException) as refused:
            run(id_, **{**calls()[id_], parameter: value})
        assert refused.value.code in CODES - {"OpenEOException"}
        said = str(refused.value)
        assert f"{parameter} " in said or f"'{parameter}'" in said or shown(value) in said, said


@pytest.mark.parametrize("id_", SCOPE)
def test_no_argument_makes_python_fail(id_: str) -> None:
    for parameter in DECLARED[id_].parameters:
        for value in [*JSON, *PYTHON]:
            with nothing_computed(), contextlib.suppress(OpenEOException):
                run(id_, **{**calls()[id_], parameter: value})


# --- what there is and what was asked for

NAMED = [
    (id_, parameter)
    for id_, parameter in PARAMETERS
    if parameter in ("dimension", "dimensions", "source") or (id_, parameter) == ("drop_dimension", "name")
    if (id_, parameter) not in {("rename_labels", "source"), ("predict_curve", "dimension")}  # a label, a new name
]


@pytest.mark.parametrize(("id_", "parameter"), NAMED)
def test_a_dimension_that_is_not_there(id_: str, parameter: str) -> None:
    asked = ["nope", "t"] if parameter == "dimensions" else "nope"
    with nothing_computed(), pytest.raises(exceptions.DimensionNotAvailable) as refused:
        run(id_, **{**calls()[id_], parameter: asked})
    assert "'nope'" in str(refused.value)
    for dimension in calls()[id_]["data"].dims:
        assert repr(dimension) in str(refused.value)


def needing(kind: str) -> list[tuple[str, str]]:
    """The parameters that are cubes with a dimension of some type."""
    return [
        (id_, parameter)
        for id_, parameter in PARAMETERS
        if is_cube(schema := schema_of(id_, parameter))
        and any(one["type"] == kind for one in schema.get("dimensions", ()))
        and id_ != "resample_cube_temporal"  # which names the dimensions of both cubes
    ]


@pytest.mark.parametrize(("id_", "parameter"), needing("spatial"))
def test_a_cube_without_x_and_y(id_: str, parameter: str) -> None:
    flat = calls()["apply"]["data"].isel(x=0, y=0, drop=True)
    if id_ == "mask":
        pytest.skip("a mask may lack dimensions, and has none that the data lack")
    if id_ == "ndvi":
        assert run(id_, **{**calls()[id_], "data": calls()[id_]["data"].isel(x=0, y=0, drop=True)}).dims[0] == "t"
        return  # values of other dimensions have an index too
    with nothing_computed(), pytest.raises(exceptions.DimensionMissing, match=r"x and y are needed.*'t', 'bands'"):
        run(id_, **{**calls()[id_], parameter: flat})


@pytest.mark.parametrize(("id_", "parameter"), needing("temporal"))
def test_a_cube_without_time_or_with_two_times(id_: str, parameter: str) -> None:
    arguments = {name: value for name, value in calls()[id_].items() if name != "dimension"}
    timeless = arguments[parameter].isel(t=0, drop=True)
    with nothing_computed(), pytest.raises(exceptions.DimensionNotAvailable, match=r"temporal.*'bands', 'y', 'x'"):
        run(id_, **{**arguments, parameter: timeless})
    twice = arguments[parameter].expand_dims({"time": np.array(["2023-01-01"], "datetime64[ns]")})
    if id_ == "filter_temporal":
        pytest.skip("all temporal dimensions are meant where none is named")
    with nothing_computed(), pytest.raises(exceptions.TooManyDimensions, match=r"'time', 't'"):
        run(id_, **{**arguments, parameter: twice})


@pytest.mark.parametrize("id_", ["filter_bands", "ndvi"])
def test_a_cube_without_bands(id_: str) -> None:
    bandless = calls()[id_]["data"].isel(bands=0, drop=True)
    with nothing_computed(), pytest.raises((exceptions.DimensionMissing, exceptions.DimensionAmbiguous), match="bands"):
        run(id_, **{**calls()[id_], "data": bandless})


OVERLAPPING = features(square(600_000, 5_000_000), square(600_010, 5_000_000))
SPECIAL: list[tuple[str, dict[str, Any], type[OpenEOException], str]] = [
    ("apply_kernel", {"kernel": [[1, 1]]}, exceptions.KernelDimensionsUneven, "1 rows and 2 columns"),
    ("merge_cubes", {"overlap_resolver": None}, exceptions.OverlapResolverMissing, "overlap_resolver"),
    ("apply_polygon", {"geometries": OVERLAPPING}, exceptions.GeometriesOverlap, ""),
    ("filter_temporal", {"extent": ["2024", "2023"]}, exceptions.TemporalExtentEmpty, "2024"),
    ("filter_bands", {"bands": [], "wavelengths": []}, exceptions.BandFilterParameterMissing, "bands or wavelengths"),
    ("add_dimension", {"name": "t"}, exceptions.DimensionExists, "'t'"),
    ("rename_dimension", {"target": "x"}, exceptions.DimensionExists, "'x'"),
    ("apply_dimension", {"target_dimension": "x"}, exceptions.DimensionExists, "'x'"),
    ("aggregate_spatial", {"target_dimension": "t"}, exceptions.TargetDimensionExists, "'t'"),
    ("flatten_dimensions", {"target_dimension": "x"}, exceptions.TargetDimensionExists, "'x'"),
    ("rename_labels", {"source": ["nope"]}, exceptions.LabelNotAvailable, "'nope'.*'B02'"),
    ("rename_labels", {"target": ["B04"]}, exceptions.LabelExists, "'B04'"),
    ("rename_labels", {"target": ["a", "b"]}, exceptions.LabelMismatch, "1 labels.*2"),
    ("ndvi", {"nir": "nope"}, exceptions.NirBandAmbiguous, "'nope'.*'red'"),
    ("ndvi", {"red": "nope"}, exceptions.RedBandAmbiguous, "'nope'.*'nir'"),
    ("ndvi", {"target_band": "red"}, exceptions.BandExists, "'red'"),
    ("resample_spatial", {"projection": "nope"}, exceptions.CRSInvalid, "'nope'"),
    ("filter_bbox", {"extent": {**BOX, "crs": "nope"}}, exceptions.CRSInvalid, "'nope'"),
    ("run_udf", {"runtime": "R"}, exceptions.InvalidRuntime, "R"),
    ("run_udf", {"version": "1"}, exceptions.InvalidVersion, "1"),
    (
        "aggregate_temporal",
        {"intervals": [["2023", "2024"]] * 2, "labels": []},
        exceptions.DistinctDimensionLabelsRequired,
        "distinct",
    ),
]


@pytest.mark.parametrize(("id_", "changed", "error", "said"), SPECIAL)
def test_what_has_a_code_of_its_own(id_: str, changed: dict[str, Any], error: type[OpenEOException], said: str) -> None:
    with nothing_computed(), pytest.raises(error, match=f"(?s){said}") as refused:
        run(id_, **{**calls()[id_], **changed})
    assert refused.value.code in {*getattr(specs, id_).get("exceptions", {}), "CRSInvalid", "DimensionExists"}


def test_a_dimension_with_labels_is_not_dropped() -> None:
    cube = calls()["apply"]["data"]
    with pytest.raises(exceptions.DimensionLabelCountMismatch, match="7 labels"):
        run("drop_dimension", data=cube, name="t")
    assert dimensions.labels(cube, "bands") == cases.BANDS
