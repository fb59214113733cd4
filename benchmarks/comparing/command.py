"""python -m benchmarks compare: measure on two sides, print a table, keep a record, write a page in Markdown."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from .. import store, target
from ..scaling import comparisons
from ..suite import Calls, suites
from ..terminal import heading, number, progress, say, seconds, size, table
from . import environments
from .comparison import Case, Measured, Row, compared, smallest
from .ratios import Ratio
from .sides import START, Side, SideError, closing

COLUMNS = (
    "case",
    "here",
    "there",
    "ratio",
    "interval",
    "wanted",
    "processor",
    "build",
    "against itself",
    "tasks",
    "while building",
    "memory",
    "remarks",
)
ROWS = "graphs.targets."


def compare(peer: str | None, names: Sequence[str], rows: str | None, bench: Sequence[str], rounds: int) -> int:
    """Compare this code with a peer, or two commits or targets; the status is 0 where everything was measured."""
    own, other, null = _sides(peer, names)
    cases = _cases(rows, bench, calls=own.where is None)
    heading(f"{own.name} and {other.name}: {len(cases)} cases, {rounds} rounds each, in turns")
    measured: list[Row] = []
    made: list[store.Record] = []
    with closing(own, other, null):
        threads = _threads(own, other)
        with progress("compare") as step:
            for row in compared(own, other, null, cases, rounds, step):
                made.append(_record(row, own, other))
                store.append(made[-1])
                measured.append(row)
    least = smallest(measured)
    shown = [_cells(row, least) for row in measured]
    table(COLUMNS[:-1], [cells[:-1] for cells in shown])
    for cells in shown:
        if cells[-1]:
            say(f"{cells[0]}: {cells[-1]}")
    remark = _remark(own, other, least, rounds, threads)
    say("\n" + remark)
    path = _page(own, other, shown, remark)
    for written in (path, comparisons.write(made, path.parent)):
        say(f"page: {written.relative_to(Path.cwd()) if written.is_relative_to(Path.cwd()) else written}")
    return 1 if any(row.own.error or row.own.wrong for row in measured) else 0


def _cases(rows: str | None, bench: Sequence[str], calls: bool) -> list[Case]:
    """What is compared: suites that build graphs, and single calls where no target computes them."""
    cases = []
    for name, suite in suites().items():
        if rows == "targets":
            if not name.startswith(ROWS):
                continue
        elif name.startswith(ROWS) or not (suite.lazy() or (calls and issubclass(suite, Calls))):
            continue
        title, wanted = (getattr(suite, "row", None) or name), getattr(suite, "wanted", None)
        chosen = os.environ.get(target.SIZE) or ("targets" if rows == "targets" else "default")
        for params in suite.cases():
            full = ", ".join([title, *map(str, params)])
            if not bench or any(re.search(pattern, f"{name} {full}") for pattern in bench):
                cases.append(Case(name, params, chosen, full, wanted))
    return cases


def _sides(peer: str | None, names: Sequence[str]) -> tuple[Side, Side, Side]:
    if peer:
        return environments.here(), environments.peer(peer), environments.here("this code again")
    first, second = names
    targets = [environments.is_target(name) for name in names]
    if all(targets):
        labels = {environments.labelled(name)[0] for name in names}
        if len(labels) == 1 and first != second:
            raise SideError(f"both targets are called {labels.pop()}: name one, as in other={first}")
        own, other, null = (environments.on_target(name) for name in (second, first, second))
        return own, other, null
    if any(targets):
        raise SideError(f"{first} and {second} are a commit and a target: two of a kind can be compared")
    return environments.commit(second), environments.commit(first), environments.commit(second)


def _threads(own: Side, other: Side) -> str:
    """With what the sides compute; those that are targets are asked."""
    if own.where is None:
        return "two threads"
    told = []
    for side in (own, other):
        about = side.ask(START, job="about")
        told.append(f"{about['threads']} threads in {about['workers']} workers ({side.name})")
        say(f"target: {told[-1]}")
    return " and ".join(told)


def _cells(row: Row, least: float) -> tuple[str, ...]:
    own, other = row.own, row.other
    ratio, null = row.ratio(), row.null_ratio()
    called = "" if ratio is None or ratio.differs(least) else " (none)"
    build = row.ratio("build_seconds")
    return (
        row.case.title,
        _time(own),
        _time(other),
        _factor(ratio) + called,
        f"{ratio.low:.3g} – {ratio.high:.3g}" if ratio else "–",
        f"≥ {row.case.wanted:g}" if row.case.wanted else "",
        _factor(row.ratio("cpu_seconds")),
        _factor(build),
        _factor(null),
        _pair(row, "tasks", number),
        _pair(row, "eager_tasks", number),
        _pair(row, "memory", size),
        "; ".join(_remarks(row)),
    )


def _remarks(row: Row) -> list[str]:
    found = []
    for who, side in (("here", row.own), ("there", row.other)):
        if side.error:
            found.append(f"{who}: {side.error}")
        elif side.wrong:
            found.append(f"{who}: not what is expected ({_short(side.wrong)})")
        if side.rounds and side.median("eager_tasks"):
            found.append(f"{who}: eager")
        elif side.rounds and not all(side.samples("lazy")):
            found.append(f"{who}: not lazy")
        found += [f"{who}: {flag}" for flag in sorted({f for answer in side.rounds for f in answer.get("flags", ())})]
    return found


def _short(wrong: str) -> str:
    """The gist of what numpy says of arrays, or values, that differ."""
    found = re.search(r"shapes .*? mismatch|nan location mismatch|Mismatched elements: [^)]*\)|ACTUAL: .*", wrong)
    return (found.group(0) if found else wrong)[:160]


def _time(side: Measured) -> str:
    return "failed" if side.error else seconds(side.median("seconds"))


def _factor(ratio: Ratio | None) -> str:
    return f"{ratio.value:.3g}" if ratio else "–"


def _pair(row: Row, name: str, written: object) -> str:
    assert callable(written)
    return " / ".join("–" if s.error or not s.rounds else written(s.median(name)) for s in (row.own, row.other))


def _remark(own: Side, other: Side, least: float, rounds: int, threads: str) -> str:
    return (
        f"Ratio: {other.name} ÷ {own.name}, of the medians of {rounds} rounds of building and computing with {threads};"
        " the interval is of 95 %, the one for the processor counts all threads' time. The same code against"
        f" itself differs by up to {least:.3g}: a ratio whose interval reaches below that is no difference, and marked"
        " (none). Pairs are here / there; `while building` counts tasks. What takes no cube is called 1,000 times."
    )


def _record(row: Row, own: Side, other: Side) -> store.Record:
    ratio, null = row.ratio(), row.null_ratio()
    sides = {"own": (own.name, row.own), "other": (other.name, row.other), "null": (own.name, row.null)}
    return store.record(
        "comparison",
        suite=row.case.suite,
        params={str(place): value for place, value in enumerate(row.case.params)},
        size=row.case.size,
        samples={
            f"{side}.{name}": measured.samples(name)
            for side, (_, measured) in sides.items()
            for name in ("build_seconds", "compute_seconds", "cpu_seconds", "eager_tasks", "tasks", "memory")
        },
        error=row.own.error,
        title=row.case.title,
        wanted=row.case.wanted,
        sides={side: {"name": name, "error": m.error, "wrong": m.wrong} for side, (name, m) in sides.items()},
        ratio=ratio and ratio._asdict(),
        null_ratio=null and null._asdict(),
    )


def _page(own: Side, other: Side, shown: Sequence[Sequence[str]], remark: str) -> Path:
    """The same table in Markdown, for a pull request or a note."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", other.name).strip("-")
    path = store.ROOT / "results" / f"compare-{name}.md"
    path.parent.mkdir(exist_ok=True)
    rows = [COLUMNS, ["---"] * len(COLUMNS), *shown]
    lines = [f"| {' | '.join(cell.replace('|', '¦') for cell in row)} |" for row in rows]
    path.write_text(f"# {own.name} and {other.name}\n\n" + "\n".join(lines) + f"\n\n{remark}\n", encoding="utf-8")
    return path
