"""What the README says runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=["execute", "registry"])
def test_the_examples_run_as_they_stand(code: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert not list(tmp_path.iterdir())


def test_the_first_example_has_about_fifteen_lines() -> None:
    assert len([line for line in EXAMPLES[0].splitlines() if line.strip()]) <= 15


def test_the_files_that_the_readme_names_are_there() -> None:
    for name in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / name).exists(), f"README names {name}, which is not there"


def test_the_commands_that_the_readme_names_are_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) - {"first"} <= targets


def test_the_number_of_processes_is_right() -> None:
    from openeo_processes_dask import process_implementations  # noqa: F401  (importing it declares the processes)
    from openeo_processes_dask.declare import DECLARED

    said = re.search(r"Here are (\d+) of the 155 processes", README)
    assert said is not None
    assert int(said.group(1)) == len(DECLARED)
