"""Hands what the store holds of a run over to asv: as results under its commit, with unit and direction.

asv is told all numbers as costs, of which more is worse. `python -m benchmarks.asv_export RUN` is a process of its own,
because asv reads its settings from the folder that it runs in and keeps its plugins for as long as it lives.
"""

from __future__ import annotations

import datetime
import itertools
import math
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from . import asv_runs, store, target
from .suite import asv_name

Cases = dict[tuple[str, ...], store.Record]  # by the parameters, as asv writes them


def export(records: Sequence[store.Record]) -> int:
    """Add records of suites to asv's results; all of them are of one commit and target. Return how many numbers."""
    from asv.benchmarks import Benchmarks
    from asv.config import Config
    from asv.environment import get_environments
    from asv.plugin_manager import plugin_manager
    from asv.repo import get_repo
    from asv.results import Results

    conf = Config.load(str(asv_runs.ROOT / "asv.conf.json"))
    for plugin in conf.plugins:
        plugin_manager.import_plugin(plugin)
    repo = get_repo(conf)
    (environment,) = get_environments(conf, [])
    commit = str(records[0]["commit"])
    machine = _machine(conf)
    known = Benchmarks.discover(conf, repo, [environment], [commit])
    known.save()
    settings = {**machine, "python": environment.python, **environment.requirements}
    results = Results(
        settings,
        environment.requirements,
        commit,
        repo.get_date(commit),
        environment.python,
        environment.name,
        environment.env_vars,
    )
    results.load_data(conf.results_dir)
    by_suite: dict[str, Cases] = {}
    for record in records:
        key = tuple(repr(value) for value in record["params"].values())
        by_suite.setdefault(record["suite"], {})[key] = record
    written = sum(
        _add(results, known[f"{suite}.{asv_name(measure)}"], cases, measure)
        for suite, cases in by_suite.items()
        for measure in sorted({name for record in cases.values() for name in record["samples"]})
        if f"{suite}.{asv_name(measure)}" in known
    )
    results.save(conf.results_dir)
    return written


def _machine(conf: Any) -> dict[str, Any]:
    """What asv notes of this machine, which is kept beside the results."""
    from asv.machine import Machine

    machine = Machine.load(interactive=False, machine=Machine.get_unique_machine_name())
    machine.save(conf.results_dir)
    return dict(machine.__dict__)


def _add(results: Any, benchmark: Mapping[str, Any], cases: Cases, measure: str) -> int:
    """One number of a suite, for all its cases that were measured; those that were not keep what they had."""
    from asv.runner import BenchmarkResult

    every = list(itertools.product(*benchmark["params"]))
    samples = [_samples(cases.get(tuple(case)), measure) for case in every]
    repeated = benchmark["type"] == "time"
    result = BenchmarkResult(
        result=[_value(taken, case, cases) for taken, case in zip(samples, every, strict=True)],
        samples=[taken if repeated and taken else None for taken in samples],
        number=[1 if repeated and taken else None for taken in samples],
        errcode=0,
        stderr="",
        profile=None,
    )
    there = benchmark["name"] in results.get_all_result_keys()
    same = there and results.benchmark_version.get(benchmark["name"]) == benchmark["version"]
    measured = {place for place, case in enumerate(every) if tuple(case) in cases}
    began = datetime.datetime.fromisoformat(min(record["time"] for record in cases.values()))
    results.add_result(
        benchmark, result, started_at=began, record_samples=repeated, selected_idx=measured if same else None
    )
    return sum(bool(taken) for taken in samples)


def _samples(record: store.Record | None, measure: str) -> list[float]:
    if record is None:
        return []
    return [value for value in store.samples(record, measure) if not math.isnan(value)]


def _value(taken: Sequence[float], case: Sequence[str], cases: Cases) -> float | None:
    """To asv, NaN is a number that there is none of, and None one that failed."""
    if taken:
        return statistics.median(taken)
    record = cases.get(tuple(case))
    return None if record is not None and record["error"] else math.nan


def main(run: str) -> int:
    """Export a run, by its name in the store."""
    made = [record for record in store.records(kind="suite", run=run) if record["commit"]]
    if made:
        os.environ[target.LABEL] = made[0]["target"]["label"]
        os.environ[target.SIZE] = made[0]["size"]
        os.chdir(asv_runs.ROOT)
        print(f"{export(made)} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
