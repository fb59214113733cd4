"""What every process on cubes promises, on the cubes and by the calls of its suites."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback

from benchmarks import metrics
from benchmarks.suite import Size, Suite, suites
from openeo_processes_dask import dimensions
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.vocabulary import Scaling
from tests.laziness import nothing_computed

CHUNKS = (3, 4, 16, 16)
SMALL = Size((6, 4, 32, 32), CHUNKS)
AXES = {"t": 0, "y": 2, "x": 3}
# Files are another matter than graphs of cubes, see the tests of loading and saving.
FILES = ("cubes.load", "cubes.save", "cubes.vector")
CASES = [
    (name, case)
    for name, suite in suites().items()
    if name.startswith(("cubes.", "udf.")) and not name.startswith(FILES) and suite.lazy()
    for case in suite.cases()
]
# Which cases must see which dimensions as a whole, and so rechunk once.
WHOLE: dict[tuple[Any, ...], str] = {
    **dict.fromkeys([("ApplyDimensionAcrossChunks",), ("FitCurve",), ("RunUdf",), ("ResampleCubeTemporal", 20)], "t"),
    ("ReduceDimensionAcrossChunks", "median"): "t",
    **{("AggregateSpatial", count, "median"): "yx" for count in (16, 64, 1000)},  # all pixels of a polygon
}
# Polygons of more pixels than a few chunks are reduced in passes, some of them together: along x, where they come to
# cover the cube several times, their tasks are at most so many a chunk.
IN_PASSES = {("AggregateSpatial", 16, "median"): 12, ("AggregateSpatial", 64, "median"): 24}
WINDOWS = {"cubes.apply.ApplyNeighborhood"}  # whose size the caller chooses, here of all dates
IDS = [f"{name}{case or ''}" for name, case in CASES]


def made(name: str, size: Size = SMALL, change: Callable[[xr.DataArray], xr.DataArray] = copy.copy) -> Suite:
    """A suite whose inputs have a size, and are changed in some way."""
    suite = suites()[name]()
    suite.sizes = {**suite.sizes, "promises": size}  # type: ignore[misc]
    suite.size = "promises"
    suite.prepare = change
    return suite


def built(suite: Suite, case: tuple[Any, ...]) -> Any:
    suite.inputs(*case)
    return suite.build(*case)


def promised(name: str) -> set[Scaling]:
    return {DECLARED[id_].scaling for id_ in suites()[name].ids()}


def test_every_process_on_cubes_is_held_to_its_promises() -> None:
    held = {id_ for name, _ in CASES for id_ in suites()[name].ids()}
    lazily = {
        id_
        for id_, process in DECLARED.items()
        if ".cubes." in process.function.__module__ and process.scaling is not Scaling.EAGER
        if not process.function.__module__.rpartition(".")[2].startswith(("load", "save", "vector"))
    }
    assert lazily <= held


def grows(name: str, case: tuple[Any, ...], dimension: str) -> tuple[int, int, int]:
    """Tasks where a dimension has so many chunks, twice as many, and four times as many."""

    def tasks(times: int) -> int:
        shape = tuple(n * times if i == AXES[dimension] else n for i, n in enumerate(SMALL.shape))
        return metrics.tasks_of(built(made(name, Size(shape, CHUNKS)), case))

    first = 4 if dimension == "t" else 2  # a few dates are handled together, many are not
    if dimension == "x" and (name.rpartition(".")[2], *case) in IN_PASSES:
        first = 16
    return tasks(first), tasks(2 * first), tasks(4 * first)


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_tasks_grow_in_proportion_to_chunks(name: str, case: tuple[Any, ...]) -> None:
    for dimension in AXES:
        if (name, dimension) == ("cubes.filter.FilterBbox", "x"):
            continue  # its box is as high as a quarter of the columns
        few, more, many = grows(name, case, dimension)
        key = (name.rpartition(".")[2], *case)
        if dimension == "x" and key in IN_PASSES:
            for count, times in ((few, 16), (more, 32), (many, 64)):
                chunks = times * np.prod([n // m for n, m in zip(SMALL.shape, CHUNKS, strict=True)])
                assert count <= IN_PASSES[key] * chunks, f"{count} tasks for {chunks} chunks"
        elif dimension in WHOLE.get(key, ()) and key not in IN_PASSES:
            # A rechunk cuts each chunk into as many pieces as it has neighbours to meet.
            assert many - more <= 6 * (more - few), f"{dimension}: {few}, {more}, {many} tasks"
        else:
            # Twice as many chunks are added the second time. A tree has a few tasks above its leaves. Where polygons
            # decide which chunks are met, the first step can be short; then twice the chunks are twice the tasks.
            assert many <= max(more + 2.2 * (more - few) + 8, 2.05 * more), f"{dimension}: {few}, {more}, {many} tasks"


class Largest(Callback):
    """The largest block that any task returned, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        self.bytes = max(self.bytes, *(block.nbytes for block in _arrays(result)), 0)


def _arrays(result: Any) -> Iterator[np.ndarray]:
    if isinstance(result, np.ndarray):
        yield result
    elif isinstance(result, (list, tuple)):
        for inner in result:
            yield from _arrays(inner)


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_no_block_is_larger_than_four_of_the_input(name: str, case: tuple[Any, ...]) -> None:
    if Scaling.SHUFFLE in promised(name) or (name.rpartition(".")[2], *case) in WHOLE or name in WINDOWS:
        pytest.skip("must see a whole dimension")
    suite = made(name, Size((24, 4, 64, 64), CHUNKS))
    suite.inputs(*case)
    inputs = [c.data for c in vars(suite).values() if isinstance(c, xr.DataArray) and c.chunks]
    limit = 4 * max(np.prod(data.chunksize) * data.dtype.itemsize for data in inputs)
    with Largest() as largest:
        dask.compute(suite.build(*case), scheduler="sync")
    assert largest.bytes <= limit + 2**10  # what is written down of a block is not the block


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_inputs_stay_as_they_are_and_results_can_be_stored(name: str, case: tuple[Any, ...], tmp_path: Path) -> None:
    suite = made(name)
    suite.inputs(*case)
    cubes = {key: c for key, c in vars(suite).items() if isinstance(c, xr.DataArray)}
    before = {key: (c.copy(deep=True), c.data, dict(c.encoding), c.name) for key, c in cubes.items()}
    with nothing_computed():
        result = suite.build(*case)
    for key, (kept, data, encoding, label) in before.items():
        xr.testing.assert_identical(cubes[key].drop_vars([]).coords.to_dataset(), kept.coords.to_dataset())
        assert (cubes[key].attrs, cubes[key].encoding, cubes[key].name) == (kept.attrs, encoding, label)
        assert cubes[key].data is data
    if not isinstance(result, xr.DataArray) or dimensions.of_role(result, "geometry"):
        return
    source = next(iter(cubes.values()))
    if dimensions.of_role(result, "x") and "Resample" not in name and "CreateDataCube" not in name:
        assert dimensions.crs(result) == dimensions.crs(source)
    result = result.compute()
    for written, reader in ((tmp_path / "c.nc", xr.open_dataset), (tmp_path / "c.zarr", xr.open_zarr)):
        dataset = result.to_dataset(name="values")
        dataset.to_netcdf(written) if written.suffix == ".nc" else dataset.to_zarr(written, zarr_format=2)
        with reader(written, decode_coords="all") as again:
            np.testing.assert_array_equal(again["values"].values.astype(float), result.values.astype(float))
            if dimensions.of_role(result, "x") and dimensions.crs(result) is not None:
                assert again["values"].rio.crs == result.rio.crs
                assert again["values"].encoding["grid_mapping"] == "spatial_ref"


def ascending(cube: xr.DataArray) -> xr.DataArray:
    return cube.isel(y=slice(None, None, -1))


def integers(cube: xr.DataArray) -> xr.DataArray:
    return cube.fillna(0).astype("int16").assign_attrs(cube.attrs, nodata=0) if cube.dtype.kind == "f" else cube


def transposed(cube: xr.DataArray) -> xr.DataArray:
    return cube.transpose("x", "bands", "t", "y") if {"x", "bands", "t", "y"} == set(cube.dims) else cube


def unnamed(cube: xr.DataArray) -> xr.DataArray:
    return cube.rename(None)


def all_gaps(cube: xr.DataArray) -> xr.DataArray:
    return cube.where(False) if cube.dtype.kind == "f" else cube


def in_uneven_chunks(cube: xr.DataArray) -> xr.DataArray:
    pieces = {"t": (1, 5), "y": (7, 20, 5), "x": (31, 1), "bands": (1, 3)}
    return cube.chunk({d: pieces[d] for d in cube.dims if d in pieces and sum(pieces[d]) == cube.sizes[d]})


VARIANTS = [ascending, integers, transposed, unnamed, all_gaps, in_uneven_chunks]
SIZES = {
    "one pixel": Size((6, 4, 1, 1), (3, 4, 1, 1)),
    "one date": Size((1, 4, 32, 32), (1, 4, 16, 16)),
    "as many dates as rows": Size((16, 4, 16, 16), (3, 4, 5, 16)),
}


# What the calls of a suite are not meant for.
NOT_MEANT = {
    **dict.fromkeys(
        [(name, "all_gaps") for name in ("ApplyNeighborhood", "ApplyNeighborhoodOfDates", "ApplyPolygonOfUsers")],
        "its child process warns of windows without values",
    ),
    ("PredictCurve", "one date"): "its parameters are three dates",
    ("FilterBbox", "ascending"): "its box is made of rows that descend",
    **dict.fromkeys([("FilterSpatial", "one pixel"), ("MaskPolygon", "one pixel")], "its polygons have no area"),
}


def _threads(name: str) -> dict[str, str]:
    """How a case is computed: code of users calls xarray, which silences warnings for all threads of the process.

    One that ends while another has just begun lets that other's warnings through, which are errors here.
    """
    return {"scheduler": "sync"} if name.startswith("udf.") else {}


@pytest.mark.parametrize("variant", [*VARIANTS, *SIZES], ids=lambda v: getattr(v, "__name__", v))
@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_chunks_make_no_difference(name: str, case: tuple[Any, ...], variant: Any) -> None:
    if (name.rpartition(".")[2], getattr(variant, "__name__", variant)) in NOT_MEANT:
        pytest.skip("not meant for that")
    change = copy.copy if isinstance(variant, str) else variant
    size = SIZES.get(variant, SMALL) if isinstance(variant, str) else SMALL
    lazily = built(made(name, size, change), case)
    eager = built(made(name, size, lambda cube: change(cube).compute()), case)
    if not isinstance(lazily, xr.DataArray):
        np.testing.assert_allclose(np.asarray(lazily, float), np.asarray(eager, float), rtol=1e-5)
        return
    assert (lazily.dims, lazily.name, lazily.dtype) == (eager.dims, eager.name, eager.dtype)
    xr.testing.assert_identical(lazily.coords.to_dataset(), eager.coords.to_dataset())
    assert lazily.attrs == eager.attrs
    got, wanted = lazily.compute(**_threads(name)).values, np.asarray(eager)
    largest = np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0) if wanted.dtype.kind in "if" else 0
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6 * float(largest))
