"""Cubes of which nothing is left: a dimension without labels, for every process and each of its cubes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask.exceptions import OpenEOException
from tests.cubes import cases
from tests.cubes.test_bad_input import FIELD, IS_B02, SCOPE, calls, run
from tests.laziness import nothing_computed

EMPTIED = [
    (id_, parameter, dimension)
    for id_ in SCOPE
    if id_ != "run_udf"  # the user's code decides
    for parameter, cube in calls()[id_].items()
    if isinstance(cube, xr.DataArray)
    for dimension in map(str, cube.dims)
]
# Where there can be no answer, by the codes of the documents.
REFUSED = {
    "anomaly": {"IncompatibleDataCubes", "ProcessParameterInvalid"},  # other labels than the normals; no normals
    "drop_dimension": {"DimensionLabelCountMismatch"},
    "mask": {"IncompatibleDataCubes"},
    "ndvi": {"NirBandAmbiguous"},
    "predict_curve": {"ArrayElementNotAvailable"},
    "rename_labels": {"LabelNotAvailable"},
    "resample_cube_spatial": {"ProcessParameterInvalid"},  # no grid without pixels
    "resample_spatial": {"ProcessParameterInvalid"},
}


@pytest.mark.parametrize(("id_", "parameter", "dimension"), EMPTIED)
def test_a_dimension_without_labels(id_: str, parameter: str, dimension: str) -> None:
    arguments = dict(calls()[id_])
    arguments[parameter] = arguments[parameter].isel({dimension: slice(0, 0)})
    loaded = {name: v.compute() if isinstance(v, xr.DataArray) else v for name, v in arguments.items()}
    try:
        with nothing_computed():
            lazily = run(id_, **arguments)
        found = lazily.compute() if isinstance(lazily, xr.DataArray) else lazily
    except OpenEOException:
        with pytest.raises(OpenEOException) as refused:
            run(id_, **loaded)
        assert refused.value.code in REFUSED[id_]
        return
    eager = run(id_, **loaded)
    if not isinstance(eager, xr.DataArray):
        assert found == eager
        return
    xr.testing.assert_identical(found, eager)
    if parameter == "data" and eager.size and eager.dtype.kind == "f":  # of nothing comes nothing
        assert np.isnan(eager.values).all() or counts(eager)


def counts(cube: xr.DataArray) -> bool:
    """Whether a cube holds the numbers of pixels beside values: these are zero and the values are gaps."""
    return "counts" in cube.dims and not np.nansum(cube.values)


CUBE = cases.cube(cases.values((4, 3, 4, 4)))
NOWHERE = {"west": 0, "east": 1, "south": 0, "north": 1, "crs": 32632}
FILTERS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "filter_bbox": ({"extent": NOWHERE}, {"x": 0, "y": 0}),
    "filter_temporal": ({"extent": ["1990", "1991"]}, {"t": 0}),
    "filter_bands": ({"bands": ["nope"]}, {"bands": 0}),
    "filter_labels": ({"condition": IS_B02, "dimension": "t"}, {"t": 0}),
    "filter_spatial": ({"geometries": {"type": "Point", "coordinates": [0, 0]}}, {"x": 0, "y": 0}),
}


@pytest.mark.parametrize("chunks", [None, cases.AWKWARD])
@pytest.mark.parametrize("named", [None, "cube"])
@pytest.mark.parametrize("id_", FILTERS)
def test_a_filter_that_keeps_nothing_and_what_follows_it(id_: str, named: str | None, chunks: Any) -> None:
    arguments, sizes = FILTERS[id_]
    cube = CUBE.rename(named) if chunks is None else CUBE.rename(named).chunk(chunks)
    with nothing_computed():
        nothing = run(id_, data=cube, **arguments)
        scaled = run("apply", data=nothing, process="absolute")
        gone = next(iter(sizes))
        left = run("reduce_dimension", data=scaled, reducer="mean", dimension=gone)
        counted = run("reduce_dimension", data=scaled, reducer="count", dimension=gone)
    assert dict(nothing.sizes) == {**CUBE.sizes, **sizes}
    assert (nothing.name, nothing.dims, nothing.dtype) == (named, CUBE.dims, CUBE.dtype)
    assert dict(scaled.sizes) == dict(nothing.sizes)
    shape = np.empty([n for d, n in nothing.sizes.items() if d != gone])
    np.testing.assert_array_equal(left.values, np.full(shape.shape, np.nan))
    np.testing.assert_array_equal(counted.values, np.zeros(shape.shape))


# --- two temporal dimensions, and as many dates as rows

TWICE = CUBE.expand_dims({"run": np.array(["2023-01-01", "2023-02-01"], "datetime64[ns]")}).copy()
TWICE[1] *= 2


@pytest.mark.parametrize("chunks", [None, {"run": 1, **cases.AWKWARD}])
@pytest.mark.parametrize("named", [None, "cube"])
def test_one_of_two_temporal_dimensions_is_named(named: str | None, chunks: Any) -> None:
    assert CUBE.sizes["t"] == CUBE.sizes["y"]
    cube = TWICE.rename(named) if chunks is None else TWICE.rename(named).chunk(chunks)
    values = TWICE.values.astype(float)
    known = ~np.isnan(values)
    means = np.divide(
        np.nansum(values, axis=1), known.sum(axis=1), where=known.any(axis=1), out=np.full(values[:, 0].shape, np.nan)
    )
    ever = [["2000-01-01", "2030-01-01"]]
    with nothing_computed():
        reduced = run("reduce_dimension", data=cube, reducer="mean", dimension="t")
        grouped = run("aggregate_temporal", data=cube, intervals=ever, reducer="mean", dimension="t")
        years = run("aggregate_temporal_period", data=cube, period="year", reducer="mean", dimension="t")
        first = run("filter_temporal", data=cube, extent=["2023-01-01", "2023-01-15"], dimension="run")
        steps = run("apply_dimension", data=cube, process="cumsum", dimension="t")
        both = run("filter_temporal", data=cube, extent=["2023-04-01", "2024-01-01"])
        fields = run("aggregate_spatial", data=cube, geometries=FIELD, reducer="max")
    np.testing.assert_allclose(reduced.values, means, rtol=1e-5)
    for one in (grouped, years):
        assert one.dims == cube.dims
        np.testing.assert_allclose(one.values[:, 0], means, rtol=1e-5)
    np.testing.assert_array_equal(first.values, values[:1].astype("float32"))
    sums = np.where(known, np.cumsum(np.nan_to_num(values), axis=1), np.nan)
    np.testing.assert_allclose(steps.values, sums, rtol=1e-5, atol=1e-5)
    assert both.sizes["run"] == 0
    assert both.sizes["t"] == 4
    inside = np.fmax.reduce(values[..., :3, :3].reshape(*values.shape[:3], -1), axis=-1)
    np.testing.assert_allclose(fields.values.squeeze(-1), inside, rtol=1e-6)
    assert {one.name for one in (reduced, grouped, years, first, steps, both, fields)} == {named}
