"""Folders for a while: each says whose it is, so that those of runs that were killed are removed by the next one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import psutil

PREFIX = "openeo-benchmarks-"
OWNED = re.compile(rf"{PREFIX}(\d+)-(\d+)-\w+")  # its process, and when that was started, in seconds of the epoch
CLOCKS = 2  # seconds by which two readings of a start may differ


def folder() -> Path:
    """Make a folder of this process, and remove those whose process is gone."""
    for left in abandoned():
        shutil.rmtree(left, ignore_errors=True)  # another process may be doing the same
    started = int(psutil.Process().create_time())
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{started}-"))


def abandoned() -> list[Path]:
    """The folders of this user whose process is gone; another process may have got its number since."""
    found = []
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        named = OWNED.fullmatch(path.name)
        with contextlib.suppress(FileNotFoundError):
            if named and path.stat().st_uid == os.getuid() and not _lives(int(named[1]), int(named[2])):
                found.append(path)
    return found


def _lives(process: int, started: int) -> bool:
    try:
        return abs(psutil.Process(process).create_time() - started) <= CLOCKS
    except psutil.NoSuchProcess:
        return False
