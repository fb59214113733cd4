"""Pages and summaries of sweeps: from a record just made, or from all that the store holds."""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from .. import store
from ..terminal import number, seconds, size
from . import fit, pages
from .charts import HUES, Series, chart
from .curves import Curve
from .subjects import STRONG, WEAK

FOLDER = store.ROOT / "results" / "scaling"
FINE = 40  # places at which laws are drawn
MOST_STAIRS = 256

READ = """Times are of runs whose inputs lay in the workers' memory, without reading or writing files. Marks are medians
of the rounds, bars reach from the fastest to the slowest. The ideal is a staircase: so many chunks of equal cost on so
many threads, each doing whole ones. Hollow marks are runs that the scheduler placed as it liked, on all workers.
Efficiency is the speed-up by what the staircase allows. A run that took more than 1.5 times as long as the fastest of
its number of threads was disturbed by others and is left out; where fewer than two are left, the point is rejected."""


def write(curves: Sequence[Curve], folder: Path | None = None) -> Path:
    """Write a page, and a summary in Markdown beside it, and say where the page is."""
    place = folder or FOLDER
    place.mkdir(parents=True, exist_ok=True)
    one = curves[0]
    parts = [one.title] if len(curves) > 1 else [one.title, one.mode, one.label]
    path = place / (re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(parts)) + ".html")
    path.write_text(html_page(curves), encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(curves), encoding="utf-8")
    return path


def from_store(names: Sequence[str] = (), folder: Path | None = None) -> list[Path]:
    """A page for each suite that was swept, of the newest sweep of each mode on each target."""
    newest: dict[str, dict[tuple[str, str], Curve]] = defaultdict(dict)
    for record in store.records(kind="sweep"):
        curve = Curve(record)
        if curve.points and (not names or any(name.lower() in curve.title.lower() for name in names)):
            newest[curve.title][curve.mode, curve.label] = curve
    return [write(list(curves.values()), folder) for _, curves in sorted(newest.items())]


def html_page(curves: Sequence[Curve]) -> str:
    """Everything that sweeps of one suite say."""
    title = curves[0].title
    body = [pages.heading(f"How {title} scales", 1)]
    for curve in curves:
        body += [pages.paragraph(_where(curve), dim=True), _validity(curve)]
    for mode, figures in ((STRONG, _strong_charts), (WEAK, _weak_charts)):
        chosen = [curve for curve in curves if curve.mode == mode and curve.seconds]
        if chosen:  # those of which no number of threads is left have their numbers below
            body.append(pages.heading(f"{mode.capitalize()} scaling"))
            body += [pages.paragraph(line) for line in map(headline, chosen)]
            body.append(f'<div class="charts">{"".join([*figures(chosen), *_cost_charts(chosen)])}</div>')
    growing = [curve for curve in curves if curve.record["growth"]]
    if growing:
        body += [pages.heading("The graph"), f'<div class="charts">{_growth_chart(growing[-1])}</div>']
    body += [pages.heading("Laws"), *_laws(curves), pages.heading("Numbers")]
    for curve in curves:
        body += [pages.paragraph(_name(curve, curves)), pages.table(COLUMNS, rows(curve))]
    return pages.page(f"{title}: scaling", [*body, pages.heading("How to read this"), pages.paragraph(READ)])


def markdown(curves: Sequence[Curve]) -> str:
    """A summary for a pull request."""
    lines = [f"### How `{curves[0].title}` scales", ""]
    for curve in curves:
        lines += [f"**{curve.mode.capitalize()}, {curve.label}** · {_where(curve)}", ""]
        lines += [f"> {word}: {says}" for word, says in _said(curve)]
        lines += ["", headline(curve), ""] if curve.seconds else [""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "--:|" * len(COLUMNS)]
        lines += ["| " + " | ".join(row) + " |" for row in rows(curve)]
        lines += ["", *[f"- {law.name}: {law.verdict}" for law in curve.laws]]
        lines += [f"- no fit: {curve.why_no_law}"] if curve.why_no_law else []
        lines.append("")
    return "\n".join(lines)


def headline(curve: Curve) -> str:
    """The end of the curve in a sentence."""
    most = max(curve.seconds)
    times = curve.of("compute_seconds")
    if len(times) == 1:
        return f"{curve.label}: {seconds(_median(times[most]))} on {most} threads, and nothing to compare it with."
    share = f"{_median(curve.efficiency(most)):.0%} of what its chunks allow"
    if curve.mode == WEAK:
        first = seconds(_median(times[min(times)]))
        last, factor = seconds(_median(times[most])), most / min(times)
        return f"{curve.label}: {factor:g} times the threads and the work take {last} instead of {first}: {share}."
    return (
        f"{curve.label}: {most} threads are {_median(curve.speed_up(most)):.2f} times as fast as {min(times)},"
        f" where {curve.ideal(most):.2f} were possible: {share}."
    )


# --- charts


def _strong_charts(curves: Sequence[Curve]) -> list[str]:
    ideal, speed_ups, efficiencies = [], [], []
    for hue, curve in enumerate(curves):
        name = _name(curve, curves)
        free = curve.free_speed_up()
        speed_ups += [
            _series(name, {n: curve.speed_up(n) for n in curve.seconds}, hue),
            *_law_lines(curve, hue, name if len(curves) > 1 else ""),
            Series(f"{name}, not restricted", [(n, _median(v)) for n, v in free.items()], hue=hue, kind="free"),
            _rejected(name, curve.rejected_speed_up()),
        ]
        efficiencies.append(_series(name, {n: curve.efficiency(n) for n in curve.seconds}, hue))
    longest = max(curves, key=lambda curve: max(curve.seconds))
    if len(longest.seconds) > 1:
        ideal = [Series("ideal for these chunks", _stairs(longest), kind="ideal")]
    ticks = _ticks(curves)
    one = [Series("ideal", [(min(ticks), 1.0), (max(ticks), 1.0)], kind="ideal")] if len(ticks) > 1 else []
    return [
        chart("Speed-up", "threads", "times as fast", [*ideal, *speed_ups], "{:g}".format, ticks=ticks),
        chart("Efficiency", "threads", "of what chunks allow", [*one, *efficiencies], "{:.0%}".format, ticks=ticks),
    ]


def _weak_charts(curves: Sequence[Curve]) -> list[str]:
    times, efficiencies = [], []
    for hue, curve in enumerate(curves):
        name = _name(curve, curves)
        taken = curve.of("compute_seconds")
        first = _median(taken[min(taken)])
        if len(taken) > 1:
            times.append(
                Series(f"ideal, {curve.label}", [(min(taken), first), (max(taken), first)], hue=hue, kind="ideal")
            )
        times.append(_series(name, taken, hue))
        efficiencies.append(_series(name, {n: curve.efficiency(n) for n in curve.seconds}, hue))
        rejected = {n: of for n, of in curve.everything("compute_seconds").items() if n in curve.rejected_points}
        times.append(_rejected(name, rejected))
    ticks = _ticks(curves)
    one = [Series("ideal", [(min(ticks), 1.0), (max(ticks), 1.0)], kind="ideal")] if len(ticks) > 1 else []
    return [
        chart("Time", "threads", "for work that grows with the threads", times, seconds, ticks=ticks),
        chart("Efficiency", "threads", "of the ideal", [*one, *efficiencies], "{:.0%}".format, ticks=ticks),
    ]


def _cost_charts(curves: Sequence[Curve]) -> list[str]:
    made = []
    for measure, title, label in (
        ("bytes_moved", "Moved between workers", "in a run"),
        ("peak_worker_memory", "Memory of the fullest worker", "at its peak"),
    ):
        lines = [_series(_name(curve, curves), curve.of(measure), hue) for hue, curve in enumerate(curves)]
        made.append(chart(title, "threads", label, lines, size, ticks=_ticks(curves)))
    return made


def _growth_chart(curve: Curve) -> str:
    sizes = curve.record["growth"]
    tasks = [(float(one["chunks"]), float(one["graph"]["tasks"])) for one in sizes]
    longest = [(float(one["chunks"]), float(one["graph"]["critical_path"])) for one in sizes]
    start = tasks[0][1] / tasks[0][0]
    lines = [
        Series("in proportion", [(chunks, chunks * start) for chunks, _ in tasks], kind="ideal"),
        Series("tasks", tasks, hue=0),
        Series("longest chain of them", longest, hue=1),
    ]
    return chart("Tasks against chunks", "chunks", "tasks", lines, number, y_log=True)


def _law_lines(curve: Curve, hue: int, name: str) -> list[Series]:
    if curve.rejected:
        return []
    lines: list[Series] = []
    for law in curve.laws:
        one = law.seconds(law.unit)
        said = f"{law.name}, {name}" if name else law.name
        shade = hue if name else len(lines) + 1
        lines.append(Series(said, [(n, one / law.seconds(n)) for n in _fine(curve)], hue=shade, kind="law"))
    return lines


def _series(name: str, values: dict[int, list[float]], hue: int) -> Series:
    return Series(
        name,
        [(float(n), _median(of)) for n, of in values.items()],
        [(min(of), max(of)) for of in values.values()],
        hue,
    )


def _rejected(name: str, values: dict[int, list[float]]) -> Series:
    """Hollow crosses, apart from all lines."""
    return Series(f"{name}, rejected", [(float(n), _median(of)) for n, of in values.items()], hue=HUES - 1, kind="free")


def _fine(curve: Curve) -> list[float]:
    """Many numbers of threads between the smallest and the largest, in equal ratios."""
    low, high = min(curve.seconds), max(curve.seconds)
    return sorted({low * (high / low) ** (i / FINE) for i in range(FINE + 1)} | set(map(float, curve.seconds)))


def _stairs(curve: Curve) -> list[tuple[float, float]]:
    """The ideal of each number of threads, which rises at once where a thread comes."""
    low, high = min(curve.seconds), max(curve.seconds)
    if high > MOST_STAIRS:
        return [(float(n), curve.ideal(n)) for n in curve.seconds]
    places = [(low, low), *((n, m) for n in range(low + 1, high + 1) for m in (n - 1, n))]
    return [(float(at), curve.ideal_at(threads)) for at, threads in places]


def _ticks(curves: Sequence[Curve]) -> list[int]:
    return sorted({threads for curve in curves for threads in [*curve.seconds, *curve.rejected_points]})


# --- words and numbers

COLUMNS = (
    "threads",
    "chunks",
    "runs",
    "time",
    "fastest",
    "slowest",
    "speed-up",
    "ideal",
    "efficiency",
    "moved",
    "peak memory",
)


def rows(curve: Curve) -> list[list[str]]:
    """The cells of a table, a row for each number of threads."""
    made = []
    valid = curve.of("compute_seconds")
    for threads, all_times in curve.everything("compute_seconds").items():
        times = valid.get(threads, all_times)
        costs = (curve.everything(name).get(threads, []) for name in ("bytes_moved", "peak_worker_memory"))
        made.append(
            [
                number(threads),
                number(curve.chunks()[threads]),
                f"{len(valid.get(threads, []))} of {len(all_times)}",
                *(seconds(value) for value in (_median(times), min(times), max(times))),
                *_gain(curve, threads),
                *(size(_median(cost)) for cost in costs),
            ]
        )
    return made


def _gain(curve: Curve, threads: int) -> list[str]:
    """Speed-up, ideal, efficiency."""
    if threads not in curve.seconds:
        return ["rejected", "–", "–"]
    speed_up, ideal = _median(curve.speed_up(threads)), curve.ideal(threads)
    return [f"{speed_up:.2f}", f"{ideal:.2f}", f"{_median(curve.efficiency(threads)):.0%}"]


def _laws(curves: Sequence[Curve]) -> list[str]:
    rows, why = [], []
    for curve in curves:
        for law in curve.laws:
            crosstalk = "–" if law.name == "Amdahl" else _shares(law.crosstalk_share_interval)
            serial = _shares(law.serial_share_interval)
            rows.append([_name(curve, curves), law.name, serial, crosstalk, law.verdict])
        if shares := fit.karp_flatt(curve.seconds) if len(curve.seconds) > 1 else {}:
            told = ", ".join(f"{_share(share)} at {threads} threads" for threads, share in shares.items())
            rows.append([_name(curve, curves), "Karp–Flatt", told, "–", _trend(list(shares.values()))])
        why += [f"{_name(curve, curves)}: {curve.why_no_law}."] if curve.why_no_law else []
    columns = ("sweep", "law", "serial share", "crosstalk", "what may be said")
    note = "Shares are intervals that hold 95 of 100 repetitions."
    return [pages.table(columns, rows, text=(0, 2, 4)) if rows else "", *map(pages.paragraph, [*why, note])]


def _shares(interval: fit.Interval) -> str:
    return " to ".join("no end" if math.isinf(end) else _share(end) for end in interval)


def _share(share: float) -> str:
    """A part of the work, which is at most all of it: figures beyond are of no share, but of what the law lacks."""
    return "over 100%" if share > 1 else "below 0%" if share < 0 else f"{share:.1%}"


def _trend(shares: Sequence[float]) -> str:
    if len(shares) < 2:
        return "one share says nothing of a trend"
    if shares[-1] > 1:
        return "no serial part: what threads send each other takes longer than all the work of one"
    return "rises: overhead that grows" if shares[-1] > shares[0] else "does not rise: a fixed serial part, if any"


def _validity(curve: Curve) -> str:
    said = _said(curve)
    return pages.box(
        f"{curve.mode.capitalize()} sweep: {'REJECTED' if curve.rejected else 'with doubts' if said else 'valid'}",
        [says for _, says in said],
        bool(said),
    )


def _said(curve: Curve) -> list[tuple[str, str]]:
    found = list(curve.flags.items())
    return [*found, ("ended early", f"ended early: {curve.error}")] if curve.error else found


def _where(curve: Curve) -> str:
    about, crew, settings = curve.record, curve.record["crew"], curve.record["settings"]
    commit = f"commit {about['commit'][:8]}{' with changes' if about['changed'] else ''}" if about["commit"] else ""
    memory = f", {size(crew['memory'])} of memory" if crew["memory"] else ""
    facts = [
        f"{curve.mode} sweep on target {curve.label}: {crew['workers']} workers with {crew['threads']} threads on"
        f" {crew['hosts']} host{'s' if crew['hosts'] > 1 else ''}{memory}",
        f"{settings['rounds']} rounds",
        f"each run does the work {times} times" if (times := settings.get("times", 1)) > 1 else "",
        about["time"][:16].replace("T", " ") + " UTC",
        commit,
        f"dask {about['versions'].get('dask')}",
    ]
    return "; ".join(fact for fact in facts if fact)


def _name(curve: Curve, curves: Sequence[Curve]) -> str:
    """What tells a curve from the others of a page."""
    modes = {other.mode for other in curves}
    return f"{curve.label}, {curve.mode}" if len(modes) > 1 else curve.label


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan
