"""The official test suite's dask runner, unmodified, on the vectors that lie beside the checkout.

It comes with dozens of packages of its own, so it lives in an environment of its own: `make suite` makes one and runs
this file, `$OPENEO_TEST_SUITE` names the Python of another. It hands no-data over as NaN, so it cannot tell the two.
"""

from __future__ import annotations

import collections
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from tests.spec import official
from tests.spec.test_vectors import DISAGREED

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("OPENEO_TEST_SUITE", sys.executable)
SECONDS = 240

# NaN is a number among plain values, but where it stands for no-data it is none: each of these has a counterpart
# among the vectors that gives the same arguments with no-data, and expects something else.
NAN_IS_NODATA = {
    **{name: {index} for name, index in (("max", 3), ("last", 6), ("sum", 7), ("mean", 6), ("extrema", 3))},
    "gt": {10, 11, 12},
    "gte": {13, 14},
    "lt": {11, 12},
    "lte": {12},
    "eq": {13, 15},
    "neq": {13, 14, 15},
    "is_nan": {13},
}
# What the runner does not show as it is.
RUNNER = {
    "array_create_labeled": {0, 1, 2},  # a labelled array is told as a cube
    "create_data_cube": {0},  # a cube without dimensions is told as a number
    "add_dimension": {3},  # a dimension of the type other is told as one of bands
}
Key = tuple[str, int]


class Outcome(NamedTuple):
    """How a vector went."""

    state: str
    message: str


def installed() -> bool:
    """Whether the suite is there to be run."""
    check = [PYTHON, "-c", "import openeo_test_suite.lib.process_runner.dask"]
    return subprocess.run(check, capture_output=True, cwd=ROOT, timeout=SECONDS).returncode == 0


def checkout(folder: Path) -> Path:
    """A folder as the suite has it below its own: documents, and beside them vectors and what these refer to."""
    home = folder / "assets" / "processes"
    (home / "tests").mkdir(parents=True)
    for path in (official.FOLDER / "specs").glob("*.json"):
        (home / path.name).symlink_to(path)
    for path in (official.FOLDER / "vectors").glob("*.json"):
        (home / "tests" / f"{path.stem}.json5").symlink_to(path)
    (home / "assets").symlink_to(official.FOLDER / "vectors" / "assets")
    return folder


def outcomes(folder: Path) -> dict[Key, Outcome]:
    """What the suite says of each vector."""
    report = folder / "report.xml"
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "openeo_test_suite.lib.pytest_plugin"]
    command += ["--runner", "dask", "--experimental", f"--junitxml={report}"]
    command += ["--pyargs", "openeo_test_suite.tests.processes.processing"]
    ran = subprocess.run(
        [PYTHON, *command],
        cwd=checkout(folder),
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert report.exists(), ran.stdout + ran.stderr
    found: dict[Key, Outcome] = {}
    told: collections.Counter[str] = collections.Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = re.match(r"test_process\[(\w+)-example\d+-", str(case.get("name")))
        assert name is not None, case.attrib
        vector = official.vectors()[name[1]][told[name[1]]]  # they come in the order of the file
        told[name[1]] += 1
        bad = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        found[name[1], vector["index"]] = Outcome(
            *("passed", "") if bad is None else (bad.tag, str(bad.get("message")))
        )
    return found


@official.needed
def test_the_official_suite_passes_but_for_what_it_cannot_tell(tmp_path: Path) -> None:
    if not installed():
        pytest.skip("openeo-test-suite is not installed here: `make suite`")
    found = outcomes(tmp_path)
    assert len(found) == sum(map(len, official.vectors().values()))
    reasons = dict.fromkeys(official.errata(), "errata") | dict.fromkeys(DISAGREED, "disagreed")
    for reason, table in (("NaN is no-data", NAN_IS_NODATA), ("runner", RUNNER)):
        reasons |= {(process, index): reason for process, indices in table.items() for index in indices}
    run = {key: outcome for key, outcome in found.items() if outcome.message != "labeled arrays not implemented yet"}
    assert not {key: outcome for key, outcome in run.items() if outcome.state != "passed" and key not in reasons}
    passing = {key for key in run if run[key].state == "passed" and reasons.get(key, "errata") != "errata"}
    assert not passing, "these pass now: take them out of the tables"
    for process in sorted(official.vectors()):  # seen with -s
        states = collections.Counter(outcome.state for key, outcome in found.items() if key[0] == process)
        print(f"{process:30}", *(f"{count} {state}" for state, count in states.most_common()))
    print(*(f"{count} {state}" for state, count in collections.Counter(o.state for o in found.values()).most_common()))
