"""Line charts as SVG that stays text: themed by the page around it, readable without colour."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# matplotlib writes SVG too, but with its colours fixed and its letters as outlines: such a chart can follow neither a
# dark page nor a reader's font, cannot be searched, and is some twenty times as large.

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 14, 12, 44  # the longest label, 800 MB, at the size that narrow pages have
MARK = 4.5
TICKS = 5
HUES = 5  # that the page defines

Format = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """A line: told apart by its hue, and as well by its marks and its dashes."""

    name: str
    points: Sequence[tuple[float, float]]
    bars: Sequence[tuple[float, float]] = ()  # lowest and highest of each point
    hue: int = 0
    kind: str = "measured"  # or "ideal": thin and grey; "law": dashed, without marks; "free": hollow marks, no line


@dataclass(frozen=True)
class Axis:
    """How values become places."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    show: Format
    log: bool = False

    def place(self, value: float) -> float:
        """From 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def chart(title: str, x: str, y: str, series: Sequence[Series], show: Format, **options: object) -> str:
    """A figure: the chart, what its lines are, and its title.

    Options: `ticks` are the places on the horizontal axis that get a label; `x_log`, `y_log`; `show_x` writes these.
    """
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    horizontal, vertical = _axes(x, y, drawn, show, options)
    body = [*_grid(horizontal, vertical)]
    # What was measured is drawn last, on top of what was expected.
    for one in sorted(drawn, key=lambda s: ("ideal", "law", "free", "measured").index(s.kind)):
        body += _line(one, horizontal, vertical)
    said = html.escape(f"{title}: {y} over {x}")
    return (
        f"<figure><figcaption>{html.escape(title)} <small>{html.escape(y)}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">{"".join(body)}</svg>'
        f"{_legend(drawn)}</figure>"
    )


def _axes(x: str, y: str, series: Sequence[Series], show: Format, options: dict[str, object]) -> tuple[Axis, Axis]:
    across = [place for one in series for place, _ in one.points]
    up = [value for one in series for _, value in one.points]
    up += [end for one in series for bar in one.bars for end in bar]
    ticks = options.get("ticks") or sorted(set(across))
    assert isinstance(ticks, Sequence)
    x_log, y_log = bool(options.get("x_log", True)), bool(options.get("y_log", False))
    show_x = options.get("show_x", "{:g}".format)
    assert callable(show_x)
    low, high = min(across), max(across)
    if low == high:
        low, high = low / 2, high * 2
    pad = (high / low) ** 0.04 if x_log else 1
    horizontal = Axis(x, low / pad, high * pad, _thinned(ticks), show_x, x_log)
    if y_log:
        bottom, top = 10 ** math.floor(math.log10(min(up))), 10 ** math.ceil(math.log10(max(up) * 1.0001))
        decades = round(math.log10(top / bottom))
        steps = [bottom * 10.0**n for n in range(0, decades + 1, max(1, decades // TICKS))]
        return horizontal, Axis(y, bottom, top, steps, show, True)
    steps = nice_ticks(max(up))
    return horizontal, Axis(y, 0.0, steps[-1], steps, show)


def nice_ticks(high: float) -> list[float]:
    """From zero to at least `high` in steps that people like."""
    if high <= 0:
        return [0.0, 1.0]
    raw = high / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    return [step * n for n in range(math.ceil(high / step * 0.999) + 1)]


def _thinned(ticks: Sequence[float]) -> list[float]:
    most = 9
    return list(ticks)[:: max(1, math.ceil(len(ticks) / most))]


def _grid(horizontal: Axis, vertical: Axis) -> list[str]:
    drawn = []
    for tick in vertical.ticks:
        at = _y(vertical, tick)
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        drawn.append(f'<text class="end" x="{LEFT - 7}" y="{at + 4:.1f}">{html.escape(vertical.show(tick))}</text>')
    base = HEIGHT - BOTTOM
    for tick in horizontal.ticks:
        at = _x(horizontal, tick)
        drawn.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{base}" y2="{base + 4}"/>')
        drawn.append(f'<text class="mid" x="{at:.1f}" y="{base + 18}">{html.escape(horizontal.show(tick))}</text>')
    drawn.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawn.append(f'<text class="mid" x="{middle:.0f}" y="{HEIGHT - 6}">{html.escape(horizontal.label)}</text>')
    return drawn


def _line(one: Series, horizontal: Axis, vertical: Axis) -> list[str]:
    places = [(_x(horizontal, x), _y(vertical, y)) for x, y in one.points]
    drawn = []
    if one.kind != "free":
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        drawn.append(f'<path class="{one.kind} hue{one.hue % HUES}" d="{path}"/>')
    for (x, _), (low, high) in zip(places, one.bars, strict=False):
        top, bottom = _y(vertical, high), _y(vertical, low)
        drawn.append(
            f'<path class="bar hue{one.hue % HUES}" d="M{x:.1f} {top:.1f}V{bottom:.1f}'
            f'M{x - 3:.1f} {top:.1f}h6M{x - 3:.1f} {bottom:.1f}h6"/>'
        )
    if one.kind in ("measured", "free"):
        for (x, y), (at, value) in zip(places, one.points, strict=True):
            told = html.escape(f"{one.name}: {horizontal.show(at)} → {vertical.show(value)}")
            drawn.append(_mark(one, x, y, f"<title>{told}</title>"))
    return drawn


def _mark(one: Series, x: float, y: float, inside: str = "") -> str:
    r = MARK
    shapes = (
        f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z",
        f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
        f"M{x:.1f} {y - r * 1.2:.1f}l{r * 1.2:.1f} {r * 2.1:.1f}h{-r * 2.4:.1f}z",
        f"M{x:.1f} {y - r * 1.35:.1f}l{r * 1.35:.1f} {r * 1.35:.1f}l{-r * 1.35:.1f} {r * 1.35:.1f}"
        f"l{-r * 1.35:.1f} {-r * 1.35:.1f}z",
        f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}z",
    )
    hollow = " hollow" if one.kind == "free" else ""
    return f'<path class="mark hue{one.hue % HUES}{hollow}" d="{shapes[one.hue % HUES]}">{inside}</path>'


def _legend(series: Sequence[Series]) -> str:
    entries = []
    for one in series:
        line = f'<path class="{one.kind} hue{one.hue % HUES}" d="M1 7H33"/>' if one.kind != "free" else ""
        mark = _mark(one, 17, 7) if one.kind in ("measured", "free") else ""
        entries.append(
            f'<li><svg viewBox="0 0 34 14" width="34" height="14" aria-hidden="true">{line}{mark}</svg>'
            f"{html.escape(one.name)}</li>"
        )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)
