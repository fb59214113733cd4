"""Pages stand alone, say what is doubtful in words, and can be made again from the store."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from benchmarks import store
from benchmarks.scaling import report
from benchmarks.scaling.charts import Series, chart, nice_ticks
from tests.benchmarks.scaling.sweeps import curve, record

STRONG = {1: [8.0, 8.0, 8.4], 2: [4.0, 4.4, 4.0], 4: [2.5, 2.5, 2.4]}
WEAK = {1: [1.0, 1.0, 1.1], 2: [1.0, 1.2, 1.1], 4: [1.25, 1.3, 1.2]}
SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A store of its own."""
    monkeypatch.setenv(store.PLACE, str(tmp_path / "records.jsonl"))
    return tmp_path


# --- charts


def test_charts_are_well_formed_and_have_every_mark():
    drawn = chart("A <b> & c", "threads", "s", [Series("a & b", [(1, 1), (2, 3)], [(0.5, 2), (2, 4)])], "{:g}".format)
    (svg, *_) = SVG.findall(drawn)
    root = ElementTree.fromstring(svg)
    marks = [one for one in root.iter("path") if "mark" in one.get("class", "")]
    assert [mark[0].text for mark in marks] == ["a & b: 1 → 1", "a & b: 2 → 3"]
    assert "<b>" not in drawn


def test_marks_lie_where_their_values_are():
    drawn = chart("t", "x", "y", [Series("a", [(1, 0), (2, 5), (4, 10)])], "{:g}".format)
    line = re.search(r'class="measured hue0" d="M([^"]+)"', drawn)
    assert line
    places = [tuple(map(float, place.split())) for place in line[1].split("L")]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)  # on a logarithmic axis
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)


def test_nothing_to_draw_is_no_chart():
    assert chart("t", "x", "y", [Series("a", [])], "{:g}".format) == ""


@pytest.mark.parametrize("high", [0.0, 1e-7, 0.3, 1.0, 4.0, 7.3, 99.0, 3e9])
def test_axes_begin_at_zero_and_hold_all_values(high):
    ticks = nice_ticks(high)
    assert ticks[0] == 0
    assert ticks[-1] >= high * 0.999
    assert 2 <= len(ticks) <= 7


# --- pages


def test_a_page_fetches_nothing():
    page = report.html_page([curve(STRONG)])
    assert not re.findall(r"(?:src|href|url|@import|http)", page.split("</style>")[1])
    assert "http" not in page
    assert "<script" not in page


def test_a_page_knows_dark_and_narrow_screens():
    page = report.html_page([curve(STRONG)])
    assert "prefers-color-scheme:dark" in page
    assert 'name="viewport"' in page


def test_series_differ_in_more_than_colour():
    page = report.html_page([curve(STRONG), curve(STRONG, label="compose")])
    shapes = set(re.findall(r'class="mark hue(\d)"[^>]* d="M[\d.]+ [\d.]+(\w)', page))
    assert len({shape for _, shape in shapes}) == len({hue for hue, _ in shapes}) == 2


def test_strong_and_weak_sweeps_of_targets_stand_side_by_side():
    both = [curve(STRONG), curve(STRONG, label="compose"), curve(WEAK, mode="weak")]
    page = report.html_page(both)
    assert "<h2>Strong scaling</h2>" in page
    assert "<h2>Weak scaling</h2>" in page
    assert page.count("<figure>") == 4 + 4 + 1
    assert "compose, strong" in page


def test_what_is_doubtful_is_said_in_words():
    drifted = curve(STRONG, flags={"drift": "rejected: it drifted"}, error="interrupted after 3 of 9 runs")
    for text in (report.html_page([drifted]), report.markdown([drifted])):
        assert "it drifted" in text
        assert "interrupted after 3 of 9 runs" in text
    assert "REJECTED" in report.html_page([drifted])
    assert "Amdahl</li>" not in report.html_page([drifted])  # no law is drawn through it
    assert "valid" in report.html_page([curve(STRONG)])


def test_a_sweep_that_measured_nothing_has_a_page_too():
    nothing = curve({}, probes=None, error="interrupted after 0 of 9 runs")
    assert "interrupted after 0 of 9 runs" in report.html_page([nothing])
    assert "interrupted" in report.markdown([nothing])


def test_the_summary_says_where_the_curve_ends():
    assert "4 threads are 3.20 times as fast as 1, where 4.00 were possible: 80%" in report.markdown([curve(STRONG)])
    weak = report.markdown([curve(WEAK, mode="weak")])
    assert "4 times the threads and the work take 1.25 s instead of 1 s: 80%" in weak


# --- from the store


def test_the_newest_sweep_of_each_mode_and_target_is_drawn(kept):
    old, new = ({1: [1.0] * 3, 2: [second] * 3} for second in (0.9, 0.5))
    for made in (record(old), record(new), record(new, label="compose"), record(WEAK, mode="weak")):
        store.append(made)
    (page,) = report.from_store((), kept / "pages")
    text = page.with_suffix(".md").read_text()
    assert "embedded: 2 threads are 2.00 times as fast" in text
    assert "compose: 2 threads are 2.00 times as fast" in text
    assert "1.11 times" not in text
    assert page.read_text().startswith("<!doctype html>")


def test_pages_of_some_suites_can_be_asked_for(kept):
    store.append(record(STRONG), record(STRONG, title="cubes.mask.Mask"))
    assert [page.stem for page in report.from_store(["mask"], kept / "pages")] == ["cubes.mask.Mask-strong-embedded"]
    assert report.from_store(["nothing"], kept / "pages") == []


def test_no_share_of_the_work_is_more_than_all_of_it():
    """Where more threads take longer, and where they gain more than there are."""
    slower = {1: [1.0, 1.0, 1.0], 2: [5.0, 5.1, 5.2], 4: [4.0, 4.1, 4.2], 8: [2.0, 2.1, 2.2]}
    page = report.html_page([curve(slower)])
    assert "over 100% at 2 threads" in page
    assert "takes longer than all the work of one" in page
    faster = {1: [8.0, 8.0, 8.0], 2: [3.0, 3.0, 3.1], 4: [1.9, 1.9, 2.0]}
    assert "below 0% at 2 threads" in report.html_page([curve(faster)])
    assert not re.search(r"\d{3,}\.\d%", page)
