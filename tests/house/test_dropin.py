"""What consumers import from the package that this one replaces."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import openeo_processes_dask
from benchmarks.scenes import Scene
from openeo_processes_dask import aliases, process_implementations, specs
from openeo_processes_dask.declare import DECLARED
from tests import oracles

TAKEN = {"all", "and", "any", "if", "int", "max", "min", "not", "or", "round", "sum"}
WORKFLOW = Path(__file__).parents[2] / "examples" / "workflows" / "ndvi_composite.json"


def test_the_flat_namespace_holds_exactly_the_declared_processes_and_older_names() -> None:
    found = inspect.getmembers(process_implementations, inspect.isfunction)
    current = {id(function) for name, function in found if name not in aliases.PROCESSES}
    assert current == {id(p.function) for p in DECLARED.values()}
    assert len(found) == len(DECLARED) + len(aliases.PROCESSES) > 50
    assert {name for name, _ in found if name.startswith("_")} == {f"_{n}" for n in TAKEN & set(DECLARED)}
    for _, function in found:
        assert getattr(specs, function.__name__)["id"] == function.__name__.strip("_")


def test_the_specs_answer_and_lie_on_disk() -> None:
    folder = Path(str(openeo_processes_dask.__file__)).parent / "specs" / "openeo-processes"
    on_disk = {path.stem for path in folder.glob("*.json")}
    assert on_disk == {*DECLARED, *aliases.PROCESSES}
    assert json.loads((folder / "mean.json").read_text()) == specs.mean
    assert specs.load_collection["id"] == "load_collection"
    assert specs._min == specs.min_ == specs.min
    assert set(specs.__all__) == {f"_{n}" if n in TAKEN else n for n in (*DECLARED, *aliases.PROCESSES)}


ADDRESSES = {
    "process_implementations.core": ["process", "standard_processes"],
    "process_implementations.data_model": ["RasterCube", "VectorCube"],
    "process_implementations.exceptions": ["OpenEOException", "DimensionNotAvailable", "ProcessParameterMissing"],
    "process_implementations.math": ["mean", "add"],
    "process_implementations.arrays": ["array_element", "first", "last"],
    "process_implementations.comparison": ["gt", "eq"],
    "process_implementations.logic": ["and_", "if_"],
    "process_implementations.cubes": ["load_stac", "apply", "reduce_dimension", "mask", "ndvi"],
    "process_implementations.cubes._filter": ["filter_bbox", "_reproject_bbox"],
    "process_implementations.cubes._xr_interop": [
        "TEMPORAL_GUESSES",
        "X_GUESSES",
        "Y_GUESSES",
        "BANDS_GUESSES",
        "OpenEOExtensionDa",
    ],
    "process_implementations.cubes.merge": ["NEW_DIM_NAME", "NEW_DIM_COORDS", "FLOAT_TOLERANCE"],
    "process_implementations.cubes.load": ["load_stac"],
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_known_addresses_hold_their_names(address: str) -> None:
    importlib.import_module(f"openeo_processes_dask.{address}")
    module = sys.modules[f"openeo_processes_dask.{address}"]
    for name in ADDRESSES[address]:
        assert hasattr(module, name), f"{address} lacks {name}"


def test_a_name_is_the_function_and_its_address_the_module() -> None:
    from openeo_processes_dask.process_implementations import cubes

    assert inspect.isfunction(cubes.apply)
    assert inspect.ismodule(sys.modules["openeo_processes_dask.process_implementations.cubes.apply"])


def test_statistics_take_an_axis_like_numpy() -> None:
    from openeo_processes_dask.process_implementations import math

    data = np.random.default_rng(0).random((3, 4))
    np.testing.assert_allclose(
        math.mean(data=data, ignore_nodata=True, axis=0, keepdims=True), data.mean(0, keepdims=True)
    )


def cube(*dims: str) -> xr.DataArray:
    return xr.DataArray(np.zeros((1,) * len(dims)), dims=dims)


def test_the_accessor_guesses_dimensions_and_remembers_what_it_is_told() -> None:
    data = cube("DATE", "Band", "Latitude", "X", "extra")
    assert data.openeo.temporal_dims == ("DATE",)
    assert data.openeo.band_dims == ("Band",)
    assert (data.openeo.x_dim, data.openeo.y_dim) == ("X", "Latitude")
    assert data.openeo.spatial_dims == ("X", "Latitude")
    assert data.openeo.other_dims == ("extra",)
    with pytest.raises(NotImplementedError):
        _ = data.openeo.z_dim
    data.openeo.add_dim_type("extra", "temporal")
    later = (data + 1).isel(X=0).transpose("extra", ...)
    assert later.openeo.temporal_dims == ("extra", "DATE")
    assert later.openeo.x_dim is None
    for name, kind in (("nope", "temporal"), ("extra", "nonsense")):
        with pytest.raises(ValueError, match=name if name == "nope" else kind):
            data.openeo.add_dim_type(name, kind)
    assert xr.Dataset({"a": cube("t", "y", "x")}).openeo.temporal_dims == ("t",)


def files(scene: Scene) -> dict[str, Any]:
    return {"netCDF": scene.netcdf(), "zarr": scene.zarr()}


@pytest.mark.parametrize("kind", ["netCDF", "zarr"])
def test_the_clients_local_connection_runs_the_ndvi_composite(scene: Scene, tmp_path: Path, kind: str) -> None:
    from openeo.local import LocalConnection

    path = files(scene)[kind]
    graph = json.loads(WORKFLOW.read_text())["process_graph"]
    values = {"id": str(path), "spatial_extent": None, "temporal_extent": None, "path": str(tmp_path / "ndvi.tif")}
    connection = LocalConnection(str(path.parent))
    connection.execute(_filled(graph, values))
    import rasterio

    with rasterio.open(tmp_path / "ndvi.tif") as result:
        got = result.read(1)
    np.testing.assert_allclose(got, oracles.ndvi_composite(scene.cogs), rtol=1e-5, atol=1e-6)


def _filled(value: Any, parameters: dict[str, Any]) -> Any:
    """The graph with its parameters' values, for the client takes none."""
    if isinstance(value, dict):
        if set(value) == {"from_parameter"} and value["from_parameter"] in parameters:
            return parameters[value["from_parameter"]]
        return {k: _filled(v, parameters) for k, v in value.items()}
    return [_filled(v, parameters) for v in value] if isinstance(value, list) else value


def test_the_clients_registry_holds_every_process() -> None:
    from openeo.local.processing import PROCESS_REGISTRY

    assert {key[1] for key in PROCESS_REGISTRY} == {*DECLARED, *aliases.PROCESSES}


def test_the_flat_namespace_imports_in_little_time() -> None:
    def seconds(modules: str) -> float:
        code = f"import time; t = time.process_time(); import {modules}; print(time.process_time() - t)"
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    libraries = seconds("dask.array, xarray, pandas, rasterio, pyproj")
    ours = seconds("openeo_processes_dask.process_implementations")
    assert ours < libraries + 2.0, "processes import something heavy before it is needed"
