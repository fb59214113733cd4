"""What the command line does: run, workflows, graph, picture."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import distributed

from . import asv_runs, budgets, doctor, examples, inputs, measuring, metrics, pictures, store, target
from .scenes import Scene
from .suite import suites
from .terminal import heading, number, progress, say, seconds, size, table

RESULTS = examples.ROOT / "results"
MOST_REASONS = 8
COLUMNS = {
    "build": ("build_seconds", seconds),
    "first task": ("first_task_seconds", seconds),
    "compute": ("compute_seconds", seconds),
    "tasks": ("tasks", number),
    "graph": ("graph_bytes", size),
    "while building": ("eager_tasks", number),
    "read": ("bytes_read", size),
    "largest": ("largest_chunk", size),
    "moved": ("bytes_moved", size),
    "spilled": ("bytes_spilled", size),
    "peak memory": ("peak_worker_memory", size),
}


def run(patterns: Sequence[str], with_workflows: bool, rounds: int) -> int:
    """The main job: the three workflows on real pixels, all suites, a table, a page."""
    began = time.time()
    commit, changed = asv_runs.commit()
    with _one_run() as name, target.session() as client:
        doctor.say_where(client)
        for problem in doctor.problems(client):
            say(f"note: {problem}")
        if with_workflows:
            heading("Three workflows on real pixels, from files to a file")
            scene = _scene()
            _show_workflows(_run_workflows(scene, client))
            pictures.draw(RESULTS / target.tag(), RESULTS / "ndvi.png")
            say(f"picture: {_short(RESULTS / 'ndvi.png')}")
        heading("The suites")
        records, lost = _run_suites(patterns, rounds, client)
        _show_suites(records)
        if records:
            page = _publish(name)
            say(f"\nresults are kept for commit {commit[:8]}" + (", though files differ from it" if changed else ""))
            say(f"page: {_short(page)}  (browsers want it served: {_short(Path(sys.executable))} -m asv preview)")
    failed = _show_doubts(records)
    say(f"\n{time.time() - began:.0f} s in all; every sample is in {_short(store.path())}")
    if lost:
        print(f"LostError: {lost}", file=sys.stderr)
    return 1 if failed or lost else 0


def workflows() -> int:
    """The three workflows alone, on the target."""
    with target.session() as client:
        doctor.say_where(client)
        _show_workflows(_run_workflows(_scene(), client))
    return 0


def graph(patterns: Sequence[str], check: bool = False, update: bool = False) -> int:
    """Exact counts of what each suite builds, without a cluster; compare them with the budgets, or write those."""
    began = time.perf_counter()
    counted = _counted(patterns)
    if not (check or update):
        rows = [(case, *(number(counts[name]) for name in budgets.COUNTS)) for case, counts in counted.items()]
        table(("case", *(name.replace("_", " ") for name in budgets.COUNTS)), rows)
    written = budgets.read()
    found = list(budgets.changes(counted, written, whole=not patterns)) if check or update else []
    for change in found:
        say(change.text)
    if update:
        kept = {case: counts for case, counts in written.items() if patterns and case not in counted}
        budgets.write({**kept, **counted})
    took = f"{len(counted)} graphs in {time.perf_counter() - began:.1f} s; no cluster, nothing run"
    if check and found:
        worse = sum(change.worse for change in found)
        say(f"\n{took}; {len(found)} differ from {_short(budgets.BUDGETS)}, {worse} for the worse")
        say(f"If that is meant: {budgets.REMEDY}")
        return 1
    say(f"\n{took}" + ("; all as written down" if check else f"; {len(found)} budgets changed" if update else ""))
    return 0


def _counted(patterns: Sequence[str]) -> dict[str, dict[str, int]]:
    """The counts of each case whose suite's name contains one of the patterns, if there are any."""
    chosen = [
        (name, suite, case)
        for name, suite in suites().items()
        if suite.lazy() and (not patterns or any(pattern in name for pattern in patterns))
        for case in suite.cases()
    ]
    counted = {}
    with metrics.run_locally(), progress("graphs", lines=False) as step:
        for done, (name, suite, case) in enumerate(chosen):
            step(done / len(chosen), name)
            counted[budgets.name(name, case)] = suite().counts(*case)
    return counted


def picture(path: Path) -> int:
    """The NDVI of the real scene: a map of the composite, and its curve over the months."""
    with target.session() as client:
        _run_workflows(_scene(), client)
    pictures.draw(RESULTS / target.tag(), path)
    say(f"picture: {_short(path.absolute())}")
    return 0


@contextlib.contextmanager
def _one_run() -> Iterator[str]:
    """Let all processes of this run share its name and its inputs' names."""
    with target.environment({inputs.SALT: uuid.uuid4().hex[:12], store.RUN: store.run_name()}):
        yield store.run_name()


def _run_suites(
    patterns: Sequence[str], rounds: int, client: distributed.Client
) -> tuple[list[store.Record], measuring.LostError | None]:
    """Measure them; where the target is lost, what was measured until then is what there is."""
    chosen = measuring.cases([re.compile(pattern) for pattern in patterns])
    records: list[store.Record] = []
    with progress("suites") as step:
        try:
            for record in measuring.measured(client, chosen, rounds, step):
                records.append(record)
        except measuring.LostError as lost:
            return records, lost
    return records, None


def _publish(name: str) -> Path:
    with progress("page", lines=False) as step:
        asv_runs.export(name, step)
        return asv_runs.publish(step)


def _scene() -> Scene:
    made = examples.scene(os.environ.get(target.SIZE, "default"))
    bands = ", ".join(made.bands)
    say(f"scene: {made.size} × {made.size} pixels, {len(made.moments)} dates, {bands}; {_short(made.folder)}")
    return made


def _run_workflows(scene: Scene, client: distributed.Client) -> list[examples.Outcome]:
    names = examples.names()
    outcomes = []
    with progress("workflows") as step:
        for done, name in enumerate(names):
            step(done / len(names), name)
            outcomes.append(examples.run(name, scene, RESULTS / target.tag(), client))
    return outcomes


def _show_workflows(outcomes: Sequence[examples.Outcome]) -> None:
    columns = ("workflow", "result", "build", "end to end", "tasks", "computed in all", "while building")
    rows = [
        (
            outcome.summary,
            _short(outcome.path),
            seconds(outcome.build_seconds),
            seconds(outcome.seconds),
            number(outcome.tasks),
            number(outcome.computed),
            number(outcome.eager),
        )
        for outcome in outcomes
    ]
    table(columns, rows, left=2)


def _show_suites(records: Sequence[store.Record]) -> None:
    measured = {measure for record in records for measure in record["samples"]}
    columns = {title: column for title, column in COLUMNS.items() if column[0] in measured}

    def cells(record: store.Record) -> list[str]:
        found = [show(_middle(record, measure)) for measure, show in columns.values()]
        remark = "failed" if record["error"] else ", ".join(record["flags"])
        return [record["suite"], ", ".join(map(str, record["params"].values())), *found, remark]

    table(("suite", "parameters", *columns, ""), [cells(record) for record in records], left=2)


def _middle(record: store.Record, measure: str) -> float | None:
    taken = store.samples(record, measure)
    return statistics.median(taken) if taken else None


def _show_doubts(records: Sequence[store.Record]) -> int:
    """Say what makes numbers doubtful, and why some are missing; return how many cases failed."""
    flags = collections.Counter(flag for record in records for flag in record["flags"])
    for flag, count in flags.most_common():
        says = next(record["flags"][flag] for record in records if flag in record["flags"])
        say(f"flag {flag}: {count} × such as: {says}")
    reasons = collections.Counter(record["error"] for record in records if record["error"])
    if reasons:
        say(f"\n{sum(reasons.values())} cases failed, most often:")
    for reason, count in reasons.most_common(MOST_REASONS):
        say(f"  {count} × {reason}")
    own = [record["settings"]["harness_seconds"] for record in records if not record["error"]]
    if own:
        say(f"the harness itself took {seconds(statistics.median(own))} a case, inputs and warm-up included")
    return sum(reasons.values())


def _short(path: Path) -> str:
    """A path as one would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
