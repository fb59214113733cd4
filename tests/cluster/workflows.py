"""A workflow that runs in the devcontainer while something else happens, and what must come of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.backend import INSIDE, PATIENCE, Backend

WORKFLOWS = ("ndvi_composite", "monthly_ndvi", "stac_to_grid")
EMBEDDED = "results/embedded"


@dataclass
class Running:
    """A workflow that was started: what it has said, and the process on the host that listens to it."""

    backend: Backend
    workflow: str
    folder: Path
    process: subprocess.Popen[str]
    said: list[dict[str, Any]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)  # what is no JSON: logs and tracebacks

    def wait_for_tasks(self, count: int) -> int:
        """Wait until so many tasks are finished, and give how many are.

        Raises
        ------
        AssertionError
            If the workflow ends before.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            done = self.tasks()
            if done >= count:
                return done
            assert self.process.poll() is None, f"ended after {done} tasks: {self.said[-1:]} {self.other[-20:]}"
            time.sleep(0.05)
        raise AssertionError(f"{count} tasks were not finished in {PATIENCE:.0f} s")

    def tasks(self) -> int:
        """How many tasks it has said that are finished."""
        return max((fact["tasks"] for fact in list(self.said) if "tasks" in fact), default=0)

    def end(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait for the end, and give the result or the error."""
        self.process.wait(timeout)
        deadline = time.monotonic() + 5
        while True:  # it need not be the last that was said: another thread tells of tasks
            for fact in list(self.said):
                if {"result", "error"} & fact.keys():
                    return fact
            if time.monotonic() > deadline:
                return self.said[-1] if self.said else {}
            time.sleep(0.05)

    def pid(self) -> int:
        """The process in the devcontainer."""
        return int(self.said[0]["process"])

    def left(self) -> list[str]:
        """All that lies in the folder of the result."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@contextlib.contextmanager
def running(backend: Backend, workflow: str = "ndvi_composite", size: str = "default") -> Iterator[Running]:
    """Start a workflow on the compose cluster, with a folder of its own for the result."""
    name = f"results/{uuid.uuid4().hex[:8]}"
    command = (
        "timeout",
        "280",
        "python3",
        "-m",
        "tests.cluster.inside.run",
        workflow,
        f"{INSIDE}/{name}",
        "--size",
        size,
    )
    process = subprocess.Popen(
        backend.in_container(*command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found = Running(backend, workflow, backend.checkout / name, process)
    listener = threading.Thread(target=_listen, args=(found,))
    listener.start()
    try:
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        listener.join(30)
        assert process.stdout is not None
        process.stdout.close()


def _listen(found: Running) -> None:
    assert found.process.stdout is not None
    for line in found.process.stdout:
        try:
            found.said.append(json.loads(line))
        except ValueError:
            found.other.append(line.rstrip())


def same(found: Running, size: str = "default") -> str:
    """Compare what lies in the folder of a workflow with the results of the embedded cluster, which are made once."""
    folder = f"{EMBEDDED}-{found.workflow}-{size}"
    if not (found.backend.checkout / folder).exists():
        found.backend.python("run", found.workflow, folder, "--size", size, embedded=True)
    return found.backend.python("same", folder, str(found.folder.relative_to(found.backend.checkout)))
