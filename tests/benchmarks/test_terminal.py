"""Numbers are written as people read them, and tables are not folded where no terminal is."""

from __future__ import annotations

import math

import pytest

from benchmarks import terminal


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0 s"), (0.0000123, "12.3 µs"), (0.00999, "9.99 ms"), (0.9996, "1 s"), (61.24, "61.2 s"), (1234.5, "1234 s")],
)
def test_seconds(value, written):
    assert terminal.seconds(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0, "0 B"), (999, "999 B"), (999_600, "1 MB"), (28.3e6, "28.3 MB"), (4.4e12, "4.4 TB")]
)
def test_bytes(value, written):
    assert terminal.size(value) == written


@pytest.mark.parametrize("write", [terminal.seconds, terminal.size, terminal.number])
@pytest.mark.parametrize("nothing", [None, math.nan])
def test_what_was_not_measured_is_a_dash(write, nothing):
    assert write(nothing) == "–"


def test_a_table_without_a_terminal_is_one_line_a_row(capsys):
    terminal.table(("suite", "tasks"), [("a" * 70, terminal.number(123456)), ("b" * 60, "0")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].endswith("123,456")


def test_progress_without_a_terminal_is_a_line_for_each_tenth(capsys):
    with terminal.progress("suites") as step:
        for share in range(101):
            step(share / 100, f"number {share}")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[5].split() == ["suites:", "50%", "number", "50"]
