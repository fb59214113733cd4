"""Pages of comparisons say which ratios are differences, which are none, and what failed."""

from __future__ import annotations

import re

import pytest

from benchmarks import store
from benchmarks.comparing.ratios import ratio
from benchmarks.scaling import comparisons


def made(title, own, other, null, wanted=None, error=None, run="one"):
    """A record as `compare` stores it."""
    samples = {f"{side}.build_seconds": [0.0] * len(times) for side, times in (("own", own), ("other", other))}
    samples |= {"own.compute_seconds": own, "other.compute_seconds": other}
    sides = {"own": "here", "other": "peer==1", "null": "here"}
    one = store.record(
        "comparison",
        suite=title,
        samples=samples,
        title=title,
        wanted=wanted,
        sides={
            side: {"name": name, "error": error if side == "other" else None, "wrong": None}
            for side, name in sides.items()
        },
        ratio=None if error else ratio(other, own)._asdict(),
        null_ratio=ratio(null, own)._asdict(),
    )
    return {**one, "run": run}


FASTER = made("a faster <case>", [1.0, 1.1, 1.0], [5.0, 5.2, 5.1], [1.0, 1.0, 1.1], wanted=2.0)
SAME = made("the same", [1.0, 1.2, 1.1], [1.1, 1.2, 1.0], [1.2, 1.25, 1.2])
FAILED = made("a failure", [1.0] * 3, [], [1.0] * 3, error="MemoryError: none left")


def test_differences_are_told_from_none():
    page = comparisons.html_page([FASTER, SAME])
    assert "here is faster in 1 and slower in 0 of 2 cases; 1 show none" in page
    marks = re.findall(r'<circle class="([^"]+)"', page)
    assert marks == ["mark hue0", "mark hue0 hollow"]
    assert "a faster &lt;case&gt;" in page
    assert "≥ 2" in page


def test_what_failed_is_said_and_drawn_nowhere():
    page = comparisons.html_page([FASTER, FAILED])
    assert "a failure: peer==1: MemoryError: none left" in page
    assert page.count("<circle") == 1


def test_ratios_lie_on_a_logarithmic_axis():
    page = comparisons.html_page([FASTER, made("slower", [5.0] * 3, [1.0] * 3, [5.0] * 3)])
    places = [float(x) for x in re.findall(r'<circle[^>]* cx="([\d.]+)"', page)]
    one = re.search(r'class="axis" x1="([\d.]+)"', page)
    assert one
    assert places[0] - float(one[1]) == pytest.approx(float(one[1]) - places[1], abs=4)


def test_the_newest_run_of_each_pair_has_a_page(tmp_path, monkeypatch):
    monkeypatch.setenv(store.PLACE, str(tmp_path / "records.jsonl"))
    store.append(FASTER, SAME, {**SAME, "run": "two"})
    (page,) = comparisons.from_store(tmp_path)
    assert page.name == "compare-here-peer-1.html"
    assert "of 1 cases" in page.read_text()
    assert "http" not in page.read_text()
