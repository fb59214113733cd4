"""Tests of benchmarks.scenes.synthetic."""

from __future__ import annotations

import contextlib
import sys
import time

import dask
import dask.base
import distributed
import numpy as np
import pytest

from benchmarks.scenes import synthetic


def refuse_to_compute(*_, **__):
    raise AssertionError("building a cube computes nothing")


def test_four_tebibytes_are_built_at_once():
    with dask.config.set(scheduler=refuse_to_compute):
        started = time.perf_counter()
        cube = synthetic((256, 4, 32768, 32768), salt="any")
        size = len(distributed.protocol.pickle.dumps(dask.base.collections_to_expr((cube,))))
    assert time.perf_counter() - started < 2
    assert cube.nbytes == 4 * 2**40
    assert cube.data.npartitions == 176_128
    assert size < 5e6


def test_one_task_per_block():
    cube = synthetic((12, 4, 64, 64), (6, 4, 32, 32))
    assert len(dask.optimize(cube)[0].__dask_graph__()) == cube.data.npartitions == 8


def test_synthetic_cubes_are_labelled_and_georeferenced():
    cube = synthetic((3, 4, 20, 30), (1, 4, 10, 10))
    assert cube.dims == ("t", "bands", "y", "x")
    assert cube.dtype == "float32"
    assert list(cube.bands.values) == ["B02", "B03", "B04", "B08"]
    assert cube.indexes["t"].is_monotonic_increasing
    assert cube.indexes["y"].is_monotonic_decreasing
    assert cube.indexes["x"].is_monotonic_increasing
    assert cube.rio.crs.to_epsg() == 32632
    assert len(synthetic((1, 12, 2, 2)).bands) == len(set(synthetic((1, 12, 2, 2)).bands.values)) == 12


@pytest.mark.parametrize("gaps", [0.0, 0.15, 0.9])
def test_the_share_of_gaps_is_right(gaps):
    cube = synthetic((4, 2, 256, 256), (2, 2, 128, 128), gaps=gaps).compute()
    assert float(np.isnan(cube).mean()) == pytest.approx(gaps, abs=0.005)
    assert 1 <= float(cube.min()) < 20
    assert 9_980 < float(cube.max()) <= 10_000
    assert float(cube.mean()) == pytest.approx(5_000, rel=0.02)


def test_integers_say_what_no_data_is():
    cube = synthetic((2, 2, 64, 64), dtype="uint16", gaps=0.2)
    assert cube.dtype == "uint16"
    assert cube.attrs["nodata"] == 0
    assert float((cube == 0).mean()) == pytest.approx(0.2, abs=0.02)


def test_synthetic_values_follow_from_the_seed_and_not_from_the_salt():
    cube = synthetic((4, 2, 64, 64), (2, 2, 32, 32))
    salted = synthetic((4, 2, 64, 64), (2, 2, 32, 32), salt="second run")
    other = synthetic((4, 2, 64, 64), (2, 2, 32, 32), seed=1)
    assert cube.data.name == synthetic((4, 2, 64, 64), (2, 2, 32, 32)).data.name
    assert cube.data.name != salted.data.name
    assert np.array_equal(cube, salted, equal_nan=True)
    assert not np.array_equal(cube, other, equal_nan=True)
    blocks = {part.tobytes() for part in dask.compute(*cube.data.to_delayed().ravel())}
    assert len(blocks) == 8


def test_synthetic_cubes_compute_where_the_benchmarks_do_not_exist():
    cube = synthetic((4, 2, 64, 64), (2, 2, 32, 32))

    def forget():
        sys.modules["benchmarks"] = None

    def knows():
        with contextlib.suppress(ImportError):
            import benchmarks  # noqa: F401

            return True
        return False

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.run(forget)
        assert not any(client.run(knows).values())
        remote = client.compute(cube.data).result(timeout=30)
    assert np.array_equal(remote, cube.data.compute(scheduler="sync"), equal_nan=True)


@pytest.mark.parametrize(
    "wrong",
    [{"shape": (1, 2, 3)}, {"shape": (0, 1, 1, 1)}, {"gaps": 1.0}, {"gaps": -0.1}, {"dtype": "uint8"}, {"dtype": "U3"}],
)
def test_impossible_cubes_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        synthetic(**wrong)
