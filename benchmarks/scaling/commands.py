"""What the command line does for scaling: sweep, calibrate, project, report."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import distributed

from .. import doctor, metrics, store, target
from ..terminal import heading, progress, say, seconds, size, table
from . import comparisons, report
from . import project as bounds
from .calibrate import Calibration, calibrate
from .crew import Crew, CrewError, crew, parse_threads
from .curves import Curve
from .fit import FitError
from .subjects import Subject, SubjectError, find
from .sweep import LOSSES, TIMEOUT, LostError, Plan, SizeError, Sweep, WrongResultError, verify

REFUSALS = (SubjectError, CrewError, SizeError, FitError, bounds.ProjectionError, store.StoreError)


def run(asked: argparse.Namespace) -> int:
    """Do one of these commands; what was asked in vain is said in a line."""
    jobs: dict[str, Callable[[argparse.Namespace], int]] = {
        "sweep": sweep,
        "calibrate": calibration,
        "project": projection,
        "report": reports,
    }
    try:
        return jobs[asked.command](asked)
    except REFUSALS as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except (WrongResultError, LostError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except LOSSES as error:
        print(f"{type(error).__name__}: {str(error) or 'the cluster did not answer in time'}", file=sys.stderr)
        return 1


def sweep(asked: argparse.Namespace) -> int:
    """Sweep, store, and draw what came of it."""
    subject, threads = find(asked.name), parse_threads(asked.threads)
    with target.session(threads_per_worker=1) as client:
        doctor.say_where(client)
        found = crew(client)
        counts, skipped = found.counts(threads)
        if skipped:
            say(
                f"left out: {', '.join(map(str, skipped))} threads, which {len(found.workers)} whole workers with"
                f" {found.each} threads each cannot give"
            )
        plan = Plan(subject, asked.mode, threads, asked.rounds, asked.chunk, asked.timeout, asked.seed, asked.least)
        heading(f"{subject.title}, {asked.mode}, {', '.join(map(str, counts))} threads")
        swept = Sweep(client, plan, found, counts)
        with progress("sweep") as step:
            record = swept.run(step)
        store.append(record)
    curve = Curve(record)
    show(curve)
    page = report.write([curve], asked.folder)
    say(f"page: {short(page)}\nsummary: {short(page.with_suffix('.md'))}")
    if swept.interrupted:
        return 130
    return 1 if curve.error or curve.rejected else 0


def calibration(asked: argparse.Namespace) -> int:
    """Measure and store what the target's parts cost."""
    with target.session(threads_per_worker=1) as client:
        doctor.say_where(client)
        _calibrated(client, crew(client))
    return 0


def projection(asked: argparse.Namespace) -> int:
    """A bound for a size, or how good such bounds are."""
    subject = find(asked.name)
    if not asked.validate and not (asked.bytes and asked.threads):
        print("project wants --bytes and --threads, or --validate", file=sys.stderr)
        return 2
    what = None if asked.validate else _counted(subject, asked)
    with target.session(threads_per_worker=1) as client:
        doctor.say_where(client)
        found = crew(client)
        verify(client, subject, TIMEOUT)
        costs = _calibrated(client, found)
        with progress("rates") as step:
            chunk = (asked.validate and asked.chunk) or bounds.RUN_CHUNK
            rates = bounds.learn(client, subject, found, chunk, costs, step)
        if what is None:
            return _validated(client, subject, found, rates, costs)
    made = bounds.project(what, rates, costs, asked.threads)
    heading(f"{subject.title} at {size(what.bytes)} on {asked.threads} threads")
    table(bounds.COLUMNS, [bounds.row(made)], left=0)
    say(
        f"\n{seconds(made.expected)} are expected, and no run takes less than {seconds(made.seconds)}, most of it for"
        f" {made.governed_by}, if these hold:"
    )
    for one in bounds.assumptions(made, rates, costs, found.memory(found.each)):
        say(f"- {one}")
    say(_trust(subject))
    store.append(
        store.record(
            "projection",
            suite=subject.name,
            params=subject.params,
            settings={"title": subject.title, "threads": asked.threads, "chunk_bytes": asked.chunk or bounds.CHUNK},
            projection={**asdict(made), "bound": made.seconds, "expected": made.expected},
            rates=asdict(rates),
            calibration=asdict(costs),
        )
    )
    return 0


def _counted(subject: Subject, asked: argparse.Namespace) -> bounds.Counts:
    """What the size is, before a cluster is started: one that is too large is refused at once."""
    say(f"building the graph of {size(asked.bytes)}, which is counted and not run")
    with metrics.run_locally():
        return bounds.counts(subject, subject.size_of(asked.bytes, asked.chunk or bounds.CHUNK))


def _calibrated(client: distributed.Client, found: Crew) -> Calibration:
    with progress("calibration") as step:
        costs = calibrate(client, found, step)
    store.append(
        store.record("calibration", calibration=asdict(costs), target=doctor.facts(client), crew=found.facts())
    )
    rows = [
        ("round trip to the scheduler", seconds(costs.round_trip_seconds)),
        ("a task, to the whole cluster", seconds(costs.task_seconds)),
        ("a task, to its thread", seconds(costs.thread_task_seconds)),
        (f"threads that sleep at the same time, of {costs.threads}", f"{costs.sleepers:.2f}"),
        ("copying, each of all threads", f"{size(costs.copy_bandwidth)}/s"),
        ("a transfer of nothing", seconds(costs.transfer_seconds)),
        ("transfers, each of all workers", f"{size(costs.transfer_bandwidth)}/s" if costs.transfer_bandwidth else "–"),
    ]
    table(("cost", ""), rows)
    return costs


def _validated(
    client: distributed.Client, subject: Subject, found: Crew, rates: bounds.Rates, costs: Calibration
) -> int:
    with progress("validation") as step:
        trials = bounds.validate(client, subject, found, rates, costs, step)
    store.append(
        store.record(
            "validation",
            suite=subject.name,
            params=subject.params,
            settings={"title": subject.title},
            target=doctor.facts(client),
            crew=found.facts(),
            trials=bounds.stored(trials),
            rates=asdict(rates),
            calibration=asdict(costs),
        )
    )
    heading(f"Bounds of {subject.title}, learned from {size(rates.bytes)} on {costs.threads} threads, against runs")
    table(
        (*bounds.COLUMNS, "measured", "by bound", "by expected"),
        [
            [*bounds.row(t.projection), seconds(statistics.median(t.measured)), f"{t.ratio:.2f}", f"{t.error:.2f}"]
            for t in trials
        ],
        left=0,
    )
    say(_trust(subject))
    return 0


def _trust(subject: Subject) -> str:
    """How near the bounds of the newest validation came, on this target."""
    found = list(store.records(kind="validation", label=target.label()))
    of_suite = [one for one in found if one["settings"]["title"] == subject.title]
    if not of_suite:
        return f"how near such bounds come is not known here: `project {subject.title} --validate` tells"
    ratios = [trial["ratio"] for trial in of_suite[-1]["trials"]]
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    said = f"validated on {of_suite[-1]['time'][:10]}: runs took {low:.2f} to {high:.2f} times their bound"
    said = f"{said}, in the middle {middle:.2f}" + ("; below 1 the bound was none" if low < 1 else "")
    errors = [trial["error"] for trial in of_suite[-1]["trials"] if "error" in trial]  # which older records lack
    if errors:
        factor = max(max(error, 1 / error) for error in errors)
        said += f"; and {min(errors):.2f} to {max(errors):.2f} times what was expected: within a factor of {factor:.2f}"
    return said


def reports(asked: argparse.Namespace) -> int:
    """Make pages again from the store."""
    made = report.from_store(asked.names, asked.folder)
    compared = comparisons.from_store(asked.folder or report.FOLDER) if not asked.names else []
    for page in compared:
        say(f"page: {short(page)}")
    if not made and not compared:
        print(
            f"no sweep is stored in {short(store.path())}: `sweep` makes one, `compare` a comparison", file=sys.stderr
        )
        return 2
    for page in made:
        say(f"page: {short(page)}")
        if asked.markdown:
            say("\n" + page.with_suffix(".md").read_text())
    return 0


def show(curve: Curve) -> None:
    """A table of a sweep, and what may be said of it."""
    table(report.COLUMNS, report.rows(curve), left=0)
    for threads, times in curve.of("compute_seconds", restricted=False).items():
        say(f"not restricted, {threads} threads: {seconds(statistics.median(times))}")
    for law in curve.laws:
        say(f"{law.name}: {law.verdict}")
    if curve.why_no_law:
        say(f"no fit: {curve.why_no_law}")
    for says in curve.flags.values():
        say(f"note: {says}")
    if curve.error:
        say(f"ended early: {curve.error}; what was measured is kept")


def short(path: Path) -> str:
    """A path as one would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
