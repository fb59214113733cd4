"""Pages of comparisons: ratios of two sides with their intervals, and what is no difference."""

from __future__ import annotations

import html
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import store
from ..comparing.ratios import smallest_difference
from ..terminal import seconds
from . import pages

ROW, TOP, BOTTOM, WIDTH, LEFT = 42, 8, 30, 480, 16  # a chart of rows, each with its name above it
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
TITLE = 52  # characters that fit on a narrow screen too

COLUMNS = ("ratio", "interval", "aimed for", "remarks")

READ = """A ratio is the other side's time by this side's, of the medians of rounds that were taken in turns; above 1
this side is faster. Lines are intervals that hold 95 of 100 repetitions. The shaded band is what the same code showed
against itself: a ratio whose interval reaches into it is no difference, and its mark is hollow. A short upright line
is the ratio that is aimed for."""


def from_store(folder: Path) -> list[Path]:
    """A page for each pair of sides, of the newest run that compared them."""
    runs: dict[tuple[str, str], dict[str, list[store.Record]]] = defaultdict(lambda: defaultdict(list))
    for made in store.records(kind="comparison"):
        runs[made["sides"]["own"]["name"], made["sides"]["other"]["name"]][made["run"]].append(made)
    return [write(list(of_pair.values())[-1], folder) for of_pair in runs.values()]


def write(made: Sequence[store.Record], folder: Path) -> Path:
    """Write the page of one run's comparisons."""
    sides = made[0]["sides"]
    name = "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", sides[side]["name"]).strip("-") for side in ("own", "other"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"compare-{name}.html"
    path.write_text(html_page(made), encoding="utf-8")
    return path


def html_page(made: Sequence[store.Record]) -> str:
    """Everything that one run's comparisons say."""
    own, other = (made[0]["sides"][side]["name"] for side in ("own", "other"))
    nulls = [one["null_ratio"]["value"] for one in made if one["null_ratio"]]
    least = smallest_difference(nulls)
    title = f"{own} and {other}"
    versions = ", ".join(f"{name} {version}" for name, version in made[0]["versions"].items())
    faster = sum(one["ratio"]["low"] > least for one in made if one["ratio"])
    slower = sum(one["ratio"]["high"] < 1 / least for one in made if one["ratio"])
    ratios = sum(bool(one["ratio"]) for one in made)
    said = [
        f"{own} is faster in {faster} and slower in {slower} of {ratios} cases; {ratios - faster - slower} show none",
        f"the same code against itself differed by up to {least:.3g}× ({len(nulls)} cases)",
    ]
    lacking = [one for one in made if not one["ratio"]]
    said += [f"{one['title']}: {_failure(one)}" for one in lacking]
    body = [
        pages.heading(title, 1),
        pages.paragraph(f"{made[0]['time'][:16].replace('T', ' ')} UTC; {versions}", dim=True),
        pages.box("What may be said", said, doubt=bool(lacking)),
        pages.heading("Ratios"),
        _figure(own, other, _chart([one for one in made if one["ratio"]], least)),
        pages.heading("Numbers"),
        pages.table(
            ("case", own, other, "ratio", "interval", "aimed for", "remarks"), [_row(one) for one in made], (0, 6)
        ),
        pages.paragraph(READ),
    ]
    return pages.page(title, body)


def _figure(own: str, other: str, chart: str) -> str:
    caption = f"{html.escape(other)} ÷ {html.escape(own)} <small>right of 1, {html.escape(own)} is faster</small>"
    return f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"


def _chart(made: Sequence[store.Record], least: float) -> str:
    ends = [end for one in made for end in (one["ratio"]["low"], one["ratio"]["high"], one["wanted"] or 1.0)]
    low = max((step for step in STEPS if step <= min([*ends, 1 / least, 0.5])), default=STEPS[0])
    high = min((step for step in STEPS if step >= max([*ends, least, 2.0])), default=STEPS[-1])
    base = TOP + ROW * len(made)

    def x(value: float) -> float:
        inside = min(max(value, low), high)
        return LEFT + math.log(inside / low) / math.log(high / low) * (WIDTH - LEFT - 20)

    left, right = x(1 / least), x(least)
    drawn = [f'<rect class="band" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{base - TOP}"/>']
    for step in STEPS:
        if low <= step <= high:
            kind = "axis" if step == 1 else "grid"
            drawn.append(f'<line class="{kind}" x1="{x(step):.1f}" x2="{x(step):.1f}" y1="{TOP}" y2="{base}"/>')
            drawn.append(f'<text class="mid" x="{x(step):.1f}" y="{base + 18}">{step:g}</text>')
    for number, one in enumerate(made):
        drawn += _mark(one, TOP + ROW * (number + 0.7), least, x)
    said = f"Ratios of {len(made)} cases with intervals"
    return (
        f'<svg viewBox="0 0 {WIDTH} {base + BOTTOM}" style="max-width:40rem" role="img" aria-label="{said}">'
        f"{''.join(drawn)}</svg>"
    )


def _mark(one: store.Record, y: float, least: float, x: Any) -> list[str]:
    value, low, high = (one["ratio"][name] for name in ("value", "low", "high"))
    none = not (low > least or high < 1 / least)
    title = one["title"] if len(one["title"]) <= TITLE else one["title"][: TITLE - 1] + "…"
    told = html.escape(f"{one['title']}: {value:.3g}, from {low:.3g} to {high:.3g}")
    drawn = [
        f'<text x="2" y="{y - 11:.1f}">{html.escape(title)}</text>',
        f'<path class="bar hue0" d="M{x(low):.1f} {y:.1f}H{x(high):.1f}"/>',
        f'<circle class="mark hue0{" hollow" if none else ""}" cx="{x(value):.1f}" cy="{y:.1f}" r="4.5">'
        f"<title>{told}</title></circle>",
    ]
    if one["wanted"]:
        drawn.append(f'<path class="measured hue1" d="M{x(one["wanted"]):.1f} {y - 8:.1f}v16"/>')
    return drawn


def _row(one: store.Record) -> list[str]:
    ratio = one["ratio"]
    remarks = [f"{side['name']}: other result" for side in one["sides"].values() if side["wrong"]]
    return [
        one["title"],
        _time(one, "own"),
        _time(one, "other"),
        f"{ratio['value']:.3g}" if ratio else "–",
        f"{ratio['low']:.3g} – {ratio['high']:.3g}" if ratio else "–",
        f"≥ {one['wanted']:g}" if one["wanted"] else "",
        "; ".join([*([] if ratio else [_failure(one)]), *remarks]),
    ]


def _time(one: store.Record, side: str) -> str:
    parts = [store.samples(one, f"{side}.{name}") for name in ("build_seconds", "compute_seconds")]
    rounds = [sum(pair) for pair in zip(*parts, strict=True)]
    return seconds(statistics.median(rounds)) if rounds and not one["sides"][side]["error"] else "failed"


def _failure(one: store.Record) -> str:
    errors = [f"{side['name']}: {side['error']}" for side in one["sides"].values() if side["error"]]
    return "; ".join(errors) or "was not measured on both sides"
