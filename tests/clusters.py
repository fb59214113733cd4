"""A scheduler and workers in processes of their own, started as people start them: `dask scheduler`, `dask worker`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

PACKAGE = Path(__file__).resolve().parents[1] / "openeo_processes_dask"
NOT_HERE = "there are no benchmarks on workers"
WITHOUT = """import pathlib, sys
sys.path[:] = [place for place in sys.path if not (pathlib.Path(place) / {!r}).is_dir()]
"""
PATIENCE = 60.0  # seconds until what does not start or end is given up


@contextlib.contextmanager
def separate_processes(
    folder: Path,
    workers: int = 2,
    threads: int = 1,
    memory: str = "auto",
    package: bool = True,
    tls: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The address of a scheduler with workers that were started elsewhere and have no benchmarks.

    They speak TLS where they are given the variables that tell them how.
    """
    # They have this checkout's package, whichever one is installed, and not what lies beside it; or none at all.
    if package:
        (folder / PACKAGE.name).symlink_to(PACKAGE)
    else:
        (folder / "sitecustomize.py").write_text(WITHOUT.format(PACKAGE.name))
    (folder / "benchmarks.py").write_text(f"raise ModuleNotFoundError({NOT_HERE!r})\n")
    note = folder / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
    with contextlib.ExitStack() as stack:
        scheduler = ("scheduler", *local, "--port", "0", "--scheduler-file", str(note))
        encrypted = ("--protocol", "tls") if tls else ()
        stack.enter_context(_running((*scheduler, *encrypted), folder, tls))
        address = _address(note)
        many = ("--nworkers", str(workers), "--nthreads", str(threads), "--memory-limit", memory, "--nanny")
        many = (*many, "--local-directory", str(folder))
        worker = ("worker", address, *local, *many, *encrypted, "--death-timeout", str(PATIENCE))
        stack.enter_context(_running(worker, folder, tls))
        yield address


@contextlib.contextmanager
def _running(arguments: Sequence[str], folder: Path, variables: Mapping[str, str] | None) -> Iterator[None]:
    """A command of dask's, which has ended with all that it started when this ends."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DASK_SCHEDULER")}
    environment |= {"PYTHONPATH": str(folder), **(variables or {})}
    with (folder / f"{arguments[0]}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE / 3)
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            process.kill()
            process.wait(PATIENCE)


def _address(note: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):  # not there yet, or not yet whole
            return json.loads(note.read_text())["address"]
        time.sleep(0.05)
    raise TimeoutError(
        f"no scheduler has written {note} in {PATIENCE:.0f} s: {(note.parent / 'scheduler.log').read_text()}"
    )
