"""Tests of the oracles: what others are measured by is itself checked against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from tests import oracles

NAN = np.nan


def test_reducers_skip_gaps_and_know_when_nothing_is_left():
    a = np.array([[4.0, NAN, 1.0, 1.0], [NAN] * 4, [7.0, NAN, NAN, NAN]])
    expected = {
        "all": [1, 1, 1],
        "any": [1, 0, 1],
        "count": [3, 0, 1],
        "extrema": [[1, 4], [NAN, NAN], [7, 7]],
        "first": [4, NAN, 7],
        "last": [1, NAN, 7],
        "max": [4, NAN, 7],
        "mean": [2, NAN, 7],
        "median": [1, NAN, 7],
        "min": [1, NAN, 7],
        "product": [4, NAN, 7],
        "quantiles": [[1, 1, 2.5], [NAN] * 3, [7] * 3],
        "sd": [np.sqrt(3), NAN, NAN],
        "sum": [6, NAN, 7],
        "variance": [3, NAN, NAN],
    }
    assert set(expected) == set(oracles.REDUCERS)
    for name, values in expected.items():
        np.testing.assert_allclose(oracles.REDUCERS[name](a, 1), values, err_msg=name)
        np.testing.assert_allclose(oracles.REDUCERS[name](a.T, 0), values, err_msg=name)


def test_reducers_that_heed_gaps_let_one_spoil_the_rest_unless_it_cannot_matter():
    a = np.array([[1.0, NAN], [0.0, NAN], [NAN, 1.0], [2.0, 4.0]])
    expected = {
        "all": [NAN, 0, NAN, 1],
        "any": [1, NAN, 1, 1],
        "first": [1, 0, NAN, 2],
        "last": [NAN, NAN, 1, 4],
        "mean": [NAN, NAN, NAN, 3],
        "extrema": [[NAN] * 2, [NAN] * 2, [NAN] * 2, [2, 4]],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(oracles.REDUCERS_WITH_GAPS[name](a, 1), values, err_msg=name)


def test_reducers_of_an_empty_axis_give_no_data():
    empty = np.empty((0, 2))
    for name in ("max", "mean", "median", "min", "product", "sd", "sum", "variance"):
        np.testing.assert_array_equal(oracles.REDUCERS[name](empty, 0), [NAN, NAN], err_msg=name)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("mod", (-27.0, 5.0), 3),
        ("mod", (27.0, 0.0), np.inf),
        ("divide", (-1.0, 0.0), -np.inf),
        ("clip", (3.0, 0.0, NAN), NAN),
        ("linear_scale_range", (0.3, -1, 1, 0, 255), 165.75),
        ("linear_scale_range", (10.0, 100, 0), 0.9),
        ("linear_scale_range", (1.12, 0, 1, 0, 255), 255),
        ("between", (1.0, 0.0, 1.0), 1),
        ("between", (1.0, 0.0, 1.0, True), 0),
        ("between", (1.0, 2.0, 0.0), 0),
        ("between", (NAN, 0.0, 1.0), NAN),
        ("eq", (NAN, NAN), NAN),
        ("eq", (115.0, 110.0, 10), 1),
        ("neq", (1.0, 2.0), 1),
        ("gte", (np.inf, np.inf), 1),
        ("and", (0.0, NAN), 0),
        ("and", (NAN, 1.0), NAN),
        ("or", (NAN, 1.0), 1),
        ("or", (0.0, NAN), NAN),
        ("xor", (1.0, NAN), NAN),
        ("xor", (1.0, 0.0), 1),
        ("not", (NAN,), NAN),
        ("if", (NAN, 1.0), NAN),
        ("if", (1.0, 2.0), 2),
    ],
)
def test_single_elements_as_the_specification_has_them(name, arguments, expected):
    arrays = [np.array(a) if isinstance(a, float) else a for a in arguments]
    if name in ("between", "eq") and len(arguments) > (3 if name == "between" else 2):
        *arrays, option = arrays
        result = oracles.ELEMENTWISE[name](
            *arrays, **{"between": {"exclude_max": option}, "eq": {"delta": option}}[name]
        )
    else:
        result = oracles.ELEMENTWISE[name](*arrays)
    np.testing.assert_allclose(result, expected)


def test_blocks_at_the_edge_average_what_there_is():
    values = np.array([[1.0, 3.0, 5.0], [NAN, 5.0, NAN], [7.0, 9.0, NAN]])
    np.testing.assert_array_equal(oracles.block_means(values, 2), [[3, 5], [8, NAN]])


@pytest.mark.parametrize(
    ("first", "last", "pixels"),
    [(0, 10, (0, 10)), (0.5, 1.5, (0, 2)), (0.51, 1.49, (1, 1)), (-3, 4.2, (0, 4)), (8.6, 99, (9, 10))],
)
def test_a_pixel_belongs_if_its_centre_does(first, last, pixels):
    assert oracles._between(first, last, 10) == pixels


def test_workflows_give_what_a_look_at_single_pixels_gives(scene):
    row, col = 150, 200
    window = rasterio.windows.Window(col, row, 1, 1)
    red, nir, classes = (
        np.array(
            [oracles._layer(scene.files[date, band], window)[0, 0] for date in dict.fromkeys(d for d, _ in scene.files)]
        )
        for band in ("B04", "B08", "SCL")
    )
    ndvi = (nir - red) / (nir + red)
    clear = np.isin(classes, (4, 5, 6))
    composite = oracles.ndvi_composite(scene.cogs)
    assert composite.shape == (300, 300)
    assert composite[row, col] == pytest.approx(np.median(ndvi[clear]))
    assert np.isnan(composite[0, 0])
    assert 0 < np.isnan(composite).mean() < 0.1
    labels, monthly = oracles.monthly_ndvi(scene.cogs)
    assert labels == ["2023-04", "2023-05", "2023-06", "2023-07"]
    assert monthly[1, row, col] == pytest.approx(np.nanmean(ndvi[3:6]))
    assert np.isnan(monthly[2]).all()


def test_the_grid_of_the_third_workflow_starts_at_its_first_pixel(scene):
    extent = scene.extent(0.5)
    grid = oracles.stac_to_grid(scene.cogs, extent, ["2023-04-13", "2023-05-23"], ["B08", "B04"])
    assert grid.dates == ["2023-04-13", "2023-04-23", "2023-05-03", "2023-05-13"]
    assert grid.values.shape == (4, 2, len(grid.y), len(grid.x))
    assert np.all(np.diff(grid.x) == 20)
    assert np.all(np.diff(grid.y) == -20)
    left, top = grid.x[0] - 10, grid.y[0] + 10
    col, row = round((left - 600_000) / 10), round((5_340_000 - top) / 10)
    block = oracles._layer(scene.files["2023-04-23", "B04"], rasterio.windows.Window(col, row, 2, 2))
    assert grid.values[1, 1, 0, 0] == pytest.approx(np.nanmean(block) / 10_000)
    whole = oracles.stac_to_grid(scene.cogs)
    assert whole.values.shape == (8, 4, 150, 150)
    assert 0 < np.isnan(whole.values).mean() < 0.2
