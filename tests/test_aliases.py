"""Names of older clients: processes and parameters of openEO processes 1.2."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from openeo_pg_parser_networkx import OpenEOProcessGraph, ProcessRegistry
from openeo_pg_parser_networkx.process_registry import Process

from openeo_processes_dask import aliases, process_implementations, specs
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.declare import DECLARED, declared
from openeo_processes_dask.exceptions import ProcessParameterUnsupported
from openeo_processes_dask.execution import execute
from openeo_processes_dask.process_implementations.core import process
from tests.cubes import cases
from tests.cubes.cases import child, given, node


def registry() -> ProcessRegistry:
    """As consumers fill it: by the names of the functions."""
    made = ProcessRegistry(wrap_funcs=[process])
    for _, function in inspect.getmembers(process_implementations, inspect.isfunction):
        spec = getattr(specs, function.__name__)
        made[function.__name__] = Process(spec=spec, implementation=function)
    return made


def parsed(graph: dict[str, Any], **parameters: Any) -> Any:
    return OpenEOProcessGraph({"process_graph": graph}).to_callable(registry())(named_parameters=parameters)


@pytest.mark.parametrize("name", aliases.PROCESSES)
def test_an_older_name_is_a_function_of_its_own_with_the_same_contract(name: str) -> None:
    function, current = getattr(process_implementations, name), DECLARED[aliases.PROCESSES[name]]
    assert function.__name__ == name
    assert inspect.signature(function) == current.signature
    assert declared(function) is current
    assert pickle.loads(pickle.dumps(function)) is function
    document, its = getattr(specs, name), getattr(specs, current.id)
    assert document == its | {"id": name, "deprecated": True}


def test_an_older_name_works_everywhere() -> None:
    graph = {"t": {**node("text_merge", data=["a", 1], separator="-"), "result": True}}
    assert execute(graph) == parsed(graph) == process_implementations.text_merge(["a", 1], "-") == "a-1"
    assert trace("text_merge", "data")({"data": ["a", 1]}) == "a1"
    assert execute({"c": node("create_raster_cube")}).ndim == 0


OLDER = [(process_id, old, new) for process_id, names in aliases.PARAMETERS.items() for old, new in names.items()]


@pytest.mark.parametrize(("process_id", "old", "new"), OLDER)
def test_what_an_older_parameter_stands_for_exists(process_id: str, old: str, new: str) -> None:
    if process_id not in DECLARED:
        pytest.skip(f"{process_id} is not written yet")
    taken = DECLARED[process_id].signature.parameters
    assert new in taken
    assert (old in taken) == (old == new)
    assert old not in DECLARED[process_id].parameters, "the specification has it, so it is no older name"


def test_a_renamed_parameter_is_accepted_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(aliases.PARAMETERS, "apply_kernel", {"matrix": "kernel"})
    cube = cases.cube(chunks=cases.AWKWARD)
    graph = {"k": {**node("apply_kernel", data=given("cube"), matrix=[[2]]), "result": True}}
    for run in (lambda: execute(graph, {"cube": cube}), lambda: parsed(graph, cube=cube)):
        with pytest.warns(FutureWarning, match="apply_kernel: 'matrix' is called 'kernel' now"):
            result = run()
        np.testing.assert_array_equal(result.fillna(0), cube.fillna(0) * 2)
    both = {"k": {**node("apply_kernel", data=given("cube"), matrix=[[2]], kernel=[[3]]), "result": True}}
    with pytest.raises(ProcessParameterUnsupported, match="'matrix'"):
        execute(both, {"cube": cube})
    with pytest.raises(ProcessParameterUnsupported, match="'matrix'"):
        parsed(both, cube=cube)


def test_a_removed_parameter_is_accepted_with_a_warning() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    line = child(
        a=node("array_element", data=given("parameters"), index=0),
        m=node("add", x={"from_node": "a"}, y=0),
    )
    arguments = {"data": given("cube"), "parameters": [0], "function": line}
    graph = {
        "f": node("fit_curve", **arguments, dimension="t"),
        "c": {**node("constant", x={"from_node": "f"}), "result": True},  # the public parser wants fit_curve inside
    }
    for run in (lambda: execute(graph, {"cube": cube}), lambda: parsed(graph, cube=cube)):
        with pytest.warns(FutureWarning, match="fit_curve: 'dimension' is no longer a parameter"):
            result = run()
        np.testing.assert_allclose(result.isel(param=0), cube.mean("t"), rtol=1e-4)
