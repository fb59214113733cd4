"""Where results lie: complete under their names, or not at all."""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import platform
import shutil
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
from rasterio.errors import RasterioError

from openeo_processes_dask.exceptions import FileExists, FilePathInvalid, StorageFailure

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # a number of a process says nothing on another machine
MOVES = "moves.json"  # what is about to be moved out of an unfinished result
LONGEST = 200  # bytes of a name; what lies beside it until it is complete has a longer one, and 255 is the most
STORE = ("zarr.json", ".zgroup")  # what tells a zarr store from any other folder


def final_path(given: Any, suffix: str) -> Path:
    """The path of a result: relative to the results folder, which it may not leave if one is set.

    Raises
    ------
    FilePathInvalid
        If it leaves the folder, names a folder, or is no name that a file can have.
    """
    root = dask.config.get("openeo.results", None)
    base = Path.cwd() if root is None else Path(root).resolve()
    if not isinstance(given, (str, Path)) or not str(given).strip() or str(given).endswith(("/", os.sep)):
        raise FilePathInvalid(f"{given!r} is no name of a file")
    try:
        path = (base / given).resolve()
        length = len(os.fsencode(path.name))
    except (ValueError, OSError) as error:  # no text, a zero byte, longer than a path may be
        raise FilePathInvalid(f"{str(given)[:80]!r} is no name of a file: {error!s:.80}") from error
    if length > LONGEST:
        raise FilePathInvalid(f"the name {path.name[:80]!r}… has {length} bytes, and may have {LONGEST}")
    if root is not None and (path == base or not path.is_relative_to(base)):
        raise FilePathInvalid(f"{str(given)!r} is outside of the folder for results, {base}")
    return path if path.suffix else path.with_name(path.name + suffix)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Where a result is written: what the system says against that becomes an openEO error.

    Raises
    ------
    StorageFailure
        If something cannot be written.
    """
    try:
        yield
    except (OSError, RasterioError, RuntimeError) as error:  # the last is h5py's, when it cannot flush
        reasons = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
        free = _free(path)
        reasons += [] if free is None else [f"{free} bytes are free there"]
        raise StorageFailure(f"{path.name} could not be written: {'; '.join(reasons)}") from error


class Patient(io.FileIO):
    """A file for HDF5, which ends the whole process when it cannot write what it has to before it closes a file.

    So after an error nothing more is written, and HDF5 is not told; `complain` raises what was wrong.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r+")
        self.path = path
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        if self.error is not None:
            self.seek(len(rest), os.SEEK_CUR)
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0

    def complain(self) -> None:
        with storing(self.path):
            if self.error is not None:
                raise self.error


def _free(path: Path) -> int | None:
    for folder in path.parents:
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


@contextlib.contextmanager
def unfinished(finals: Sequence[Path], overwrite: bool) -> Iterator[Path]:
    """A folder to write results into, each under the last part of its final path.

    If the block ends well they are moved to their final paths, else nothing is left of them. What was there before
    stays until then.

    Raises
    ------
    FileExists
        If there is something under a final name, and it is not to be overwritten or is no result.
    StorageFailure
        If nothing can be written there.
    """
    _check(finals, overwrite)
    parent = finals[0].parent
    folder = parent / f".{finals[0].name}.partial-{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with storing(finals[0]):
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(finals[0])
        folder.mkdir()
    try:
        yield folder
        _check(finals, overwrite)
        with storing(finals[0]):
            _publish(folder, finals, overwrite)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(final: Path) -> None:
    """Remove what a process of this machine left that was killed while it wrote the same result."""
    for folder in final.parent.glob(f".{glob.escape(final.name)}.partial-{_HOST}-*-*"):
        try:
            os.kill(int(folder.name.split("-")[-2]), 0)  # asks whether it is there, and does nothing to it
        except ProcessLookupError:
            take_back(folder)
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):  # somebody else's
            continue


def announce(stage: Path, made: Sequence[Path]) -> None:
    """Note what will be moved from a folder to the one above it, for a run that finds this one killed in between."""
    (stage / MOVES).write_text(json.dumps([[path.name, *_identity(path)] for path in made]))


def take_back(stage: Path) -> None:
    """Take back what a killed run had moved, unless that was all: what was there before comes back."""
    try:
        noted = json.loads((stage / MOVES).read_text())
    except (FileNotFoundError, ValueError):  # killed before, so nothing was moved
        return
    finals = {stage.parent / Path(name).name: identity for name, *identity in noted}
    moved = [final for final, identity in finals.items() if _identity(final) == identity]
    if len(moved) == len(finals):
        return
    for final in moved:
        _remove(final)
    for final in finals:
        if (stage / "old" / final.name).exists() and not final.exists():
            os.replace(stage / "old" / final.name, final)


def _identity(path: Path) -> list[int]:
    """What stays the same when a file or folder is moved: nothing, if there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return []
    return [found.st_dev, found.st_ino]


def _check(finals: Sequence[Path], overwrite: bool) -> None:
    for final in finals:
        if not os.path.lexists(final):  # a link to nothing is something too
            continue
        if not overwrite:
            raise FileExists(f"{final} exists; the option overwrite replaces it")
        is_store = final.is_dir() and any((final / name).exists() for name in STORE)
        if final.is_dir() != (final.suffix == ".zarr" or is_store) or (final.is_dir() and not is_store):
            raise FileExists(f"{final} exists and is no result of this format, so it is not replaced")


def _publish(folder: Path, finals: Sequence[Path], overwrite: bool) -> None:
    """Move everything to its final name; if that fails half-way, what was there before comes back."""
    old = folder / "old"
    old.mkdir()
    announce(folder, [folder / final.name for final in finals])
    moved: list[Path] = []
    try:
        for final in finals:
            if not overwrite:
                _move_to_nothing(folder / final.name, final)
                moved.append(final)
                continue
            if final.exists():
                _keep(final, old / final.name)
            moved.append(final)
            os.replace(folder / final.name, final)
        (folder / MOVES).unlink()  # nothing is to be taken back any more, whatever becomes of the files
    except BaseException:
        for final in moved:
            _remove(final)
            if (old / final.name).exists():
                os.replace(old / final.name, final)
        raise


def _move_to_nothing(made: Path, final: Path) -> None:
    """Move to a name that nobody has, not even since it was looked for: two may be saving the same."""
    try:
        if made.is_dir():
            os.rename(made, final)  # fails where there is a folder that is not empty
            return
        try:
            os.link(made, final)
        except FileExistsError:
            raise
        except OSError:  # not every file system has them
            final.touch(exist_ok=False)
            os.replace(made, final)
    except OSError as error:
        if final.exists():
            raise FileExists(f"{final} exists since a moment ago; the option overwrite replaces it") from error
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
