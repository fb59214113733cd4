"""Folders and files that exist either completely or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")

MARKER = ".complete.json"
A_DAY = 24 * 3600
PATIENCE = 2.0  # seconds without a word; what is done by then needs no progress bar


def is_complete(folder: Path, parameters: dict[str, Any]) -> bool:
    """Tell whether a folder was written with these parameters and still has all its files, in their full length."""
    try:
        marker = json.loads((folder / MARKER).read_text())
        return marker["parameters"] == parameters and all(
            (folder / name).stat().st_size == size for name, size in marker["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def write_folder(
    folder: Path, parameters: dict[str, Any], write: Callable[[Path], None], *, names: Collection[str] = ()
) -> None:
    """Let `write` fill a folder beside the final one, then rename it, unless the final one is complete already.

    Parameters
    ----------
    folder
        The final folder; one that is half-written or has other parameters is replaced.
    parameters
        What the content depends on, as JSON.
    write
        Gets the folder to fill.
    names
        What a folder of this kind has at its top. A folder with anything else in it is somebody else's.

    Raises
    ------
    FileExistsError
        The folder holds files of somebody else.
    """
    if is_complete(folder, parameters):
        return
    _refuse_foreign(folder, names)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    unfinished = _beside(folder)
    unfinished.mkdir()
    try:
        write(unfinished)
        files = {
            path.relative_to(unfinished).as_posix(): path.stat().st_size
            for path in sorted(unfinished.rglob("*"))
            if path.is_file()
        }
        (unfinished / MARKER).write_text(json.dumps({"parameters": parameters, "files": files}, indent=1))
        _exchange(unfinished, folder, keep=lambda: is_complete(folder, parameters))
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` make a file or folder under another name, then rename it, unless it exists already."""
    if path.exists():
        return path
    _sweep(path)
    unfinished = _beside(path)
    try:
        write(unfinished)
        _exchange(unfinished, path, keep=path.exists)
    finally:
        _remove(unfinished)
    return path


def progress(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Pass items on; when they take longer than a moment, draw a bar on the error stream.

    Where that is no terminal but a file, a pipe or a notebook, which keep all that was ever drawn, it is one line.
    """
    started = time.monotonic()
    drawn, terminal = False, sys.stderr.isatty()
    for done, item in enumerate(items):
        if time.monotonic() - started > PATIENCE:
            bar = "#" * (30 * done // total)
            if terminal:
                print(f"\r{label} [{bar:<30}] {done}/{total}", end="", file=sys.stderr, flush=True)
            elif not drawn:
                print(f"{label} …", file=sys.stderr, flush=True)
            drawn = True
        yield item
    if drawn and terminal:
        print(f"\r{label} [{'#' * 30}] {total}/{total}", file=sys.stderr, flush=True)


def _refuse_foreign(folder: Path, names: Collection[str]) -> None:
    if not folder.exists() or (folder.is_dir() and (folder / MARKER).exists()):
        return
    foreign = sorted({entry.name for entry in folder.iterdir()} - set(names)) if folder.is_dir() else [folder.name]
    if foreign:
        raise FileExistsError(f"{folder} holds something else ({', '.join(foreign[:3])}): choose another folder")


def _exchange(unfinished: Path, final: Path, keep: Callable[[], bool]) -> None:
    """Move the new into the place of the old, unless somebody else was quicker."""
    if keep():
        return
    old = _beside(final)
    try:
        if final.exists():
            os.replace(final, old)
        os.replace(unfinished, final)
    except OSError:
        if not keep():
            raise
    finally:
        _remove(old)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:12]}")


def _sweep(path: Path) -> None:
    """Remove what a killed process left; younger leftovers may still be somebody's work."""
    for leftover in path.parent.glob(f".{path.name}.partial-*"):
        with contextlib.suppress(FileNotFoundError):  # another process may sweep too
            if time.time() - leftover.stat().st_mtime > A_DAY:
                _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
