"""The sides of a comparison: each is a process with an implementation of its own, asked over its standard input."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from .. import target
from . import stand_in

BENCHMARKS = Path(__file__).resolve().parents[1]
MEMORY = 12_000_000_000  # bytes that each process of a side may have
PATIENCE = 10.0  # seconds until what does not end by itself is ended
START = 120.0  # seconds to import everything

Answer = dict[str, Any]


class SideError(RuntimeError):
    """A side could not be measured: says why."""


class Side:
    """An implementation, in a process that is started when it is first asked and again whenever it was lost."""

    def __init__(
        self, name: str, python: str, package: Path | None, memory: int = MEMORY, where: Sequence[str] | None = None
    ):
        self.name = name
        self.where = where  # arguments of its process: the target, where it does not compute in that process
        self.python = python
        self.package = package  # the folder of the package, where it is not installed beside that Python
        self.memory = memory
        self.process: subprocess.Popen[str] | None = None
        self.held: Answer | None = None
        self.folder = tempfile.TemporaryDirectory(prefix="openeo-side-")
        self.log = Path(self.folder.name) / "log"
        (Path(self.folder.name) / BENCHMARKS.name).symlink_to(BENCHMARKS)
        if package is not None:
            (Path(self.folder.name) / target.PACKAGE).symlink_to(package)

    def ask(self, timeout: float, **request: Any) -> Answer:
        """Ask for a job; a process that could not do one is ended, so that what it still holds is in no other's way.

        Raises
        ------
        SideError
            If the implementation raises, if it takes too long, or if its process ends.
        """
        answer = self._sent(timeout, request)
        if "error" in answer:
            self.end()
            raise SideError(_told(answer))
        return answer

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            if self.where is not None:  # it leaves its cluster in order, if it can
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    assert self.process.stdin is not None
                    self.process.stdin.close()
                    self.process.wait(PATIENCE)
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    child.kill()
            self.process.kill()
            self.process.wait(PATIENCE)
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what was written and not read
                        pipe.close()
            self.process = None

    def close(self) -> None:
        """End the process and remove what it had."""
        self.end()
        self.folder.cleanup()

    def _start(self) -> subprocess.Popen[str]:
        unset = (target.ADDRESS, "PYTHONHOME", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        # One thread a task: libraries that make threads of their own would take more than two processors.
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "benchmarks.comparing.measurer", *(self.where or ())],
                cwd=self.folder.name,
                env={**kept, **single, "PYTHONPATH": self.folder.name, "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C reaches the process that asks, which then ends the others in order
            )
        answer = self._exchanged(START, {"job": "start", "known": stand_in.catalogue(), "memory": self.memory})
        if "error" in answer:
            self.end()
            raise SideError(f"cannot be started: {_told(answer)}")
        return self.process

    def _sent(self, timeout: float, request: Answer) -> Answer:
        if self.process is None:
            self._start()
        return self._exchanged(timeout, request)

    def _exchanged(self, timeout: float, request: Answer) -> Answer:
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                if not selector.select(timeout):
                    self.end()
                    raise SideError(f"took longer than {timeout:.0f} s")
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = process.wait(PATIENCE)
            self.end()
            raise SideError(f"its process ended with status {status}: {_last(self.log)}")
        answer: Answer = json.loads(line)
        return answer


@contextlib.contextmanager
def closing(*sides: Side) -> Iterator[None]:
    """End all sides at the end, whatever happens meanwhile."""
    try:
        yield
    finally:
        for side in sides:
            side.close()


def _told(answer: Answer) -> str:
    if answer["error"] in ("MemoryError", "_ArrayMemoryError"):
        return f"out of memory ({answer['says']})" if answer["says"] else "out of memory"
    return f"{answer['error']}: {answer['says']}" if answer["says"] else str(answer["error"])


def _last(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
