"""Statistics of order that are found digit by digit: exact, in bounded memory, and the blocks are read again."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import dask.array as da
import geopandas
import hypothesis.strategies as st
import numpy as np
import pytest
import shapely
import xarray as xr
from dask.callbacks import Callback
from hypothesis import HealthCheck, settings
from hypothesis import given as examples
from hypothesis.extra import numpy as arrays

from openeo_processes_dask import selecting
from openeo_processes_dask.kernels import compiled, selection
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of
from tests.laziness import nothing_computed

FLOATS = ["float16", "float32", "float64", ">f4"]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
PASSES = {"uint8": 1, "int16": 1, "float16": 1, "float32": 2, "int32": 2, "float64": 4, "uint64": 4}


# --- the kernel


def ranked(how: selection.Digits, blocks: list[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """The values of wanted ranks (rows, ranks) of rows that are cut into blocks."""
    rows = np.arange(len(wanted))[:, None]

    def found(level: int, chosen: Any) -> selection.Counts:
        parts = [selection.counted(how, level, b, np.array([0, b.shape[1]]), rows, chosen) for b in blocks]
        return selection.merged(parts)

    first = found(0, None)
    groups, valid, _ = selection.totals(how, first)
    np.testing.assert_array_equal(groups, rows[:, 0])
    chosen = selection.begun(how, first, groups, valid, np.where(valid[:, None] > 0, wanted, 0))
    for level in range(1, how.levels):
        chosen = selection.refined(how, level, found(level, chosen), chosen)
    return np.where(valid[:, None] > 0, selection.values_of(how, chosen), 0)


@pytest.mark.parametrize("by_loops", [False, True])
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@examples(data=st.data())
def test_ranks_are_found_as_by_sorting(
    dtype: str, by_loops: bool, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "LEAST", 1 if by_loops else 1 << 62)
    kind = np.dtype(dtype)
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 30)))
    some = (
        st.sampled_from([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.0, 1e-7, 6e4])
        if kind.kind == "f"
        else None
    )
    values = data.draw(arrays.arrays(kind, shape, elements=some))
    missing = np.isnan(values) if kind.kind == "f" else np.zeros(shape, bool)
    valid = shape[1] - missing.sum(1)
    shares = np.array(data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=4)))
    wanted = np.minimum((valid[:, None] * shares).astype(int), np.maximum(valid[:, None] - 1, 0))
    cut = data.draw(st.integers(0, shape[1]))
    how = selection.digits(kind, data.draw(st.sampled_from([0, 1 << 11, 1 << 16])))
    found = ranked(how, [values[:, :cut], values[:, cut:]] if 0 < cut < shape[1] else [values], wanted)
    expected = np.take_along_axis(np.sort(values, 1), wanted, 1)  # NaN comes last
    np.testing.assert_array_equal(found, np.where(valid[:, None] > 0, expected, 0))


@pytest.mark.parametrize("dtype", sorted(PASSES))
def test_values_have_as_many_digits_as_they_are_gone_through(dtype: str) -> None:
    assert selection.digits(np.dtype(dtype), 1 << 20).levels == PASSES[dtype]


def test_little_room_makes_more_digits_that_are_shorter() -> None:
    assert [selection.digits(np.dtype("float32"), room).levels for room in (1 << 16, 1 << 15, 1 << 10, 0)] == [
        2,
        3,
        4,
        4,
    ]


# --- planes


def awkward(dtype: str) -> np.ndarray:
    """Planes with ties, gaps, infinities, zeros of both signs, nothing, and a single value."""
    rng = np.random.default_rng(3)
    kind = np.dtype(dtype)
    if kind.kind != "f":
        limits = np.iinfo(kind)
        values = rng.integers(limits.min, limits.max, (5, 2, 31, 47), kind, endpoint=True)
        values[1] = rng.integers(0, 4, values[1].shape)
        return values
    values = (rng.normal(size=(5, 2, 31, 47)) * 50).astype(kind)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[1] = np.round(values[1] / 20)
    values[2, 0], values[2, 1], values[2, 1, 5, 6] = np.nan, np.nan, -0.0
    values[3, 0, :20], values[3, 1, ::2] = np.inf, -np.inf
    values[4, 0] = np.abs(np.nan_to_num(values[4, 0]))
    return values


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("sides", [(9, 47), (8, 10)])
def test_medians_of_planes_are_those_of_numpy_bit_for_bit(dtype: str, sides: tuple[int, int]) -> None:
    array = awkward(dtype)
    with nothing_computed():
        result = cubes.reduce_spatial(cases.cube(array, {"t": 2, "y": sides[0], "x": sides[1]}), "median")
    as_floats = array if array.dtype.kind == "f" else array.astype("f4" if array.itemsize <= 2 else "f8")
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning) if array.dtype.kind == "f" else np.errstate():
        expected = np.nanmedian(as_floats.reshape(5, 2, -1), 2)
    got = result.values
    assert got.dtype == result.dtype
    np.testing.assert_array_equal(got, expected)
    if array.dtype.kind == "f":
        assert np.signbit(got[2, 1])  # the only value is -0.0, which the mean that numpy takes of it is not


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint64"])
def test_quantiles_are_those_of_numpy(dtype: str) -> None:
    """Quarters of whole numbers are exact; elsewhere numpy rounds between neighbours in another order."""
    array = awkward(dtype)
    if array.dtype.kind == "f":
        array = np.nan_to_num(np.round(array), posinf=9, neginf=-9)
    process = child(
        q=node("quantiles", data=given("data"), probabilities=[0.25, 0.75]),
        least=node("array_element", data=of("q"), index=0),
        most=node("array_element", data=of("q"), index=1),
        apart=node("subtract", x=of("most"), y=of("least")),
    )
    result = cubes.reduce_spatial(cases.cube(array, {"t": 2, "y": 8, "x": 10}), process)
    whole = cubes.reduce_spatial(cases.cube(array), process)
    np.testing.assert_array_equal(result.values, whole.values)
    low, high = np.quantile(array.astype("f8").reshape(5, 2, -1), [0.25, 0.75], axis=2)
    np.testing.assert_allclose(result.values, high - low, rtol=0 if array.dtype.kind == "f" else 1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_a_declared_nodata_value_is_left_out(dtype: str) -> None:
    array = np.where(np.arange(47) % 5 == 0, 7, np.nan_to_num(awkward(dtype), posinf=1, neginf=2)).astype(dtype)
    result = cubes.reduce_spatial(cases.cube(array, {"t": 2, "y": 8, "x": 10}, nodata=7), "median")
    np.testing.assert_array_equal(
        result.values, np.nanmedian(cases.gapped(array, 7).reshape(5, 2, -1), 2).astype(result.dtype)
    )


MIXED = {
    "heeding gaps": child(m=node("median", data=given("data"), ignore_nodata=False)),
    "before": child(b=node("multiply", x=given("data"), y=2), m=node("median", data=of("b"))),
    "after": child(m=node("median", data=given("data")), s=node("add", x=of("m"), y=given("context"))),
    "beside a mean": child(m=node("median", data=given("data")), n=node("mean", data=given("data")),
                           s=node("subtract", x=of("m"), y=of("n"))),
    "listed": child(m=node("median", data=given("data")), n=node("max", data=given("data")),
                    s=node("mean", data=[of("m"), of("n")])),
    "of a list": child(s=node("max", data=[given("data"), 1]), m=node("median", data=of("s"))),
    "a value of an order": child(o=node("sort", data=given("data")), m=node("array_element", data=of("o"), index=3)),
    "twice": child(m=node("median", data=given("data")), d=node("subtract", x=given("data"), y=of("m")),
                   n=node("median", data=of("d"))),
}  # fmt: skip
IN_PASSES = set(MIXED) - {"a value of an order", "twice"}


@pytest.mark.parametrize("name", sorted(MIXED))
def test_child_processes_give_what_they_give_of_whole_planes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    passes = selecting._passes

    def in_passes(plan: Any, data: Any) -> Any:
        done.append(plan)
        return passes(plan, data)

    monkeypatch.setattr(selecting, "_passes", in_passes)
    array = awkward("float32")
    array[3] = 5
    with nothing_computed():
        result = cubes.reduce_spatial(cases.cube(array, {"t": 2, "y": 8, "x": 10}), MIXED[name], context=4)
    assert bool(done) == (name in IN_PASSES)  # the others see all values of a plane at once
    np.testing.assert_allclose(result, cubes.reduce_spatial(cases.cube(array), MIXED[name], context=4), rtol=2e-6)


# --- what is read and kept


class Kept(Callback):
    """The most bytes of blocks that are held at a time."""

    def __init__(self) -> None:
        self.most = 0

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        self.most = max(self.most, sum(v.nbytes for v in state["cache"].values() if isinstance(v, np.ndarray)))


def source(reads: Counter[Any], dtype: str, side: int = 128, chunk: int = 16) -> xr.DataArray:
    """A cube that counts how often each of its blocks is read."""

    def read(block_id: tuple[int, ...]) -> np.ndarray:
        reads[block_id] += 1
        return np.random.default_rng(block_id).integers(0, 100, (2, 1, chunk, chunk)).astype(dtype)

    chunks = ((2, 2), (1,), (chunk,) * (side // chunk), (chunk,) * (side // chunk))
    data = da.map_blocks(read, chunks=chunks, dtype=dtype, meta=np.empty((0,) * 4, dtype))
    return xr.DataArray(data, dims=cases.DIMS)


@pytest.mark.parametrize(("dtype", "passes"), [("uint8", 1), ("int16", 2), ("float32", 4), ("float64", 8)])
def test_blocks_are_read_once_for_each_pass_and_not_kept(dtype: str, passes: int) -> None:
    reads: Counter[Any] = Counter()
    cube = source(reads, dtype)
    with nothing_computed():
        result = cubes.reduce_spatial(cube, "median")
    with Kept() as kept:
        result.compute(scheduler="sync")
    assert set(reads.values()) == {passes}, reads  # blocks of 256 pixels leave little room for digits
    assert len(reads) == 128
    assert kept.most <= 4 * 2 * 16 * 16 * np.dtype(dtype).itemsize


def test_few_blocks_of_a_plane_are_read_once() -> None:
    reads: Counter[Any] = Counter()
    cubes.reduce_spatial(source(reads, "float32", 32), "median").compute(scheduler="sync")
    assert set(reads.values()) == {1}
    assert len(reads) == 8


def test_the_same_graph_has_the_same_names() -> None:
    cube = cases.cube(awkward("float32"), {"t": 2, "y": 8, "x": 10})
    names = [set(dict(cubes.reduce_spatial(cube, "median").data.dask)) for _ in range(2)]
    assert names[0] == names[1]


# --- zones


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("reducer", ["median", "beside a mean"])
def test_large_geometries_have_what_whole_cubes_say(dtype: str, reducer: str) -> None:
    array = np.nan_to_num(awkward(dtype), nan=np.nan, posinf=8, neginf=-8) if dtype[0] == "f" else awkward(dtype)
    process = MIXED.get(reducer, reducer)
    shapes = [shapely.box(0, 0, 470, 310), shapely.Point(200, 150).buffer(140), shapely.box(900, 0, 990, 9),
              shapely.box(10, 10, 18, 18), shapely.box(5, 5, 460, 155)]  # fmt: skip
    moved = [shapely.transform(s, lambda at: np.stack([600_000 + at[:, 0], 5_000_000 - at[:, 1]], 1)) for s in shapes]
    geometries = geopandas.GeoSeries(moved, crs=32632)
    for target in (None, "counts"):
        whole = cubes.aggregate_spatial(cases.cube(array), geometries, process, target, context=4)
        for chunks in ({"t": 5, "y": 8, "x": 12}, {"t": 5, "bands": 2, "y": 8, "x": 9}):
            with nothing_computed():
                result = cubes.aggregate_spatial(cases.cube(array, chunks), geometries, process, target, context=4)
            assert result.dtype == whole.dtype
            exact = {"rtol": 0} if reducer == "median" else {"rtol": 1e-5, "atol": 1e-4}
            np.testing.assert_allclose(result.values, whole.values, **exact)


def test_tasks_under_large_geometries_grow_with_the_chunks() -> None:
    everywhere = shapely.box(0, 4_000_000, 900_000, 6_000_000)
    found = []
    for across in (8, 16, 32, 64):
        data = da.zeros((2, 1, 1024, 256 * across), dtype="float32", chunks=(1, 1, 256, 256))
        cube = xr.DataArray(
            data, dims=cases.DIMS, coords={"y": 5e6 - np.arange(1024), "x": 6e5 + np.arange(256 * across)}
        )
        cube = cube.rio.write_crs(32632)
        found.append(
            cases.tasks(cubes.aggregate_spatial(cube, geopandas.GeoSeries([everywhere] * 3, crs=32632), "median"))
        )
    # A chunk of 256² pixels is read twice and counted twice for each of the three, with a tree over eight at a time;
    # its runs are made once for both dates. Larger chunks leave room to count several geometries in one task.
    assert found[-1] / (2 * 4 * 64) <= 2 + 2 * 3 * 8 / 7 + 1 / 2 + 0.1, found
    assert all(more <= 2.1 * few for few, more in itertools.pairwise(found)), found
