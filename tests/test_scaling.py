"""Every process on values, with every option: nothing is computed while its graph is built, and its promise holds."""

from __future__ import annotations

import itertools
from typing import Any

import dask.array as da
import numpy as np
import pytest

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.vocabulary import Scaling
from tests.cubes.cases import child, given, node
from tests.laziness import nothing_computed
from tests.test_values import VALUES

X = given("x")
ABOVE, EARLY = child(g=node("gt", x=X, y=0)), child(g=node("lt", x=given("index"), y=3))
TRUE_OR_FALSE = ("ignore_nodata", "asc", "reverse", "exclude_max", "return_nodata")
# Those that never see an array of numbers, or do not build a graph: they make plain values, or hand on what they get.
PLAIN = {"e", "nan", "pi"} | {name for name in VALUES if name.startswith(("text_", "date_"))}
UNTOUCHED = {"constant", "inspect", "array_labels", "array_find_label", "array_create_labeled"}
CODE = {"run_udf", "run_udf_externally", "run_ogcapi", "run_ogcapi_externally"}

# What else each process is given, where there is something to say; the first parameter gets the array.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "array_append": [{"value": 1}],
    "array_apply": [{"process": "absolute"}, {"process": child(a=node("add", x=X, y=given("index")))}],
    "array_concat": [{"array2": [1, 2]}],
    "array_contains": [{"value": 1}, {"value": None}],
    "array_create": [{"repeat": 1}, {"repeat": 2}],
    "array_element": [{"index": 1}, {"index": 99, "return_nodata": True}],
    "array_filter": [{"condition": ABOVE}, {"condition": EARLY}],
    "array_find": [{"value": 1}],
    "array_modify": [{"values": [7], "index": 1}, {"values": [], "index": 1, "length": 2}],
    "between": [{"min": 0, "max": 1}],
    "clip": [{"min": 0, "max": 1}],
    "count": [{}, {"condition": True}, {"condition": ABOVE}],
    "eq": [{"y": 1}, {"y": 1, "delta": 0.5}, {"y": 1, "case_sensitive": False}],
    "neq": [{"y": 1}, {"y": 1, "delta": 0.5}],
    "if": [{"accept": 1}, {"accept": 1, "reject": 2}],
    "linear_scale_range": [{"inputMin": 0, "inputMax": 1}, {"inputMin": 0, "inputMax": 1, "outputMax": 255}],
    "log": [{"base": 2}],
    "order": [{"nodata": None}, {"nodata": True}, {"nodata": False}],
    "quantiles": [{"probabilities": [0.1, 0.5]}, {"q": 4}],
    "rearrange": [{"order": [1, 0]}, {"order": [0]}],
    "round": [{}, {"p": 2}],
    **{name: [{"y": True}, {"y": None}] for name in ("and", "or", "xor")},
    "sort": [{"nodata": None}, {"nodata": True}, {"nodata": False}],
}


def options(process_id: str) -> list[dict[str, Any]]:
    """All combinations of options, and of what the engine says."""
    process = DECLARED[process_id]
    first, *others = process.parameters
    rest = {name: 1 for name in others if name in process.required}
    found = OPTIONS.get(process_id, [rest])
    flags = [n for n in process.parameters if n in TRUE_OR_FALSE]
    if "keepdims" in process.engine:
        flags.append("keepdims")
    combined = [
        one | dict(zip(flags, chosen, strict=True))
        for one in found
        for chosen in itertools.product((False, True), repeat=len(flags))
    ]
    operands = [name for name in (first, *others) if name in ("x", "y", "base", "p", "value", "accept", "reject")]
    if len(operands) > 1 and process_id not in ("round",):
        combined.append(dict.fromkeys(operands[1:], ...))
    return [one for one in combined if one.get("index") != 99 or one["return_nodata"]]


def added(process_id: str, chosen: dict[str, Any], along: int, across: int, width: int = 2) -> tuple[int, Any]:
    """How many tasks a process adds to an array of so many blocks of a width, and its result."""
    process = DECLARED[process_id]
    first = next(iter(process.parameters))
    data = da.from_array(np.ones((2 * along, width * across), np.float32), chunks=(2, width))
    arguments = {name: data if value is ... else value for name, value in chosen.items()}
    engine = {"axis": 0} if "axis" in process.engine else {}
    with nothing_computed():
        result = process.function(**{first: data}, **arguments, **engine)
    return len(dict(result.__dask_graph__())) - len(dict(data.__dask_graph__())), result


EVERY = [
    pytest.param(process_id, chosen, id=f"{process_id}-{number}")
    for process_id in sorted(set(VALUES) - PLAIN - UNTOUCHED - CODE)
    for number, chosen in enumerate(options(process_id))
]
# How many tasks a block that holds whole rows costs, where it is not one: what is compared first, or put together.
PER_BLOCK = {"array_contains": 2, "array_find": 2, "array_create": 2}
PUT_TOGETHER = {"array_append", "array_concat", "array_modify", "rearrange"}
# A condition or process on positions needs to know where a block lies in its row: the whole axis comes together.
ON_POSITIONS = {"array_apply"}


def promise(process_id: str, chosen: dict[str, Any]) -> Scaling:
    """How a process says that it scales, with these options."""
    on_positions = process_id in ON_POSITIONS and isinstance(chosen["process"], dict)
    return Scaling.SHUFFLE if on_positions else DECLARED[process_id].scaling


def test_every_process_on_values_is_held_to_its_promise() -> None:
    held = {param.values[0] for param in EVERY}
    assert held | PLAIN | UNTOUCHED | CODE >= set(VALUES)
    assert not held & (PLAIN | UNTOUCHED | CODE)


@pytest.mark.parametrize(("process_id", "chosen"), EVERY)
def test_a_graph_is_built_without_computing_and_keeps_its_promise(process_id: str, chosen: dict[str, Any]) -> None:
    count, result = added(process_id, chosen, 1, 8)
    assert isinstance(result, da.Array)
    scaling = promise(process_id, chosen)
    if scaling is Scaling.BLOCKWISE:
        for along, across in ((1, 8), (3, 5), (16, 4)):
            assert added(process_id, chosen, along, across)[0] == along * across
        return
    if process_id in PUT_TOGETHER:
        assert count <= 8 * 8
    else:
        assert count <= 8 * PER_BLOCK.get(process_id, 1)
    if scaling is Scaling.TREE:  # one task a block, one for each eight of them, and one a row of blocks
        for along in (4, 8, 16, 64):
            most = PER_BLOCK.get(process_id, 1) * along + -(-along // 8) + -(-along // 64) + 2
            assert added(process_id, chosen, along, 4)[0] <= 4 * most
    few, longer, wider = (added(process_id, chosen, *blocks)[0] for blocks in ((16, 8), (32, 8), (16, 16)))
    assert longer <= 2.2 * max(few, 16)
    assert wider <= 2.2 * max(few, 16)


WHOLE_ROWS = [param for param in EVERY if promise(*param.values) is Scaling.SHUFFLE]  # type: ignore[arg-type]


@pytest.mark.parametrize(("process_id", "chosen"), WHOLE_ROWS)
def test_rows_of_many_blocks_do_not_cost_the_square_of_them(process_id: str, chosen: dict[str, Any]) -> None:
    """Wide blocks can be cut into as many pieces as it takes for whole rows to fit: narrow ones cannot."""
    tasks = {along: added(process_id, chosen, along, 1, 512)[0] / along for along in (64, 512)}
    assert tasks[64] <= 6
    assert tasks[512] <= tasks[64] + 4  # a step more, for eight times as many


@pytest.mark.parametrize("along", [5, 9, 32, 33, 64, 200])
def test_rows_of_many_blocks_are_those_of_one(along: int) -> None:
    values = np.random.default_rng(0).random((3 * along, 40, 7), np.float32)
    values[values < 0.2] = np.nan
    expected = np.nanmedian(values, axis=0)
    for chunks in ((3, 40, 7), (3, 11, 5), (2, 40, 7)):
        data = da.from_array(values, chunks=chunks)
        found = DECLARED["median"].function(data=data, axis=0)
        np.testing.assert_array_equal(found.compute(scheduler="sync"), expected)
        ordered = DECLARED["sort"].function(data=data, axis=0, nodata=True)
        np.testing.assert_array_equal(ordered.compute(scheduler="sync"), np.sort(values, axis=0))


@pytest.mark.parametrize("process_id", sorted(UNTOUCHED))
def test_what_is_only_handed_on_costs_nothing(process_id: str) -> None:
    data = da.from_array(np.ones((4, 6), np.float32), chunks=2)
    process = DECLARED[process_id]
    others = {"array_find_label": {"label": "b"}, "array_create_labeled": {"labels": list(range(4))}}
    engine = {name: value for name, value in {"axis": 0, "dim_labels": list("abcd")}.items() if name in process.engine}
    with nothing_computed():
        result = process.function(data, **others.get(process_id, {}), **engine)
    assert result is data or not isinstance(result, da.Array)
