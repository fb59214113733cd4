"""`pytest --benchmark` times the suites and runs nothing else; plain pytest times nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import target

ROOT = Path(__file__).parents[2]
CHOSEN = ("tests/benchmarks/test_suites.py", "-k", "cubes.indices or Text or there_is_something")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != target.ADDRESS} | {target.SIZE: "smallest"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *CHOSEN, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)


def test_the_switch_times_suites_and_nothing_else(tmp_path):
    answer = run("--benchmark", f"--benchmark-json={tmp_path / 'times.json'}")
    assert answer.returncode == 0, answer.stdout
    assert " skipped, " in answer.stdout  # what is no benchmark
    timed = {one["name"]: one for one in json.loads((tmp_path / "times.json").read_text())["benchmarks"]}
    ndvi = timed["test_suite[cubes.indices.Ndvi]"]
    assert ndvi["stats"]["rounds"] == 3
    assert ndvi["stats"]["min"] > 0
    assert ndvi["extra_info"]["tasks"] == 8
    assert any(name.startswith("test_suite[text.") for name in timed)


def test_the_switch_of_pytest_benchmark_times_them_too_and_compares_with_an_earlier_run(tmp_path):
    kept = f"--benchmark-storage={tmp_path}"
    first = run("--benchmark-only", "--benchmark-save=first", kept)
    assert first.returncode == 0, first.stdout
    assert "test_suite[cubes.indices.Ndvi]" in first.stdout
    again = run("--benchmark-only", "--benchmark-compare=0001", kept)
    assert again.returncode == 0, again.stdout
    assert "test_suite[cubes.indices.Ndvi] (0001_first)" in again.stdout


def test_without_it_nothing_is_timed():
    answer = run()
    assert answer.returncode == 0, answer.stdout
    assert "Rounds" not in answer.stdout
    assert "skipped" not in answer.stdout


def test_its_help_says_what_it_does():
    answer = run("--help")
    assert "time every suite at its default size" in answer.stdout
