"""What each suite's graph may cost, written down: a change of the exact counts is seen without a cluster."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

BUDGETS = Path(__file__).with_name("budgets.toml")
REMEDY = "python -m benchmarks graph --update"
COUNTS = ("tasks", "edges", "critical_path", "width", "graph_bytes", "eager_tasks")
# Pickles hold names of functions and of places: they are the same in each run, and not in each version of a library.
TOLERANCE = {"graph_bytes": 0.10}
HEADING = f"""\
# What the graph of each suite may cost at its default size; `python -m benchmarks graph --check` compares.
# Written by `{REMEDY}`: look at what it changes before you commit it.
"""

Counts = Mapping[str, int]


class Change(NamedTuple):
    """A difference between what is written down and what was counted."""

    text: str
    worse: bool  # a count has grown


def read(path: Path | None = None) -> dict[str, dict[str, int]]:
    """The counts that are written down, by the name of a case."""
    place = path or BUDGETS
    return tomllib.loads(place.read_text(encoding="utf-8")) if place.exists() else {}


def write(counted: Mapping[str, Counts], path: Path | None = None) -> None:
    """Write counts down, one case a line so that a change of one is a change of one line."""
    lines = [f"{_quoted(name)} = {{ {_entry(counts)} }}" for name, counts in sorted(counted.items())]
    (path or BUDGETS).write_text(HEADING + "\n".join(lines) + "\n", encoding="utf-8")


def name(suite: str, case: tuple[object, ...]) -> str:
    """A case of a suite, as the file has it."""
    return f"{suite}({', '.join(map(str, case))})" if case else suite


def changes(counted: Mapping[str, Counts], written: Mapping[str, Counts], whole: bool = True) -> Iterator[Change]:
    """Tell each difference in one line; where not all suites were counted, what is missing says nothing."""
    for case, counts in sorted(counted.items()):
        if case not in written:
            yield Change(f"{case}: new, without a budget; look at its counts and write them down: {REMEDY}", True)
            continue
        found = list(_differences(counts, written[case]))
        if found:
            yield Change(f"{case}: {', '.join(text for text, _ in found)}", any(worse for _, worse in found))
    for case in sorted(set(written) - set(counted)) if whole else ():
        yield Change(f"{case}: has a budget, and is no longer there; take it out: {REMEDY}", True)


def _differences(counts: Counts, written: Counts) -> Iterator[tuple[str, bool]]:
    for count in COUNTS:
        now, before = counts[count], written.get(count, 0)
        if abs(now - before) > TOLERANCE.get(count, 0) * before:
            share = f" ({(now - before) / before:+.0%})" if before else ""
            yield f"{count.replace('_', ' ')} {before:,} → {now:,}{share}", now > before


def _entry(counts: Counts) -> str:
    return ", ".join(f"{count} = {counts[count]}" for count in COUNTS)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
