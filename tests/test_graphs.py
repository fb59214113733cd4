"""Process graphs in JSON: every problem is found, before anything runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask import exceptions
from openeo_processes_dask.execution import execute


def node(process_id: str, *, result: bool = False, namespace: str | None = None, **arguments: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"process_id": process_id, "arguments": arguments}
    if result:
        made["result"] = True
    if namespace:
        made["namespace"] = namespace
    return made


def of(name: str) -> dict[str, str]:
    return {"from_node": name}


def parameter(name: str) -> dict[str, str]:
    return {"from_parameter": name}


def child(**nodes: Any) -> dict[str, Any]:
    return {"process_graph": nodes}


def test_a_graph_gives_the_value_of_its_result_node() -> None:
    graph = {"sum": node("add", x=1, y=2), "twice": node("multiply", x=of("sum"), y=2, result=True)}
    assert execute(graph) == 6
    assert execute({"process_graph": graph}) == 6
    assert execute(json.dumps({"process_graph": graph})) == 6
    assert execute({"process": {"process_graph": graph}}) == 6


def test_a_graph_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps({"a": node("add", x=1, y=2)}))
    assert execute(path) == execute(str(path)) == 3


def test_another_node_than_the_result_can_be_asked_for() -> None:
    graph = {"a": node("add", x=1, y=2), "b": node("divide", x="text", y=2, result=True)}
    assert execute(graph, node="a") == 3
    with pytest.raises(exceptions.ReferenceUnresolved, match="'c'"):
        execute(graph, node="c")


def test_a_second_call_with_other_parameters_gives_another_result() -> None:
    graph = {"a": node("add", x=parameter("x"), y=1)}
    assert [execute(graph, {"x": x}) for x in (1, 5, 1)] == [2, 6, 2]


def test_references_inside_lists_are_resolved() -> None:
    graph = {"a": node("add", x=1, y=2), "m": node("max", data=[of("a"), parameter("p"), 1], result=True)}
    assert execute(graph, {"p": 7}) == 7


def test_defaults_of_a_document_are_used() -> None:
    document = {
        "parameters": [{"name": "x", "optional": True, "default": 4}],
        "process_graph": {"a": node("add", x=parameter("x"), y=1)},
    }
    assert execute(document) == 5
    assert execute(document, {"x": 1}) == 2


def test_a_chain_of_ten_thousand_nodes_is_linear() -> None:
    graph = {"n0": node("add", x=0, y=1)}
    graph |= {f"n{i}": node("add", x=of(f"n{i - 1}"), y=1) for i in range(1, 10_000)}
    graph["n9999"]["result"] = True
    backwards = dict(reversed(graph.items()))
    assert execute(graph) == execute(backwards) == 10_000


def test_a_ladder_of_diamonds_runs_each_node_once() -> None:
    calls = []

    def counted(x: float, y: float) -> float:
        calls.append(x)
        return x + y

    graph = {"n0": node("counted", x=1, y=0)}
    graph |= {f"n{i}": node("counted", x=of(f"n{i - 1}"), y=of(f"n{i - 1}")) for i in range(1, 200)}
    graph["n199"]["result"] = True
    assert execute(graph, processes={"counted": counted}) == 2.0**199
    assert len(calls) == 200


def test_a_callback_of_ten_thousand_nodes_runs() -> None:
    nodes = {"n0": node("add", x=parameter("x"), y=1)}
    nodes |= {f"n{i}": node("add", x=of(f"n{i - 1}"), y=1) for i in range(1, 10_000)}
    nodes["n9999"]["result"] = True
    cube = xr.DataArray(np.zeros((2, 2)), dims=("y", "x")).chunk(1)
    got = execute({"a": node("apply", data=parameter("cube"), process={"process_graph": nodes})}, {"cube": cube})
    assert (got.compute() == 10_000).all()


NDVI_LIKE = {
    "id": "scaled_difference",
    "parameters": [
        {"name": "a"},
        {"name": "b"},
        {"name": "scale", "optional": True, "default": 10},
    ],
    "process_graph": {
        "d": node("subtract", x=parameter("a"), y=parameter("b")),
        "m": node("multiply", x=of("d"), y=parameter("scale"), result=True),
    },
}


def test_user_defined_processes_are_called_with_arguments_and_defaults() -> None:
    graph = {
        "one": node("scaled_difference", a=5, b=3),
        "two": node("scaled_difference", a=of("one"), b=0, scale=2, namespace="user", result=True),
    }
    assert execute(graph, processes={"scaled_difference": NDVI_LIKE}) == 40
    assert execute(graph, processes={"user": {"scaled_difference": NDVI_LIKE}, "scaled_difference": NDVI_LIKE}) == 40


def test_user_defined_processes_work_inside_callbacks_and_see_what_is_outside() -> None:
    process = child(s=node("scaled_difference", a=parameter("x"), b=parameter("offset"), result=True))
    cube = xr.DataArray(np.arange(4.0).reshape(2, 2), dims=("y", "x"))
    graph = {"a": node("apply", data=parameter("cube"), process=process)}
    got = execute(graph, {"cube": cube, "offset": 1}, processes={"scaled_difference": NDVI_LIKE})
    np.testing.assert_array_equal(got, (cube.values - 1) * 10)


def test_processes_in_a_namespace_are_found_there_only() -> None:
    graph = {"a": node("scaled_difference", a=5, b=3, namespace="team")}
    assert execute(graph, processes={"team": {"scaled_difference": NDVI_LIKE}}) == 20
    with pytest.raises(exceptions.ProcessUnsupported, match="namespace 'team'"):
        execute(graph, processes={"scaled_difference": NDVI_LIKE})


def test_a_user_defined_process_that_calls_itself_is_refused() -> None:
    again = {"id": "again", "parameters": [], "process_graph": {"a": node("again")}}
    with pytest.raises(exceptions.ProcessGraphCyclic, match="again"):
        execute({"a": node("again")}, processes={"again": again})


@pytest.mark.parametrize(
    ("graph", "error", "said"),
    [
        ({"a": node("addd", x=1, y=2)}, "ProcessUnsupported", "'addd'.*node a.*did you mean 'add'"),
        ({"a": node("add", x=1)}, "ProcessParameterMissing", "'add' needs 'y', which node a"),
        ({"a": node("add", x=1, y=2, z=3)}, "ProcessParameterUnsupported", "no parameter 'z'.*'x', 'y'"),
        ({"a": node("add", x=1, y=of("b"))}, "ReferenceUnresolved", "node a refers to node 'b'"),
        ({"a": node("add", x=1, y=parameter("b"))}, "ProcessParameterMissing", "parameter 'b' of node a"),
        (
            {"a": node("add", x=1, y=of("b")), "b": node("add", x=of("c"), y=1), "c": node("add", x=of("a"), y=1)}
            | {"r": node("add", x=of("a"), y=1, result=True)},
            "ProcessGraphCyclic",
            "a → b → c → a",
        ),
        ({"a": node("add", x=of("a"), y=1, result=True)}, "ProcessGraphCyclic", "a → a"),
        ({"a": node("e"), "b": node("add", x=1, y=1)}, "ResultNodeMissing", "none of the nodes"),
        (
            {"a": node("add", x=1, y=1, result=True), "b": node("add", x=1, y=1, result=True)},
            "ResultNodeAmbiguous",
            "a",
        ),
        ({}, "ProcessGraphMissing", "no nodes"),
        ("{", "ProcessGraphMissing", "no JSON"),
        ("nowhere.json", "ProcessGraphMissing", "nowhere.json"),
    ],
)
def test_a_problem_has_its_code_and_says_what_there_is(graph: Any, error: str, said: str) -> None:
    with pytest.raises(exceptions.OpenEOException, match=f"(?s){said}") as caught:
        execute(graph, processes={"e": lambda: 1} if isinstance(graph, dict) and "b" in graph else None)
    assert caught.value.code == error


@pytest.mark.parametrize(
    ("malformed", "said"),
    [
        (5, "node b: 5 is no object"),
        (None, "node b: None is no object"),
        ({"arguments": {}}, "node b: a process_id is needed"),
        ({"process_id": ["add"]}, "node b: a process_id is needed"),
        ({"process_id": "add", "arguments": [1, 2]}, "node b: arguments must be an object"),
        ({"process_id": "add", "namespace": {}}, "node b: a namespace must be a text"),
    ],
)
def test_a_malformed_node_is_named(malformed: Any, said: str) -> None:
    inner = {"process_graph": {"a": node("add", x=1, y=1, result=True), "b": malformed}}
    for graph, where in ((inner, "the process graph"), ({"c": node("apply", data=1, process=inner)}, "c/process")):
        with pytest.raises(exceptions.ProcessGraphInvalid, match=f"(?s){where}.*{said}"):
            execute(graph)


@pytest.mark.parametrize("reference", [["a"], {"name": "a"}, {}, None])
def test_a_reference_that_is_no_name_is_refused(reference: Any) -> None:
    with pytest.raises(exceptions.ReferenceUnresolved, match="node a refers to"):
        execute({"a": node("add", x={"from_node": reference}, y=1)})
    with pytest.raises(exceptions.ProcessParameterMissing, match="node a has no value"):
        execute({"a": node("add", x={"from_parameter": reference}, y=1)})


def test_names_that_are_numbers_are_taken_as_texts() -> None:
    assert execute({1: node("add", x=1, y=1), "b": node("add", x={"from_node": 1}, y=1, result=True)}) == 3


@pytest.mark.parametrize("document", [None, 5, [], [1], b"{}", "[1]", "null", "", "a\0b", "x" * 5000])
def test_what_is_no_process_graph_is_refused(document: Any) -> None:
    with pytest.raises(exceptions.ProcessGraphMissing):
        execute(document)


@pytest.mark.parametrize("listed", [5, ["x"], [{"optional": True}], {"x": 1}])
def test_parameters_without_names_are_refused(listed: Any) -> None:
    process = {"parameters": listed, "process_graph": {"a": node("add", x=1, y=1)}}
    with pytest.raises(exceptions.ProcessGraphInvalid, match="parameters with a name"):
        execute(process)
    with pytest.raises(exceptions.ProcessGraphInvalid, match="'own', called by node a, must list parameters"):
        execute({"a": node("own")}, processes={"own": process})


@pytest.fixture
def python_limit() -> Iterator[None]:
    """Let Python recurse as deeply as it does by itself, for the public parser lets it go deeper."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("python_limit")
def test_a_graph_that_is_nested_too_deeply_is_refused() -> None:
    deep: Any = 1
    process: Any = child(a=node("absolute", x=parameter("x")))
    for _ in range(5000):
        deep, process = [deep], child(a=node("apply", data=parameter("x"), process=process))
    for graph in (node("max", data=deep), node("apply", data=[], process=process)):
        with pytest.raises(exceptions.ProcessGraphInvalid, match="nested too deeply"):
            execute({"a": graph})
    with pytest.raises(exceptions.ProcessGraphMissing, match="nested too deeply"):
        execute('{"a":' * 100_000)


def test_a_child_process_sees_none_of_the_outer_nodes() -> None:
    process = child(s=node("add", x=of("o"), y=1))
    graph = {"o": node("add", x=1, y=1), "a": node("apply", data=of("o"), process=process, result=True)}
    with pytest.raises(exceptions.ReferenceUnresolved, match="node a/process/s refers to node 'o'"):
        execute(graph)


def test_a_cycle_in_a_child_process_is_found_there() -> None:
    process = child(s=node("add", x=of("s"), y=1))
    with pytest.raises(exceptions.ProcessGraphCyclic, match="graph of a/process wait for each other: s → s"):
        execute({"a": node("apply", data=1, process=process)})


def test_defaults_of_a_process_inside_a_document_are_used() -> None:
    process = {
        "parameters": [{"name": "x", "optional": True, "default": 4}],
        "process_graph": {"a": node("add", x=parameter("x"), y=1)},
    }
    assert execute({"process": process}) == 5


def test_a_node_may_be_called_process() -> None:
    assert execute({"process": node("add", x=1, y=1), "b": node("add", x=of("process"), y=1, result=True)}) == 3


def test_user_defined_processes_without_ids_may_call_each_other_from_nodes_of_the_same_name() -> None:
    inner = {"process_graph": {"a": node("add", x=1, y=1)}}
    outer = {"process_graph": {"a": node("inner")}}
    assert execute({"a": node("outer")}, processes={"inner": inner, "outer": outer}) == 2


def test_what_is_neither_function_nor_document_is_no_process() -> None:
    for thing in (5, "add", None, []):
        with pytest.raises(exceptions.ProcessUnsupported, match="'own'"):
            execute({"a": node("own")}, processes={"own": thing})


def test_all_problems_are_told_at_once_with_their_paths() -> None:
    inner = child(n=node("nothing", x=parameter("x")), m=node("add", x=of("n"), yy=1, result=True))
    graph = {
        "load": node("lod_collection", id="x"),
        "apply": node("apply", data=of("load"), process=inner, result=True),
        "lost": node("add", x=of("nowhere"), y=1),
    }
    with pytest.raises(exceptions.ProcessGraphInvalid) as caught:
        execute(graph)
    codes = sorted(problem.code for problem in caught.value.problems)
    assert codes == sorted(
        ["ProcessUnsupported"] * 2 + ["ProcessParameterUnsupported", "ProcessParameterMissing", "ReferenceUnresolved"]
    )
    assert "apply/process/m" in str(caught.value)


def test_nothing_runs_before_the_whole_graph_is_right() -> None:
    ran: list[int] = []
    graph = {"a": node("note"), "b": node("add", x=of("a"), z=1, result=True)}
    with pytest.raises(exceptions.ProcessGraphInvalid):
        execute(graph, processes={"note": lambda: ran.append(1)})
    assert not ran


def test_an_error_while_running_names_its_node() -> None:
    graph = {
        "a": node("add", x=1, y=1),
        "bad": node("reduce_dimension", data=parameter("c"), reducer="mean", dimension="nope"),
    }
    graph["bad"]["result"] = True
    cube = xr.DataArray(np.zeros((1, 1)), dims=("y", "x"))
    with pytest.raises(exceptions.DimensionNotAvailable, match="no dimension 'nope' among") as caught:
        execute(graph, {"c": cube})
    assert "in node bad (process reduce_dimension)" in caught.value.__notes__


def test_aliases_of_older_clients_are_known() -> None:
    with pytest.raises(exceptions.ProcessParameterMissing, match="load_stac"):
        execute({"a": node("load_result")})
