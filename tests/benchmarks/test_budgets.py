"""A count that changes is said in one line, by how much and with the remedy; nothing is run for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import budgets, commands, suite
from benchmarks.cubes.indices import Ndvi
from benchmarks.suite import Suite

ROOT = Path(__file__).parents[2]
WRITTEN = {
    "a.B(mean)": {"tasks": 20, "edges": 16, "critical_path": 2, "width": 16, "graph_bytes": 3000, "eager_tasks": 0}
}


def changed(**counts: int) -> list[budgets.Change]:
    return list(budgets.changes({"a.B(mean)": {**WRITTEN["a.B(mean)"], **counts}}, WRITTEN))


def test_the_same_counts_say_nothing():
    assert changed() == []


def test_a_change_says_by_how_much_in_one_line():
    assert changed(tasks=36, critical_path=3) == [
        budgets.Change("a.B(mean): tasks 20 → 36 (+80%), critical path 2 → 3 (+50%)", True)
    ]


def test_less_is_a_change_too_and_not_for_the_worse():
    assert changed(tasks=16) == [budgets.Change("a.B(mean): tasks 20 → 16 (-20%)", False)]


def test_computing_while_building_is_for_the_worse():
    assert changed(eager_tasks=7) == [budgets.Change("a.B(mean): eager tasks 0 → 7", True)]


def test_the_bytes_of_a_graph_may_differ_a_little():
    assert changed(graph_bytes=3200) == []
    assert changed(graph_bytes=3900)[0].text == "a.B(mean): graph bytes 3,000 → 3,900 (+30%)"


def test_what_is_new_or_gone_is_named_with_the_remedy():
    new, gone = budgets.changes({"c.D": WRITTEN["a.B(mean)"]}, WRITTEN)
    assert new.text.startswith("c.D: new, without a budget")
    assert gone.text.startswith("a.B(mean): has a budget, and is no longer there")
    assert budgets.REMEDY in new.text
    assert budgets.REMEDY in gone.text
    assert [*budgets.changes({}, WRITTEN, whole=False)] == []


def test_what_is_written_is_read_again(tmp_path):
    odd = {'a.B("x", [1, 2])': WRITTEN["a.B(mean)"], **WRITTEN}
    budgets.write(odd, tmp_path / "budgets.toml")
    assert budgets.read(tmp_path / "budgets.toml") == odd
    assert budgets.read(tmp_path / "nothing.toml") == {}


class Patched(Ndvi):
    """The same, in which something went wrong."""

    def build(self):
        return super().build() + self.cube.chunk(t=-1).isel(bands=0)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let there be one suite, and budgets of its own."""
    monkeypatch.setattr(budgets, "BUDGETS", tmp_path / "budgets.toml")

    def let(one: type[Suite]) -> None:
        monkeypatch.setattr(commands, "suites", lambda: {"cubes.indices.Ndvi": one})

    assert suite.suites()["cubes.indices.Ndvi"] is Ndvi
    return let


def test_check_fails_where_a_process_has_become_dearer_and_update_accepts_it(only, capsys):
    only(Ndvi)
    assert commands.graph([], check=True) == 1
    assert "without a budget" in capsys.readouterr().out
    assert commands.graph([], update=True) == 0
    assert commands.graph([], check=True) == 0
    only(Patched)
    capsys.readouterr()
    assert commands.graph([], check=True) == 1
    said = capsys.readouterr().out
    assert "cubes.indices.Ndvi: tasks 16 → " in said
    assert budgets.REMEDY in said
    assert commands.graph([], update=True) == 0
    assert commands.graph([], check=True) == 0


def test_the_command_needs_no_cluster_and_less_than_a_minute():
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks", "graph", "--check", "cubes.indices"],
        cwd=ROOT,
        env={**os.environ, "DASK_SCHEDULER": "tcp://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode in (0, 1), answer.stderr
    assert "no cluster, nothing run" in answer.stdout
    assert time.monotonic() - began < 60
