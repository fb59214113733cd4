"""Code of users on blocks, windows, features and plain values."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import cloudpickle
import dask
import geopandas
import numpy as np
import pytest
import shapely
import xarray as xr

from openeo_processes_dask import exceptions
from openeo_processes_dask.execution import execute
from openeo_processes_dask.process_implementations import cubes, run_udf
from tests.cubes import cases
from tests.cubes.cases import child, given, node
from tests.cubes.conftest import serve  # noqa: F401 - a fixture
from tests.laziness import nothing_computed
from tests.test_callbacks import parsed

HEAD = "import numpy as np\nimport rioxarray\nimport xarray\n"
TWICE = HEAD + dedent("""
    def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
        return cube * context.get("factor", 2)
""")
POSITIONS = HEAD + dedent("""
    def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
        assert cube.dims == ("t", "bands", "y", "x"), cube.dims
        assert cube.rio.crs.to_epsg() == 32632
        days = (cube.t - np.datetime64("2023-04-03")) / np.timedelta64(1, "D")
        return 0 * cube.fillna(0) + days + cube.x + cube.y / 1e6
""")
MEAN = HEAD + dedent("""
    def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
        return cube.mean("t")
""")
DIFFERENCES = HEAD + dedent("""
    def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
        return cube.diff("t").transpose("bands", "t", "y", "x").rename(t="step")
""")
WRONG = HEAD + dedent("""
    def half(value):
        return value / 0

    def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
        if cube.sizes["x"] > 1:
            half(1)
        return cube
""")
SERIES = dedent("""
    import pandas as pd

    def apply_timeseries(series: pd.Series, context: dict) -> pd.Series:
        return series - series[0]
""")
LAYOUTS: list[Any] = [None, cases.AWKWARD, {"t": -1, "y": 2}]


def udf(code: str, **arguments: Any) -> dict[str, Any]:
    return child(u=node("run_udf", data=given("data"), udf=code, runtime="Python", **arguments))


def on_values(code: str, **arguments: Any) -> dict[str, Any]:
    return child(u=node("run_udf", data=given("x"), udf=code, runtime="Python", **arguments))


def places(cube: xr.DataArray) -> np.ndarray:
    days = ((cube.t - np.datetime64("2023-04-03")) / np.timedelta64(1, "D")).values.reshape(-1, 1, 1, 1)
    return np.broadcast_to(days + cube.x.values + cube.y.values[:, None] / 1e6, cube.shape)


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_blocks_have_their_dimensions_labels_and_reference_system(chunks: Any) -> None:
    cube = cases.cube(chunks=chunks)
    with nothing_computed():
        results = [
            cubes.apply(cube, on_values(POSITIONS)),
            cubes.apply_dimension(cube, udf(POSITIONS), "t"),
            run_udf(cube, POSITIONS, "Python"),
            cubes.apply_neighborhood(cube, udf(POSITIONS), [{"dimension": "x", "value": 3, "unit": "px"}]),
        ]
    for result in results:
        np.testing.assert_allclose(result, places(cube), rtol=1e-6)
        assert result.dims == cube.dims
        xr.testing.assert_identical(result.coords.to_dataset(), cube.coords.to_dataset())


def test_both_executors_run_it_with_its_context() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    process = on_values(TWICE, context={"factor": 3}, version=platform.python_version())
    graph = {"a": {**node("apply", data=given("cube"), process=process), "result": True}}
    for result in (execute(graph, {"cube": cube}), parsed(graph, cube=cube)):
        np.testing.assert_allclose(result, cube.values * 3)
        assert result.dtype == np.float32
        assert cases.tasks(result.data) - cases.tasks(cube.data) <= cube.data.npartitions + 1


@pytest.mark.parametrize("chunks", LAYOUTS)
def test_rows_are_whole_and_may_become_one_value_or_others(chunks: Any) -> None:
    array = cases.values()
    cube = cases.cube(array, chunks)
    with nothing_computed():
        mean = cubes.reduce_dimension(cube, udf(MEAN), "t")
        steps = cubes.apply_dimension(cube, udf(DIFFERENCES), "t", target_dimension="step")
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(mean, cube.compute().mean("t"), rtol=1e-5)
    np.testing.assert_allclose(steps, np.diff(array, axis=0), rtol=1e-5)
    assert steps.dims == ("step", "bands", "y", "x")
    series = cubes.apply_dimension(cube, udf(SERIES), "t")
    np.testing.assert_allclose(series, array - array[:1], rtol=1e-5)


def test_it_runs_in_another_process(client: Any) -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    result = cubes.apply_dimension(cube, udf(POSITIONS), "t")
    np.testing.assert_allclose(client.compute(result).result(timeout=60), places(cube), rtol=1e-6)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_integers_come_with_gaps_as_nan() -> None:
    array = cases.values(dtype="int16")
    count = HEAD + dedent("""
        def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
            assert "nodata" not in cube.attrs
            return cube.count("t")
    """)
    for chunks in (None, cases.AWKWARD):
        result = cubes.reduce_dimension(cases.cube(array, chunks, nodata=0), udf(count), "t")
        np.testing.assert_array_equal(result, (array != 0).sum(0))


def test_windows_bring_rims_with_labels() -> None:
    smooth = HEAD + dedent("""
        def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
            assert (np.diff(cube.x) == 10).all() and (np.diff(cube.y) == -10).all()
            assert cube.sizes["x"] == cube.sizes["y"] == 4
            return cube.fillna(0).rolling(x=3, center=True, min_periods=1).sum()
    """)
    array = np.nan_to_num(cases.values()).astype("float64")
    cube = cases.cube(array, {"y": 2, "x": 4})
    two = [{"dimension": name, "value": 2, "unit": "px"} for name in ("x", "y")]
    one = [{"dimension": name, "value": 1, "unit": "px"} for name in ("x", "y")]
    result = cubes.apply_neighborhood(cube, udf(smooth), two, one)
    padded = np.pad(array, [(0, 0)] * 3 + [(1, 1)])
    np.testing.assert_allclose(result, padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:], atol=1e-9)


def test_plain_values_features_and_vector_cubes() -> None:
    total = "from openeo.udf import *\n" + dedent("""
        def apply(data: UdfData):
            [one] = data.get_structured_data_list()
            data.set_structured_data_list([StructuredData(sum(one.data) * data.user_context["by"])])
    """)
    assert run_udf([1, 2, 3], total, "Python", context={"by": 2}) == 12
    table = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=shapely.points([[0, 0], [1, 1]]), crs=4326)
    more = "from openeo.udf import *\n" + dedent("""
        def apply(data: UdfData):
            [one] = data.get_feature_collection_list()
            data.set_feature_collection_list([FeatureCollection("more", one.data.assign(n=one.data.n + 1))])
    """)
    assert run_udf(table, more, "Python").n.tolist() == [2, 3]
    assert table.n.tolist() == [1, 2]
    vectors = xr.DataArray(
        [[1.0, 2.0], [3.0, 4.0]],
        dims=("geometry", "t"),
        coords={"geometry": table.geometry.values},
        attrs={"crs": 4326},
    )
    shifted = "import geopandas\nimport xarray\n" + dedent("""
        def apply_vectorcube(
            geometries: geopandas.geodataframe.GeoDataFrame, cube: xarray.DataArray, context: dict
        ) -> tuple:
            return geometries, cube + geometries.geometry.x.values[:, None]
    """)
    for cube in (vectors, vectors.chunk(geometry=1)):
        np.testing.assert_allclose(run_udf(cube, shifted, "Python"), [[1, 2], [4, 5]])


@pytest.mark.parametrize("chunks", [None, cases.AWKWARD])
def test_an_error_of_the_code_says_where_it_came_from(chunks: Any) -> None:
    result = cubes.apply(cases.cube(chunks=chunks), on_values(WRONG)) if chunks else None
    with pytest.raises(exceptions.UserCodeFailed) as caught:
        (cubes.apply(cases.cube(), on_values(WRONG)) if result is None else result).compute(scheduler="sync")
    said = str(caught.value)
    assert said.startswith("the user's code failed: ZeroDivisionError: division by zero")
    assert "line 6 in half: return value / 0" in said
    assert "in apply_datacube: half(1)" in said
    assert str(cloudpickle.loads(cloudpickle.dumps(caught.value))) == said


def test_what_cannot_be_tried_is_taken_to_keep_its_shape(caplog: pytest.LogCaptureFixture) -> None:
    never = HEAD + dedent("""
        def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
            assert not (cube == 1).all(), "these are ones"
            return cube
    """)
    cube = cases.cube(cases.values(dtype="int16"), cases.AWKWARD)
    result = cubes.apply_dimension(cube, udf(never), "t")
    assert "these are ones" in caplog.text
    np.testing.assert_array_equal(result, cube)
    caplog.clear()
    with dask.config.set({"openeo.udf-trial": False}):
        untried = cubes.apply_dimension(cube, udf(never), "t")
        reduced = cubes.reduce_dimension(cube, udf(MEAN), "t")
    assert not caplog.text
    np.testing.assert_array_equal(untried, cube)
    np.testing.assert_allclose(reduced, cube.values.mean(0), rtol=1e-6)
    assert reduced.dtype == np.float32


def test_another_length_than_was_tried_is_an_error() -> None:
    with dask.config.set({"openeo.udf-trial": False}):
        result = cubes.apply_dimension(cases.cube(chunks=cases.AWKWARD), udf(DIFFERENCES), "t")
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"shape \(6, .* where \(7,"):
        result.compute(scheduler="sync")


def test_code_comes_from_files_of_the_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "twice.py").write_text(TWICE)
    (tmp_path / "secret.py").write_text(TWICE)
    (folder / "large.py").write_text("#" * 2**21)
    (folder / "binary.py").write_bytes(b"\xff\xfe\x00")
    (folder / "link.py").symlink_to(tmp_path / "secret.py")
    cube = cases.cube(chunks=cases.AWKWARD)
    with dask.config.set({"openeo.user-files": str(folder)}):
        for path in ("twice.py", "./twice.py", "/twice.py"):
            result = cubes.apply(cube, on_values(path))
            np.testing.assert_allclose(result, cube.values * 2)
        for path in ("../secret.py", "none.py", "link.py", "."):
            with pytest.raises(exceptions.FileNotFound, match="among those of the user"):
                cubes.apply(cube, on_values(path))
        for path in ("large.py", "binary.py"):
            with pytest.raises(exceptions.ProcessParameterInvalid, match=path):
                cubes.apply(cube, on_values(path))
    with pytest.raises(exceptions.FileNotFound, match=r"openeo\.user-files"):
        cubes.apply(cube, on_values("twice.py"))


def test_code_comes_from_allowed_hosts_only(tmp_path: Path, serve: tuple[str, dict[str, int]]) -> None:  # noqa: F811
    address, sent = serve
    (tmp_path / "twice.py").write_text(TWICE)
    cube = cases.cube(chunks=cases.AWKWARD)
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"nothing is read from '127\.0\.0\.1'"):
        cubes.apply(cube, on_values(f"{address}/twice.py"))
    assert not sent
    with dask.config.set({"openeo.url-hosts": ["127.0.0.1"]}):
        np.testing.assert_allclose(cubes.apply(cube, on_values(f"{address}/twice.py")), cube.values * 2)
        with pytest.raises(exceptions.ProcessParameterInvalid, match="404"):
            cubes.apply(cube, on_values(f"{address}/none.py"))
    assert sent["twice.py"] == len(TWICE)  # read once, not by each task


def test_bad_arguments_have_their_codes() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    major, minor, _ = platform.python_version_tuple()
    for right in (None, major, f"{major}.{minor}"):
        assert cubes.apply(cube, on_values(TWICE, version=right)).shape == cube.shape
    with pytest.raises(exceptions.InvalidVersion, match=r"'2\.7'"):
        cubes.apply(cube, on_values(TWICE, version="2.7"))
    with pytest.raises(exceptions.InvalidRuntime, match="'R'"):
        cubes.apply(cube, child(u=node("run_udf", data=given("x"), udf=TWICE, runtime="R")))
    with pytest.raises(exceptions.ProcessParameterInvalid, match="no Python"):
        cubes.apply(cube, on_values("def apply_datacube(:\n"))
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"none of apply_datacube, .* among \['f'\]"):
        cubes.apply(cube, on_values("def f(x):\n    return x\n"))
    with pytest.raises(exceptions.ProcessParameterInvalid, match="udf must be code"):
        run_udf(cube, "", "Python")
    renamed = TWICE.replace("return cube", 'return cube.rename(y="z")')
    with pytest.raises(exceptions.UserCodeFailed, match="'z', 'x'"):
        cubes.apply(cube, on_values(renamed)).compute(scheduler="sync")
