"""A made-up peer of the same interface, seen through the public parser: what it lacks or does wrong is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from benchmarks.comparing import command, comparison, environments
from benchmarks.comparing.sides import Side, SideError, closing
from benchmarks.suite import Calls, suites
from openeo_processes_dask.declare import DECLARED

PEER = {
    "__init__.py": "",
    "specs/__init__.py": "mean = {'id': 'mean'}\nreduce_dimension = {'id': 'reduce_dimension'}\nndvi = {'id': 'ndvi'}\n"
    "filter_bands = {'id': 'filter_bands'}\ntext_begins = {'id': 'text_begins'}\nsort = {'id': 'sort'}\n"
    "text_ends = {'id': 'text_ends'}\ndate_shift = {'id': 'date_shift'}\n",
    "process_implementations/__init__.py": """
import os
import numpy as np

def mean(data, ignore_nodata=True, axis=None, keepdims=False):
    return np.nanmean(data.compute() if hasattr(data, "compute") else data, axis=axis, keepdims=keepdims)

def reduce_dimension(data, reducer, dimension, context=None):
    return data.reduce(reducer, dim=dimension, positional_parameters={"data": 0}, keep_attrs=True)

def ndvi(data, nir="nir", red="red", target_band=None):
    return data.isel(bands=0) * 0

def filter_bands(data, bands=None, wavelengths=None):
    os._exit(7)

def sort(data, asc=True, nodata=None, axis=None):
    return np.sort(data.compute() if hasattr(data, "compute") else data, axis=axis)

def text_begins(data, pattern, case_sensitive=True):
    return None

def text_ends(data, pattern, case_sensitive=True):
    return data.endswith(pattern)
""",
    "process_implementations/dates.py": """
__all__ = ["date_shift"]

def date_shift(date, value, unit):
    return "2020-02-29"
""",
    "process_implementations/core.py": """
import inspect
from functools import wraps
from openeo_pg_parser_networkx.pg_schema import ParameterReference
from openeo_processes_dask import process_implementations

def process(f):
    @wraps(f)
    def wrapper(*args, positional_parameters=None, named_parameters=None, **kwargs):
        known = dict(named_parameters or {})
        known.update({name: args[place] for name, place in (positional_parameters or {}).items()})
        given = {k: known[v.from_parameter] if isinstance(v, ParameterReference) else v for k, v in kwargs.items()}
        return f(**{k: v for k, v in given.items() if k in inspect.signature(f).parameters})
    return wrapper

standard_processes = [f for _, f in inspect.getmembers(process_implementations, inspect.isfunction)]
""",
}
CASES = {
    (name, *params): comparison.Case(name, params, "smallest", name)
    for name, params in (
        ("cubes.reduce.ReduceDimension", ("mean",)),
        ("cubes.indices.Ndvi", ()),
        ("cubes.mask.Mask", ()),
        ("cubes.filter.FilterBands", ()),
        ("arrays.sorting.Sorting", ("sort",)),
        ("text.Text", ("text_begins",)),
        ("text.Text", ("text_ends",)),
        ("dates.Dates", ("date_shift",)),
    )
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, comparison.Row]]:
    """What a comparison with the made-up peer gives."""
    package = tmp_path_factory.mktemp("peer") / "openeo_processes_dask"
    for name, text in PEER.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    own, null = environments.here(), environments.here()
    peer = Side("made up", sys.executable, package)
    with closing(own, peer, null):
        found = comparison.compared(own, peer, null, list(CASES.values()), 3, lambda share, doing: None)
        yield {row.case.params[0] if row.case.params else row.case.suite: row for row in found}


def test_both_sides_are_measured_and_this_code_against_itself(rows):
    row = rows["mean"]
    assert row.own.right
    assert row.other.right
    assert len(row.own.rounds) == len(row.other.rounds) == len(row.null.rounds) == 3
    ratio, null = row.ratio(), row.null_ratio()
    assert ratio is not None
    assert null is not None
    assert 0 < ratio.low <= ratio.value <= ratio.high
    assert comparison.smallest([row]) >= 1
    assert row.own.median("tasks") == 8


def test_computing_while_building_is_said(rows):
    row = rows["mean"]
    assert row.own.median("eager_tasks") == 0
    assert row.other.median("eager_tasks") > 0
    assert "there: eager" in command._remarks(row)


def test_another_result_is_said(rows):
    row = rows["cubes.indices.Ndvi"]
    assert row.own.right
    assert not row.other.right
    assert any(
        remark.startswith("there: not what is expected (") and len(remark) < 200 for remark in command._remarks(row)
    )


def test_a_right_result_that_is_no_graph_is_not_called_wrong(rows):
    row = rows["sort"]
    assert row.other.right
    assert command._remarks(row) == ["there: eager"]


@pytest.mark.parametrize("name", ["text_ends", "date_shift"])
def test_single_calls_are_measured_and_nobody_wants_a_graph_of_them(rows, name):
    row = rows[name]
    assert command._remarks(row) == []
    ratio = row.ratio()
    assert ratio is not None
    assert 0 < ratio.value < 100
    assert 1e-6 < row.other.median("seconds") < 1  # a thousand of them


def test_a_single_call_that_gives_another_value_is_said(rows):
    assert command._remarks(rows["text_begins"]) == ["there: not what is expected (ACTUAL: None DESIRED: True)"]


def test_all_processes_on_values_are_compared_each_in_a_row_of_its_own():
    compared = {(case.suite, case.params) for case in command._cases(None, [], calls=True)}
    shown = {id_ for suite, _ in compared for id_ in suites()[suite].ids()}
    values = {id_ for id_, process in DECLARED.items() if ".cubes." not in process.function.__module__}
    assert values <= shown
    assert not any(issubclass(suites()[case.suite], Calls) for case in command._cases(None, [], calls=False))


def test_what_the_peer_lacks_is_said_and_has_no_ratio(rows):
    row = rows["cubes.mask.Mask"]
    assert row.ratio() is None
    assert command._remarks(row) == ["there: Lacking: there is no process 'mask'"]


def test_a_peer_whose_process_dies_is_said_and_the_next_case_is_measured(rows):
    assert "its process ended with status 7" in str(rows["cubes.filter.FilterBands"].other.error)


def test_a_side_that_takes_too_long_is_ended():
    side = environments.here()
    with closing(side), pytest.raises(SideError, match=r"took longer than 0 s"):
        side.ask(0.01, job="check", suite="cubes.indices.Ndvi", params=[], size="smallest")
    assert side.process is None


def test_what_a_failed_job_still_holds_is_in_no_others_way():
    side = environments.here()
    asked = {"suite": "cubes.indices.Ndvi", "params": [], "size": "smallest"}
    with closing(side):
        side.ask(60, job="check", **asked)
        first = side.process
        assert first is not None
        with pytest.raises(SideError, match="NoSuchSuite"):
            side.ask(60, job="check", **{**asked, "suite": "cubes.indices.NoSuchSuite"})
        assert first.poll() is not None
        side.ask(60, job="check", **asked)
        assert side.process is not first


def test_what_names_no_peer_and_no_commit_is_refused():
    with pytest.raises(SideError, match="a package and its version"):
        environments.peer("openeo-processes-dask")
    with pytest.raises(SideError, match="no such commit"):
        environments.commit("0" * 40)


def test_requirements_that_cannot_be_had_are_left_out():
    assert environments._without_extra("xvec (==0.2.0)", ' extra == "implementations"') == "xvec (==0.2.0)"
    marker = " python_version < '3.12' and extra == 'implementations'"
    assert environments._without_extra("numpy", marker) == "numpy ; python_version < '3.12'"
