"""Hands what was measured over to asv, and has it publish its page."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from .terminal import Step

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / ".asv" / "html" / "index.html"
LOG = ROOT / ".asv" / "run.log"
PROGRESS = re.compile(r"^\[\s*(\d+\.\d+)%\] \W*(.*?)(?:\s{2,}.*)?$")
WIDE = {"COLUMNS": "160", "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}  # so that asv shortens no names
PATIENCE = 10.0  # seconds until what does not end by itself is ended


class AsvError(RuntimeError):
    """asv could not do what it was asked for; its output says why."""


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


def export(run: str, step: Step) -> None:
    """Hand the records of a run, by its name in the store, over to asv.

    Raises
    ------
    AsvError
        If asv could not take them.
    """
    _introduce_machine()
    step(0.0, "results for asv")
    status, output = _run([sys.executable, "-m", f"{__package__}.asv_export", run], step)
    if status:
        raise AsvError(f"the results could not be handed over to asv; its output is in {LOG}:\n{_tail(output)}")


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
    return _run([sys.executable, "-m", "asv", *arguments], step)


def _run(command: Sequence[str], step: Step) -> tuple[int, list[str]]:
    """Run a command of asv's, tell how far it is, and keep what it writes in a file."""
    lines = []
    LOG.parent.mkdir(exist_ok=True)
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


def _tail(lines: Sequence[str], count: int = 15) -> str:
    return "\n".join(lines[-count:])
