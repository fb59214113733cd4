"""The official vectors as child processes of cubes: through the executor, and through the public parser."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from openeo_pg_parser_networkx import OpenEOProcessGraph, ProcessRegistry
from openeo_pg_parser_networkx.process_registry import Process as Registered

from openeo_processes_dask import specs
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.execution import execute
from openeo_processes_dask.process_implementations.core import process
from tests.laziness import nothing_computed
from tests.spec import decoding, official
from tests.spec.test_vectors import (
    ARRAYS,
    CASES,
    OPERANDS,
    RAGGED,
    Case,
    as_array,
    as_expected,
    awkward,
    gapped,
    parametrized,
    plain_operands,
)

pytestmark = official.needed


@pytest.fixture(autouse=True)
def nan_is_a_number() -> Iterator[None]:
    with dask.config.set({"openeo.nan-is-nodata": False}):
        yield


@functools.cache
def registry() -> ProcessRegistry:
    """All processes as consumers register them."""
    made = ProcessRegistry(wrap_funcs=[process])
    for declared in DECLARED.values():
        made[declared.id] = Registered(spec=getattr(specs, declared.id), implementation=declared.function)
    return made


def by_the_executor(graph: dict[str, Any], cubes: dict[str, Any]) -> Any:
    return execute(graph, cubes)


def by_the_public_parser(graph: dict[str, Any], cubes: dict[str, Any]) -> Any:
    return OpenEOProcessGraph(pg_data={"process_graph": graph}).to_callable(registry())(named_parameters=cubes)


WAYS: list[Callable[..., Any]] = [by_the_executor, by_the_public_parser]


def child(case: Case, *given: str) -> dict[str, Any]:
    """A child process of one node, which gets some of its arguments from its parent."""
    arguments = {name: decoding.decoded(value) for name, value in case.test["arguments"].items()}
    arguments |= {name: {"from_parameter": parameter} for name, parameter in zip(given, ("x", "y"), strict=False)}
    if "data" in given:
        arguments["data"] = {"from_parameter": "data"}
    return {"process_graph": {"child": {"process_id": case.process, "arguments": arguments, "result": True}}}


def parent(process_id: str, graph: dict[str, Any], name: str, **arguments: Any) -> dict[str, Any]:
    arguments |= {"data": {"from_parameter": "cube"}, name: graph}
    return {"parent": {"process_id": process_id, "arguments": arguments, "result": True}}


# A vector whose array cannot be the row of a cube: of no values, or one that becomes a list of no values.
ROWS = [case for case in ARRAYS if len(case.test["arguments"]["data"]) and case.test.get("returns") != []]


@pytest.mark.parametrize("way", WAYS)
@parametrized(ROWS)
def test_on_the_rows_of_a_cube(case: Case, way: Callable[..., Any]) -> None:
    """Three equal rows along one dimension, whole and in chunks of awkward sizes."""
    column = as_array(case)
    assert column is not None
    block = np.stack([column] * 3, axis=1)
    expected = gapped(case.test["returns"]) if "returns" in case.test else None
    several = isinstance(expected, list)
    outer = ("apply_dimension", "process") if several else ("reduce_dimension", "reducer")
    graph = parent(outer[0], child(case, "data"), outer[1], dimension="t")
    for values in (block, da.from_array(block, chunks=(awkward(len(column)), (1, 2)))):
        with as_expected(case):
            with nothing_computed():
                result = way(graph, {"cube": xr.DataArray(values, dims=("t", "z"))})
            if expected is None:
                result.compute()  # what depends on values is found out late
                continue
            wanted = np.asarray(expected if several else [expected], np.float64)
            if case.process in RAGGED:
                wanted = np.pad(wanted, (0, result.shape[0] - len(wanted)), constant_values=np.nan)
            assert result.dims == (("t", "z") if several else ("z",))
            assert isinstance(result.data, da.Array) == isinstance(values, da.Array)
            found = np.asarray(result.values, np.float64).reshape(-1, 3)
            assert decoding.same_values(found, np.repeat(wanted[:, None], 3, 1), tolerance(case)), f"{case}: {found}"


@pytest.mark.parametrize("way", WAYS)
@parametrized(OPERANDS)
def test_on_the_values_of_a_cube(case: Case, way: Callable[..., Any]) -> None:
    """Each value of a cube, or of two cubes that are merged."""
    names = plain_operands(case) or []
    blocks = [np.broadcast_to(decoding.numbers([case.arguments[name]]), (2, 5)).copy() for name in names]
    for cut in (False, True):
        made = [xr.DataArray(da.from_array(b, chunks=(1, (1, 3, 1))) if cut else b, dims=("y", "x")) for b in blocks]
        if len(names) == 1:
            graph = parent("apply", child(case, *names), "process")
            cubes = {"cube": made[0]}
        else:
            arguments = {"cube1": {"from_parameter": "cube1"}, "cube2": {"from_parameter": "cube2"}}
            arguments["overlap_resolver"] = child(case, *names)
            graph = {"parent": {"process_id": "merge_cubes", "arguments": arguments, "result": True}}
            cubes = {"cube1": made[0], "cube2": made[1]}
        with as_expected(case):
            with nothing_computed():
                result = way(graph, cubes)
            if "returns" in case.test:
                expected = np.full((2, 5), gapped(case.test["returns"]), np.float64)
                found = np.asarray(result.values, np.float64)
                assert decoding.same_values(found, expected, tolerance(case)), f"{case}: {found}, not {expected}"


def tolerance(case: Case) -> float:
    return case.test.get("delta", decoding.ALMOST)


def test_every_vector_is_counted_once() -> None:
    """`python -m tests.spec.counts` prints the table."""
    from tests.spec.counts import table

    lines = table()
    total = next(line.split()[1:] for line in lines if line.startswith("in all "))
    vectors, errata, run = (int(total[i]) for i in (1, 2, 5))
    assert vectors == sum(map(len, official.vectors().values()))
    places = [int(line.split()[0]) for line in lines[lines.index("") + 1 :]]
    assert sum(places) == vectors - errata
    assert run == len(CASES)
