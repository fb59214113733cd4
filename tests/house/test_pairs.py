"""Every process has its pairs: a suite and tests, in the mirrored files under benchmarks and tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import openeo_processes_dask.process_implementations as processes
from benchmarks.suite import suites
from openeo_processes_dask.declare import DECLARED

ROOT = Path(__file__).parents[2]
MEASURED = {(name.rpartition(".")[0], id_) for name, suite in suites().items() for id_ in suite.ids()}

# Processes that are not measured, each with its reason.
UNMEASURED: dict[str, str] = {}


def family(process_id: str) -> str:
    """The file in which a process is declared, within the processes."""
    return DECLARED[process_id].function.__module__.removeprefix(f"{processes.__name__}.")


@pytest.mark.parametrize("process_id", sorted(DECLARED))
def test_a_process_has_a_suite_in_the_mirrored_file(process_id):
    assert ((family(process_id), process_id) in MEASURED) != (process_id in UNMEASURED)


@pytest.mark.parametrize("file", sorted({family(process_id) for process_id in DECLARED}))
def test_a_family_has_a_mirrored_file_of_tests(file):
    *folders, name = file.split(".")
    assert ROOT.joinpath("tests", *folders, f"test_{name}.py").exists()


def test_suites_measure_processes_of_the_mirrored_file():
    elsewhere = {(file, id_) for file, id_ in MEASURED if not file.startswith("graphs.") and file != family(id_)}
    assert elsewhere == set()
