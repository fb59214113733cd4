"""The official vectors: every process gives what they expect, whatever holds the values."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.exceptions import OpenEOException
from openeo_processes_dask.execution import execute
from tests.laziness import nothing_computed
from tests.spec import decoding, mended, official

pytestmark = official.needed


class Case(NamedTuple):
    """One vector."""

    process: str
    test: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.process}#{self.test['index']}"

    @property
    def key(self) -> tuple[str, int]:
        """Process and index."""
        return self.process, self.test["index"]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, decoded anew, so that no process sees what another one did to them."""
        return decoding.decoded(self.test["arguments"])


# Vectors that contradict their specification, beyond the official errata. They must fail.
DISAGREED = {
    ("apply_dimension", 1): "takes no-data for the lowest value of (192, 216, no-data), where quantiles ignores it",
    **dict.fromkeys(
        [("array_filter", index) for index in (3, 4, 5)],
        "gives a parameter process where it is called condition, as others that are in the errata; mended.py mends it",
    ),
}


def _cases() -> Iterator[Case]:
    for process, tests in official.vectors().items():
        for test in tests:
            if (process, test["index"]) not in official.errata():
                yield Case(process, test)


EVERY = list(_cases())
CASES = [case for case in EVERY if {case.process, *case.test.get("required", ())} <= set(DECLARED)]
ON_CUBES = [case for case in CASES if any(isinstance(v, xr.DataArray) and v.ndim > 1 for v in case.arguments.values())]
REDUCING = [case for case in CASES if "axis" in DECLARED[case.process].engine]
ELEMENTWISE = [
    case
    for case in CASES
    if not DECLARED[case.process].engine and DECLARED[case.process].scaling.name == "BLOCKWISE" and case not in ON_CUBES
]


def parametrized(cases: list[Case]) -> pytest.MarkDecorator:
    """One test for each case."""
    marked = [
        pytest.param(case, marks=pytest.mark.xfail(reason=DISAGREED[key])) if (key := case.key) in DISAGREED else case
        for case in cases
    ]
    return pytest.mark.parametrize("case", marked, ids=repr)


DIGITS = ("round", "p")  # how many digits is one number, never an array
COMPARING = {"between", "eq", "gt", "gte", "lt", "lte", "neq"}


@pytest.fixture(autouse=True)
def nan_is_a_number() -> Iterator[None]:
    with dask.config.set({"openeo.nan-is-nodata": False}):
        yield


@contextlib.contextmanager
def as_expected(case: Case) -> Iterator[None]:
    """Hold that what a case throws is raised, and nothing else."""
    raised = ""
    try:
        yield
    except OpenEOException as error:
        raised = error.code
    allowed = {"": "returns" in case.test}.get(raised, case.test.get("throws") in (True, raised))
    assert allowed, f"{case} raises {raised or 'nothing'}, not {case.test.get('throws', 'nothing')}"


def holds(case: Case, run: Callable[[], Any]) -> None:
    """Run a case and compare its result, or what it raises."""
    with as_expected(case):
        result, expected = run(), case.test.get("returns")
        same = decoding.same(result, expected, case.test.get("delta", decoding.ALMOST))
        assert same or "returns" not in case.test, f"{case}{case.test['arguments']}: {result!r}, not {expected!r}"


def test_vectors_are_there_and_errata_name_some_of_them() -> None:
    assert len(EVERY) > 700
    known = {(process, test["index"]) for process, tests in official.vectors().items() for test in tests}
    assert set(official.errata()) <= known


def test_vectors_that_are_not_run_belong_to_the_gaps() -> None:
    skipped = [case for case in EVERY if case not in CASES]
    undeclared = {name for case in skipped for name in (case.process, *case.test.get("required", ()))} - set(DECLARED)
    assert undeclared <= set(official.gaps())
    if skipped:
        pytest.skip(f"{len(skipped)} vectors wait for {len(undeclared)} processes that are not written: {undeclared}")


@parametrized(CASES)
def test_called(case: Case) -> None:
    holds(case, lambda: DECLARED[case.process].function(**case.arguments))


@parametrized(CASES)
def test_executed(case: Case) -> None:
    holds(case, lambda: executed(case, case.arguments))


def executed(case: Case, values: dict[str, Any]) -> Any:
    """Run a graph of one node, which gets its values as parameters and its child processes as they are."""
    graphs = {name: v for name, v in values.items() if isinstance(v, dict) and "process_graph" in v}
    arguments = {name: graphs.get(name, {"from_parameter": name}) for name in values}
    node = {"process_id": case.process, "arguments": arguments, "result": True}
    return execute({"node": node}, {name: v for name, v in values.items() if name not in graphs})


SLIPS = mended.SLIPS if official.vectors() else {}  # without the official documents there is nothing to mend
MENDED = [case for key in SLIPS if (case := Case(key[0], mended.vector(key))).process in DECLARED]


@pytest.mark.parametrize("case", MENDED, ids=repr)
def test_mended(case: Case) -> None:
    holds(case, lambda: DECLARED[case.process].function(**case.arguments))
    holds(case, lambda: executed(case, case.arguments))
    arguments = {name: chunked(value) for name, value in case.arguments.items()}
    holds(case, lambda: executed(case, arguments))


def test_only_vectors_that_are_wrong_are_mended() -> None:
    assert set(mended.SLIPS) <= {*official.errata(), *DISAGREED}


@parametrized(ON_CUBES)
def test_on_chunked_cubes(case: Case) -> None:
    arguments = {name: chunked(value) for name, value in case.arguments.items()}
    holds(case, lambda: executed(case, arguments))


def chunked(value: Any) -> Any:
    """A cube with chunks of awkward sizes; other values as they are."""
    if not isinstance(value, xr.DataArray) or value.ndim < 2:
        return value
    return value.copy(data=da.from_array(value.values, chunks=tuple(map(awkward, value.shape))))


def awkward(length: int) -> tuple[int, ...]:
    """One, two, and the rest."""
    return tuple(size for size in (min(length, 1), min(length - 1, 2), length - 3) if size > 0) or (0,)


# --- arrays of numpy and dask, in which NaN is no-data


def as_array(case: Case) -> np.ndarray | None:
    """The data of a reducing case as an array, if it holds numbers or truth values only and no NaN."""
    data = case.test["arguments"].get("data")
    if not isinstance(data, list):
        return None
    values = decoding.decoded(data)
    allowed = all(v is None or (isinstance(v, (int, float)) and v == v) for v in values)
    mixed = any(isinstance(v, bool) for v in values) and any(type(v) in (int, float) for v in values)
    return decoding.numbers(data) if allowed and not mixed else None


def gapped(value: Any) -> Any:
    """What is expected of an array: NaN for no-data."""
    value = decoding.decoded(value)
    return [gapped(inner) for inner in value] if isinstance(value, list) else math.nan if value is None else value


NOT_OF_VALUES = {"array_labels", "array_find_label", "array_create_labeled"}
RAGGED = {"order", "sort"}  # without no-data a row of numbers gets shorter, but rows of a block have gaps behind
ARRAYS = [case for case in REDUCING if as_array(case) is not None and case.process not in NOT_OF_VALUES]


@parametrized(ARRAYS)
def test_on_an_array(case: Case) -> None:
    """A column of two axes, in one block and in blocks of awkward sizes, whose axis is kept or not."""
    column = as_array(case)
    assert column is not None
    block = np.stack([column] * 3, axis=1)
    cut = da.from_array(block, chunks=(awkward(len(column)), (1, 2)))
    run = functools.partial(DECLARED[case.process].function, **{**case.arguments, "data": None})
    for kept in (False, True) if "keepdims" in DECLARED[case.process].engine else (None,):
        options = {} if kept is None else {"keepdims": kept}
        for axis, array, lazily in ((0, block, False), (0, cut, True), (1, block.T, False), (1, cut.T, True)):
            with as_expected(case):
                with nothing_computed():
                    result = run(data=array, axis=axis, **options)
                assert isinstance(result, da.Array) == lazily
                if "returns" in case.test:
                    check(case, np.asarray(result), gapped(case.test["returns"]), axis, kept is not False)


def check(case: Case, result: np.ndarray, expected: Any, axis: int, kept: bool) -> None:
    """Compare each of three equal rows with what is expected of one."""
    several = isinstance(expected, list)
    if kept:
        result = np.moveaxis(result, axis, -1)
    elif not several:
        result = result[..., None]
    row = np.asarray(expected if several else [expected], np.float64)
    if case.process in RAGGED:
        row = np.pad(row, (0, result.shape[-1] - len(row)), constant_values=np.nan)
    tolerance = case.test.get("delta", decoding.ALMOST)
    equal = decoding.same_values(result.astype(np.float64), np.broadcast_to(row, (3, len(row))), tolerance)
    assert equal, f"{case}: {result} is not {row}"
    assert result.dtype.kind in "bf" or not isinstance(expected, bool), f"{case}: truth values of {result.dtype}"


def plain_operands(case: Case) -> list[str] | None:
    """The arguments of an elementwise case that can be arrays, if what it means does not depend on plain values."""
    arguments = decoding.decoded(case.test["arguments"])
    names = [name for name in ("x", "y", "value", "base", "p") if name in arguments and (case.process, name) != DIGITS]
    values = [arguments[name] for name in names]
    if not names or not all(v is None or isinstance(v, (int, float)) for v in values):
        return None
    if any(isinstance(v, bool) for v in values) and case.process in {*COMPARING, "is_nan", "is_valid", "is_infinite"}:
        return None  # in arrays truth values are numbers
    unlike = {"is_nan": None, "is_nodata": math.nan}
    if case.process in unlike and any(v is unlike[case.process] or v != v for v in values):
        return None  # in arrays NaN is no-data
    if case.process in COMPARING and any(v != v for v in values):
        return None
    return names if not any(isinstance(v, (list, dict, str)) for v in arguments.values()) else None


OPERANDS = [case for case in ELEMENTWISE if plain_operands(case)]


@parametrized(OPERANDS)
def test_on_operands_that_are_arrays(case: Case) -> None:
    arguments = case.arguments
    names = plain_operands(case) or []
    many = {name: np.broadcast_to(decoding.numbers([arguments[name]]), (2, 5)).copy() for name in names}
    cut = {name: da.from_array(array, chunks=(1, (1, 3, 1))) for name, array in many.items()}
    cubes = {name: xr.DataArray(array, dims=("y", "x")) for name, array in many.items()}
    first = {names[0]: many[names[0]]}
    for arrays in (many, cut, cubes, first):
        with as_expected(case):
            with nothing_computed():
                result = DECLARED[case.process].function(**{**arguments, **arrays})
            if "returns" in case.test:
                expected = np.full((2, 5), gapped(case.test["returns"]), np.float64)
                found = np.asarray(result).astype(np.float64)
                tolerance = case.test.get("delta", decoding.ALMOST)
                assert decoding.same_values(found, expected, tolerance), f"{case}: {found}, not {expected}"
