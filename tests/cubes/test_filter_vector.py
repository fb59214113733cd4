"""Keeping the geometries that have a relation to others, against shapely one by one."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from openeo_processes_dask.vocabulary import RELATIONS
from tests.cubes import cases
from tests.laziness import nothing_computed

BASE = [shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)]
CANDIDATES = [
    shapely.box(0, 0, 20, 10),
    shapely.box(2, 2, 8, 8),
    shapely.box(8, 2, 12, 4),
    shapely.box(-5, -5, 30, 30),
    shapely.box(15, 5, 25, 15),
    shapely.box(20, 0, 30, 10),
    shapely.box(50, 50, 60, 60),
    shapely.LineString([(-5, 5), (25, 5)]),
    shapely.Point(5, 5),
    shapely.Point(10, 0),
    shapely.Polygon(),
]


def table(shapes: list, crs: int = 32632) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"n": range(len(shapes))}, geometry=shapes, crs=crs)


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_relation_reads_from_the_base_to_the_geometry(relation: str) -> None:
    whole = shapely.union_all(BASE)
    expected = [i for i, one in enumerate(CANDIDATES) if not one.is_empty and getattr(whole, relation)(one)]
    made = cubes.filter_vector(table(CANDIDATES), table(BASE), relation)
    assert made.coords["n"].values.tolist() == expected
    assert list(made.geometry.values) == [CANDIDATES[i] for i in expected]
    assert 0 < len(expected) < len(CANDIDATES)


def test_values_go_with_their_geometries_and_stay_lazy() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    corner = np.array([600_000, 4_999_940])
    fields = [shapely.transform(one, lambda at: corner + at) for one in CANDIDATES]
    given = cubes.aggregate_spatial(cube, table(fields), "mean")
    base = table([shapely.transform(one, lambda at: corner + at) for one in BASE]).to_crs(4326)
    before = given.copy()
    with nothing_computed():
        made = cubes.filter_vector(given, base)
    kept = [0, 1, 2, 3, 4, 7, 8, 9]
    np.testing.assert_array_equal(made, given.isel(geometry=made.coords["n"].values))
    assert set(kept) - {9} <= set(made.coords["n"].values.tolist()) <= {*kept, 5}  # 5 and 9 only touch
    assert made.xindexes["geometry"].crs == given.xindexes["geometry"].crs
    assert given.identical(before)
    assert made.attrs == given.attrs


def test_nothing_may_be_left() -> None:
    assert cubes.filter_vector(table(CANDIDATES), table([shapely.Point(999, 999)])).sizes["geometry"] == 0
    assert cubes.filter_vector(table([]), table(BASE)).sizes["geometry"] == 0
    assert cubes.filter_vector(table(CANDIDATES), table([])).sizes["geometry"] == 0
    assert cubes.filter_vector(table(CANDIDATES), table([]), "disjoint").sizes["geometry"] == len(CANDIDATES) - 1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match="'beside'"):
        cubes.filter_vector(table(CANDIDATES), table(BASE), "beside")
    with pytest.raises(exceptions.DimensionMissing):
        cubes.filter_vector(cases.cube(), table(BASE))
    with pytest.raises(exceptions.ProcessParameterInvalid):
        cubes.filter_vector(table(CANDIDATES), cases.cube())
