"""Child processes: traced through the public parser, from JSON and from plain functions alike."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import xarray as xr
from dask.base import tokenize
from openeo_pg_parser_networkx import OpenEOProcessGraph, ProcessRegistry
from openeo_pg_parser_networkx.pg_schema import ParameterReference
from openeo_pg_parser_networkx.process_registry import Process

from openeo_processes_dask import exceptions
from openeo_processes_dask.callbacks import process, trace
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.execution import execute
from openeo_processes_dask.process_implementations import math
from openeo_processes_dask.vocabulary import Scaling
from tests.cubes import cases
from tests.cubes.cases import child, given, node, of


def registry() -> ProcessRegistry:
    made = ProcessRegistry(wrap_funcs=[process])
    for declared in DECLARED.values():
        made[declared.function.__name__] = Process(spec={}, implementation=declared.function)
    return made


def parsed(graph: dict[str, Any], **parameters: Any) -> Any:
    return OpenEOProcessGraph({"process_graph": graph}).to_callable(registry())(named_parameters=parameters)


REDUCERS = {
    "one": child(m=node("mean", data=given("data"))),
    "four": child(
        red=node("array_element", data=given("data"), index=1),
        nir=node("array_element", data=given("data"), index=2),
        nd=node("normalized_difference", x=of("nir"), y=of("red")),
        top=node("max", data=[of("nd"), 0]),
    ),
    "diamond": child(
        m=node("mean", data=given("data")),
        a=node("add", x=of("m"), y=of("m")),
        b=node("multiply", x=of("a"), y=of("m")),
    ),
}


@pytest.mark.parametrize("name", REDUCERS)
def test_the_public_parser_and_the_executor_agree(name: str) -> None:
    cube = cases.cube(chunks={"t": 2, "y": 4})
    graph = {
        "r": {**node("reduce_dimension", data=given("cube"), dimension="bands", reducer=REDUCERS[name]), "result": True}
    }
    through_parser, direct = parsed(graph, cube=cube), execute(graph, {"cube": cube})
    xr.testing.assert_identical(through_parser.compute(), direct.compute())
    assert cases.tasks(through_parser.data) == cases.tasks(direct.data)
    assert cases.tasks(direct.data) - cases.tasks(cube.data) == cube.data.npartitions


def test_periods_of_two_nodes_are_right_through_the_parser() -> None:
    cube = cases.cube(chunks={"t": -1, "y": 4})
    two = child(m=node("mean", data=given("data")), a=node("add", x=of("m"), y=1))
    graph = {
        "p": {**node("aggregate_temporal_period", data=given("cube"), period="month", reducer=two), "result": True}
    }
    got = parsed(graph, cube=cube)
    plain = execute(
        {"p": node("aggregate_temporal_period", data=given("cube"), period="month", reducer="mean")}, {"cube": cube}
    )
    np.testing.assert_allclose(got, plain.values + 1, rtol=1e-6)
    assert len(np.unique(got.values[np.isfinite(got.values)])) > 10


def test_an_overlap_resolver_with_a_list_works_through_the_parser() -> None:
    array = cases.values()
    cube1, cube2 = cases.cube(array, cases.AWKWARD), cases.cube(array[::-1].copy(), cases.AWKWARD)
    resolver = child(m=node("max", data=[given("x"), given("y")]))
    graph = {
        "m": {**node("merge_cubes", cube1=given("a"), cube2=given("b"), overlap_resolver=resolver), "result": True}
    }
    np.testing.assert_array_equal(parsed(graph, a=cube1, b=cube2), np.fmax(array, array[::-1]))


def test_context_reaches_the_child_process() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    twice = child(m=node("multiply", x=given("x"), y=given("context")))
    graph = {"a": {**node("apply", data=given("cube"), process=twice, context=3), "result": True}}
    np.testing.assert_allclose(parsed(graph, cube=cube), cube.values * 3)
    np.testing.assert_allclose(execute(graph, {"cube": cube}), cube.values * 3)


def test_a_process_resolves_references_like_the_parser_hands_them_over() -> None:
    add = process(math.add)
    x, y = ParameterReference(from_parameter="x"), ParameterReference(from_parameter="y")
    assert add(x=x, y=2, named_parameters={"x": 1}) == 3
    assert add(1, 2, x=x, y=y, positional_parameters={"x": 0, "y": 1}) == 3
    assert add(x, 5, named_parameters={"x": 1, "y": 0}, y=2) == 3
    assert process(math.max_)(data=[x, y, 0], named_parameters={"x": 4, "y": 9}) == 9
    assert math.add.__name__ == add.__name__


def test_a_process_drops_what_the_engine_says_but_it_does_not_take() -> None:
    add = process(math.add)
    assert add(x=1, y=2, axis=0, keepdims=True, context=None, dim_labels=[], source_transposed_axis=0) == 3
    assert process(math.mean)(data=np.ones((2, 3)), axis=1).shape == (2,)


def test_a_process_names_what_is_missing_or_unknown() -> None:
    add = process(math.add)
    with pytest.raises(exceptions.ProcessParameterMissing, match=r"'x'.*there are \['y'\]"):
        add(x=ParameterReference(from_parameter="x"), y=1, named_parameters={"y": 1})
    with pytest.raises(exceptions.ProcessParameterUnsupported, match="'z'"):
        add(x=1, y=2, z=3)


def scaling(callback: Any) -> Scaling:
    return trace(callback, "data").scaling


def test_how_a_child_process_scales_follows_from_its_nodes() -> None:
    assert scaling("absolute") is Scaling.BLOCKWISE
    assert scaling("mean") is Scaling.TREE
    assert scaling("median") is Scaling.SHUFFLE
    assert scaling(REDUCERS["diamond"]) is Scaling.TREE
    minus = child(m=node("mean", data=given("data")), d=node("subtract", x=given("data"), y=of("m")))
    assert scaling(minus) is Scaling.SHUFFLE
    assert scaling(np.ptp) is Scaling.SHUFFLE
    assert trace(child(m=node("max", data=[given("x"), given("y")])), "x", "y").scaling is Scaling.BLOCKWISE


def test_an_expression_survives_pickling_and_has_a_steady_token() -> None:
    expression = trace(REDUCERS["four"], "data")
    again = pickle.loads(pickle.dumps(expression))
    block = np.random.default_rng(0).random((3, 5))
    np.testing.assert_array_equal(again({"data": block}, axis=0), expression({"data": block}, axis=0))
    assert tokenize(again) == tokenize(expression) == tokenize(trace(REDUCERS["four"], "data"))
    assert tokenize(expression) != tokenize(trace(REDUCERS["one"], "data"))


def test_results_are_let_go_after_their_last_use() -> None:
    alive: list[int] = []

    class Counted:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    most = 0

    def step(x: Any) -> Counted:
        nonlocal most
        made = Counted()
        most = max(most, len(alive))
        return made

    graph = {"n0": node("step", x=1)} | {f"n{i}": node("step", x=of(f"n{i - 1}")) for i in range(1, 50)}
    graph["n49"]["result"] = True
    execute(graph, processes={"step": step})
    assert most <= 3
