"""Runs asv on the suites, publishes its page, and reads its results back."""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from . import target
from .terminal import Step

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / ".asv" / "html" / "index.html"
LOG = ROOT / ".asv" / "run.log"
PROGRESS = re.compile(r"^\[\s*(\d+\.\d+)%\] \W*(.*?)(?:\s{2,}.*)?$")
WIDE = {"COLUMNS": "160", "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}  # so that asv shortens no names
SAMPLES = "(1,2,0.2)"  # at least, at most, and until so many seconds: asv by itself takes more
PATIENCE = 10.0  # seconds until what does not end by itself is ended


class AsvError(RuntimeError):
    """asv could not do what it was asked for; its output says why."""


@dataclass
class Row:
    """All numbers of one suite with one combination of parameters; NaN where there is none."""

    suite: str
    parameters: str
    numbers: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)  # metrics


def commit() -> tuple[str, bool]:
    """The commit that is checked out, and whether the files differ from it.

    Raises
    ------
    AsvError
        If there is none: asv keeps results by commit.
    """
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if found.returncode:
        raise AsvError(f"{ROOT} is no git checkout with a commit, by which asv keeps results: {found.stderr.strip()}")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return found.stdout.strip(), bool(changed.stdout.strip())


def run(bench: Sequence[str], step: Step) -> list[str]:
    """Run the suites whose names match, all if none are named; return the errors, each as often as it came.

    Raises
    ------
    AsvError
        If asv could not run them at all.
    """
    _introduce_machine()
    chosen = [part for name in bench for part in ("--bench", name)]
    status, output = _asv(["run", "--show-stderr", "--attribute", f"repeat={SAMPLES}", *chosen], step)
    if status not in (0, 2):  # 2: some benchmarks failed, and the results of the others are kept
        raise AsvError(f"asv run ended with status {status}; its output is in {LOG}:\n{_tail(output)}")
    return _errors(output) or ["asv gives no reason"] * (status == 2)


def publish(step: Step) -> Path:
    """Make the page of all results there are.

    Raises
    ------
    AsvError
        If asv could not.
    """
    status, output = _asv(["publish", "--no-pull"], step)
    if status or not PAGE.exists():
        raise AsvError(f"asv publish ended with status {status}:\n{_tail(output)}")
    return PAGE


def results(tag: str, since: float) -> list[Row]:
    """What runs on the target with a tag have given since a moment in seconds of the epoch."""
    # asv finds its configuration, plugins and results relative to the folder of the repository.
    from asv.benchmarks import Benchmarks
    from asv.config import Config
    from asv.results import Results

    rows: dict[tuple[str, str], Row] = {}
    with contextlib.chdir(ROOT):
        conf = Config.load(str(ROOT / "asv.conf.json"))
        known = Benchmarks.load(conf)
        for path in Path(conf.results_dir).glob("*/*.json"):
            if path.name == "machine.json" or path.stat().st_mtime < since:
                continue
            found = Results.load(str(path))
            if found.env_vars.get(target.TAG) == tag:
                for name in found.get_result_keys(known):
                    if found.started_at.get(name, 0) >= since * 1000:
                        _read(found, name, known[name], rows)
    return [rows[key] for key in sorted(rows)]


def _read(found: Any, name: str, benchmark: Mapping[str, Any], rows: dict[tuple[str, str], Row]) -> None:
    from itertools import product

    suite, _, metric = name.rpartition(".")
    values = found.get_result_value(name, benchmark["params"])
    for case, value in zip(product(*benchmark["params"]), values, strict=False):
        parameters = ", ".join(part.strip("'") for part in case)
        row = rows.setdefault((suite, parameters), Row(suite, parameters))
        row.numbers[metric] = math.nan if value is None else value
        if value is None:
            row.failed.append(metric)


def _introduce_machine() -> None:
    """Let asv note what machine this is, which it else asks about on a terminal."""
    from asv.machine import Machine, MachineCollection
    from asv.util import UserError

    try:
        MachineCollection.load(Machine.get_unique_machine_name())
    except UserError:
        status, output = _asv(["machine", "--yes"], lambda share, doing: None)
        if status:
            raise AsvError(f"asv machine ended with status {status}:\n{_tail(output)}") from None


def _asv(arguments: Sequence[str], step: Step) -> tuple[int, list[str]]:
    """Run asv, tell how far it is, and keep what it writes in a file."""
    lines = []
    LOG.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "asv", *arguments]
    with LOG.open("a", encoding="utf-8") as log, _ended(command) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            log.flush()
            lines.append(line.rstrip())
            if match := PROGRESS.match(line):
                step(float(match.group(1)) / 100, match.group(2))
        return process.wait(), lines


@contextlib.contextmanager
def _ended(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone at the end, with all that it has started, whatever happens meanwhile."""
    # In a session of its own: Ctrl-C reaches this process alone, which then ends the others in order.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **WIDE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)
        if process.stdout is not None:
            process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    if process.poll() is None:
        process.kill()
    process.wait(PATIENCE)


def _errors(lines: Sequence[str]) -> list[str]:
    """The last line of each traceback: the first that is indented as its heading is."""
    found = []
    margin: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("Traceback (most recent call last)"):
            margin = indent
        elif margin is not None and line.strip() and indent <= margin:
            found.append(line.strip())
            margin = None
    return found


def _tail(lines: Sequence[str], count: int = 15) -> str:
    return "\n".join(lines[-count:])
