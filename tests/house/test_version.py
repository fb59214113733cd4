"""The version is stated once, and importing the package costs nothing."""

import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import openeo_processes_dask

ROOT = Path(__file__).parents[2]
PROMISED_SECONDS = 0.05
PAIRS = 9


def python(statement: str) -> subprocess.CompletedProcess[str]:
    """Run a statement in a new Python."""
    return subprocess.run(
        [sys.executable, "-c", statement], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )


def seconds(statement: str) -> float:
    began = time.perf_counter()
    python(statement)
    return time.perf_counter() - began


def test_the_package_and_its_metadata_name_the_same_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == openeo_processes_dask.__version__


def test_importing_the_package_imports_nothing_else():
    modules = "import sys; before = set(sys.modules); import openeo_processes_dask; print(*set(sys.modules) - before)"
    assert python(modules).stdout.split() == ["openeo_processes_dask"]


def test_importing_the_package_takes_less_than_the_promised_time():
    # In pairs, so that whatever else the machine does weighs on both sides alike.
    above_bare = [seconds("import openeo_processes_dask") - seconds("pass") for _ in range(PAIRS)]
    assert statistics.median(above_bare) < PROMISED_SECONDS
