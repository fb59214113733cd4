"""Where results lie: complete under their names, or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import shutil
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dask

from openeo_processes_dask.exceptions import FileExists, FilePathInvalid

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # a number of a process says nothing on another machine
STORE = ("zarr.json", ".zgroup")  # what tells a zarr store from any other folder


def final_path(given: Any, suffix: str) -> Path:
    """The path of a result: relative to the results folder, which it may not leave if one is set.

    Raises
    ------
    FilePathInvalid
        If it leaves the folder, or names a folder.
    """
    root = dask.config.get("openeo.results", None)
    base = Path.cwd() if root is None else Path(root).resolve()
    if not isinstance(given, (str, Path)) or not str(given).strip() or str(given).endswith(("/", os.sep)):
        raise FilePathInvalid(f"{given!r} is no name of a file")
    path = (base / given).resolve()
    if root is not None and (path == base or not path.is_relative_to(base)):
        raise FilePathInvalid(f"{str(given)!r} is outside of the folder for results, {base}")
    return path if path.suffix else path.with_name(path.name + suffix)


@contextlib.contextmanager
def unfinished(finals: Sequence[Path], overwrite: bool) -> Iterator[Path]:
    """A folder to write results into, each under the last part of its final path.

    If the block ends well they are moved to their final paths, else nothing is left of them. What was there before
    stays until then.

    Raises
    ------
    FileExists
        If there is something under a final name, and it is not to be overwritten or is no result.
    """
    _check(finals, overwrite)
    parent = finals[0].parent
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(finals[0])
    folder = parent / f".{finals[0].name}.partial-{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
        _check(finals, overwrite)
        _publish(folder, finals)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(final: Path) -> None:
    """Remove what a process of this machine left that was killed while it wrote the same result."""
    for folder in final.parent.glob(f".{glob.escape(final.name)}.partial-{_HOST}-*-*"):
        try:
            os.kill(int(folder.name.split("-")[-2]), 0)  # asks whether it is there, and does nothing to it
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):  # somebody else's
            continue


def _check(finals: Sequence[Path], overwrite: bool) -> None:
    for final in finals:
        if not final.exists():
            continue
        if not overwrite:
            raise FileExists(f"{final} exists; the option overwrite replaces it")
        is_store = final.is_dir() and any((final / name).exists() for name in STORE)
        if final.is_dir() != (final.suffix == ".zarr" or is_store) or (final.is_dir() and not is_store):
            raise FileExists(f"{final} exists and is no result of this format, so it is not replaced")


def _publish(folder: Path, finals: Sequence[Path]) -> None:
    """Move everything to its final name; if that fails half-way, what was there before comes back."""
    old = folder / "old"
    old.mkdir()
    moved: list[Path] = []
    try:
        for final in finals:
            if final.exists():
                _keep(final, old / final.name)
            moved.append(final)
            os.replace(folder / final.name, final)
    except BaseException:
        for final in moved:
            _remove(final)
            if (old / final.name).exists():
                os.replace(old / final.name, final)
        raise


def _keep(final: Path, aside: Path) -> None:
    """A folder has to make room; a file can be replaced in one step, and a second name is enough to keep it."""
    if final.is_dir():
        os.replace(final, aside)
        return
    try:
        os.link(final, aside)
    except OSError:  # not every file system has them
        shutil.copy2(final, aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
