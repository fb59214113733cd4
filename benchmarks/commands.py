"""What the command line does: run, workflows, graph, picture."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import distributed

from . import asv_runs, budgets, doctor, examples, inputs, metrics, pictures, target
from .scenes import Scene, synthetic
from .suite import Suite, suites
from .terminal import heading, number, progress, say, seconds, size, table

RESULTS = examples.ROOT / "results"
MOST_REASONS = 8
COLUMNS = {
    "build": ("time_build", seconds),
    "compute": ("time_compute", seconds),
    "tasks": ("track_tasks", number),
    "graph": ("track_graph_bytes", size),
    "eager tasks": ("track_eager_tasks", number),
    "moved": ("track_bytes_moved", size),
    "peak memory": ("track_peak_worker_memory", size),
}


def run(patterns: Sequence[str], with_workflows: bool) -> int:
    """The main job: the three workflows on real pixels, all suites under asv, a table and a page."""
    began = time.time()
    commit, changed = asv_runs.commit()
    with _one_run(), target.session() as client:
        doctor.say_where(client)
        if with_workflows:
            heading("Three workflows on real pixels, from files to a file")
            scene = _scene()
            _show_workflows(_run_workflows(scene, client))
            pictures.draw(RESULTS / target.tag(), RESULTS / "ndvi.png")
            say(f"picture: {_short(RESULTS / 'ndvi.png')}")
        heading("The suites, by asv")
        say(f"results are kept for commit {commit[:8]}" + (", though files differ from it" if changed else ""))
        errors = _run_suites(patterns, client)
        with progress("page") as step:
            page = asv_runs.publish(step)
        rows = asv_runs.results(target.tag(), began)
    _show_suites(rows)
    if errors:
        _show_failures(rows, errors)
    say(f"\n{time.time() - began:.0f} s in all")
    say(f"page: {_short(page)}  (browsers want it served: {_short(Path(sys.executable))} -m asv preview)")
    return 1 if errors else 0


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
def _one_run() -> Iterator[None]:
    """Let asv's many processes share inputs in the cluster's memory, and what they measure of one execution."""
    with tempfile.TemporaryDirectory(prefix="openeo-benchmarks-") as records:
        shared = {inputs.SALT: uuid.uuid4().hex[:12], metrics.RECORDS: records}
        with target.environment(shared):
            yield


def _run_suites(patterns: Sequence[str], client: distributed.Client) -> list[str]:
    """Run them in asv's many processes, for which the inputs that most share are computed here, once."""
    shared = inputs.Held(client)
    shape, chunks = Suite.sizes[os.environ.get(target.SIZE, "default")]
    for seed in (0, 1):
        shared(synthetic(shape, chunks, seed=seed, salt=inputs.salt()))
    with progress("suites") as step, target.environment({inputs.HELD: " ".join(shared.cubes)}):
        return asv_runs.run(patterns, step)


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


def _show_suites(rows: Sequence[asv_runs.Row]) -> None:
    measured = {metric for row in rows for metric in row.numbers}
    columns = {title: column for title, column in COLUMNS.items() if column[0] in measured}

    def cells(row: asv_runs.Row) -> list[str]:
        found = [("failed" if name in row.failed else show(row.numbers.get(name))) for name, show in columns.values()]
        return [row.suite, row.parameters, *found]

    table(("suite", "parameters", *columns), [cells(row) for row in rows], left=2)


def _show_failures(rows: Sequence[asv_runs.Row], errors: Sequence[str]) -> None:
    """How many, and the reasons that came most often; the same one mostly hits many suites."""
    failed = sum(len(row.failed) for row in rows)
    say(f"\n{failed} benchmarks failed; all of what they said is in {_short(asv_runs.LOG)}, most often:")
    for reason, count in collections.Counter(errors).most_common(MOST_REASONS):
        say(f"  {count} × {reason}")


def _short(path: Path) -> str:
    """A path as one would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
