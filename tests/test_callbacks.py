"""Child processes: traced through the public parser, from JSON and from plain functions alike."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import numpy as np
import pytest
import xarray as xr
from dask.base import tokenize
from openeo_pg_parser_networkx import OpenEOProcessGraph, ProcessRegistry
from openeo_pg_parser_networkx.pg_schema import ParameterReference
from openeo_pg_parser_networkx.process_registry import Process

from openeo_processes_dask import exceptions
from openeo_processes_dask.callbacks import local, process, trace
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.execution import execute
from openeo_processes_dask.process_implementations import cubes, math
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


def test_a_child_process_uses_parameters_of_its_graph_through_the_parser() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    above = child(m=node("max", data=[given("x"), given("floor")]))
    counted = child(c=node("count", data=given("data"), condition=child(g=node("gt", x=given("x"), y=given("floor")))))
    for process_id, arguments in (
        ("apply", {"process": above}),
        ("reduce_dimension", {"reducer": counted, "dimension": "t"}),
    ):
        graph = {"a": {**node(process_id, data=given("cube"), **arguments), "result": True}}
        through_parser, direct = parsed(graph, cube=cube, floor=0.5), execute(graph, {"cube": cube, "floor": 0.5})
        xr.testing.assert_identical(through_parser.compute(), direct.compute())


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


ROWS = np.arange(24.0).reshape(2, 3, 4)


def test_a_function_that_takes_no_axis_gets_each_row() -> None:
    for axis in (0, 1, 2):
        for function in (lambda data: data[0], lambda data: data.max() - data.min(), lambda data: None):
            expected = np.apply_along_axis(lambda row, f=function: np.float64(f(row) or 0), axis, ROWS)
            got = trace(function, "data")({"data": ROWS}, axis=axis, keepdims=True)
            np.testing.assert_array_equal(np.nan_to_num(np.squeeze(got, axis)), expected)
        pairs = trace(lambda data: [data[0], data[1]], "data")({"data": ROWS}, axis=axis, keepdims=True)
        np.testing.assert_array_equal(pairs, np.take(ROWS, [0, 1], axis))
        open_ended = trace(lambda *args, **more: np.max(*args, **more), "data")({"data": ROWS}, axis=axis)
        np.testing.assert_array_equal(np.squeeze(open_ended, axis), ROWS.max(axis))
    nothing = trace(lambda data: data.sum(), "data")({"data": np.ones((0, 3))}, axis=1)
    assert nothing.shape == (0, 1)


def test_a_function_gets_the_context_if_it_takes_one() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)

    def scaled(x: np.ndarray, context: float | None = None) -> np.ndarray:
        return x * (context or 0)

    def clipped(data: np.ndarray, context: dict, axis: int) -> np.ndarray:
        return np.max(data, axis=axis).clip(**context)

    np.testing.assert_array_equal(cubes.apply(cube, scaled, context=3), cube.values * 3)
    got = cubes.reduce_dimension(cube, clipped, "t", context={"min": 0})
    np.testing.assert_array_equal(got, cube.values.max(axis=0).clip(min=0))


def test_a_function_may_change_its_array_but_not_the_cube() -> None:
    def doubled(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    array = cases.values()
    array.setflags(write=False)
    for chunks in (None, cases.AWKWARD):
        cube = cases.cube(array, chunks)
        np.testing.assert_array_equal(cubes.apply(cube, doubled), array * np.float32(2))
        np.testing.assert_array_equal(cube, array)


class Scaled:
    """A function with a state."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: np.ndarray, plus: float = 1) -> np.ndarray:
        return x * self.factor + plus


@pytest.mark.parametrize(
    "function",
    [Scaled(2), functools.partial(Scaled(2), plus=1), Scaled(2).__call__, lambda x, k=2, **more: x * k + 1],
)
def test_callables_of_many_kinds_are_child_processes(function: Any) -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    np.testing.assert_array_equal(cubes.apply(cube, function), cube.values * 2 + 1)


def test_texts_are_not_cut_to_the_length_of_the_first() -> None:
    cube = xr.DataArray(np.array([1.0, 2.0, 3.0]), dims=("x",)).chunk(1)
    words = cubes.apply(cube, lambda x: np.array(["", "one", "three", "fifteen"])[x.astype(int)])
    assert words.values.tolist() == ["one", "three", "fifteen"]


def test_a_cube_inside_a_child_process_is_refused() -> None:
    cube = cases.cube(chunks=cases.AWKWARD)
    add = child(s=node("add", x=given("x"), y=given("context")))
    with pytest.raises(exceptions.ProcessParameterInvalid, match="merge_cubes"):
        cubes.apply(cube, add, context=cube)
    outer = child(s=node("add", x=given("x"), y=given("cube")))
    with pytest.raises(exceptions.ProcessParameterInvalid, match="merge_cubes"):
        execute({"a": node("apply", data=given("cube"), process=outer)}, {"cube": cube})


@pytest.mark.parametrize("reducer", ["first", "median"])
def test_large_constants_lie_in_one_task_only(reducer: str) -> None:
    cube = cases.cube(chunks={"t": -1, "bands": 1, "y": 1, "x": 1})
    weights = np.arange(100_000.0).tolist()
    weighted = child(
        r=node(reducer, data=given("data")),
        w=node("array_element", data=given("context"), index=2),
        m=node("multiply", x=of("r"), y=of("w")),
    )
    result = cubes.reduce_dimension(cube, weighted, "t", context=weights)
    (optimized,) = dask.optimize(result.data)
    sizes = [len(cloudpickle.dumps(task)) for task in dict(optimized.__dask_graph__()).values()]
    assert sum(sizes) < 2 * len(cloudpickle.dumps(weights))
    assert cases.tasks(result.data) == cases.tasks(cube.data) + cube.data.npartitions + 1
    single = child(r=node(reducer, data=given("data")))
    np.testing.assert_array_equal(result, cubes.reduce_dimension(cube, single, "t").values * np.float32(2))


SCRIPT = """
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.test_callbacks import REDUCERS
cube = cases.cube(chunks=cases.AWKWARD)
for name in REDUCERS:
    print(cubes.reduce_dimension(cube, REDUCERS[name], "bands").data.name)
print(cubes.merge_cubes(cube, cube.isel(t=slice(2, 5)), "max").data.name)
print(cubes.resample_spatial(cube, 0, 4326).data.name)
"""


def test_two_processes_of_python_give_the_same_names_to_the_same_work() -> None:
    root = Path(__file__).parents[1]
    names = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert names[0] == names[1]
    assert len(set(names[0].split())) == len(REDUCERS) + 2


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


def test_what_needs_a_pixel_alone_is_known() -> None:
    twice = node("apply", data=given("data"), process=child(m=node("multiply", x=given("x"), y=2)))
    less = node("subtract", x=given("x"), y=given("data"))  # the whole cube, from the parent
    along = node("apply_dimension", data=given("data"), dimension="t", process="cumsum")
    for graph in (child(a=dict(twice)), child(a=dict(along)), child(a=dict(twice), b=node("add", x=of("a"), y=1))):
        assert local(trace(graph, "data"), ["t", "bands"]), graph
    udf = node("run_udf", data=given("data"), udf="def apply_datacube(cube, context): return cube", runtime="Python")
    for graph in (
        child(a=node("apply_dimension", data=given("data"), dimension="x", process="cumsum")),
        child(a=node("apply_kernel", data=given("data"), kernel=[[1]])),
        child(a=dict(twice), b=node("apply_kernel", data=of("a"), kernel=[[1]])),
        child(a=node("apply", data=given("data"), process=child(m=less))),
        child(a=node("apply_dimension", data=given("data"), dimension="t", process=child(u=udf))),
        child(a=udf),
        child(a=node("mask", data=given("data"), mask=given("context"))),
        lambda data: data,
        np.sqrt,
    ):
        assert not local(trace(graph, "data"), ["t", "bands"]), graph
    assert not local(trace(child(a=node("add", x=given("data"), y=given("context"))), "data", context=cases.cube()), [])
