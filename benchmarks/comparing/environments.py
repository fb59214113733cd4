"""Virtual environments with a peer, and packages of other commits: made once, kept beside the store."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import target
from .sides import Side, SideError

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".asv" / "peers"
PEERS = "OPENEO_BENCHMARKS_PEERS"  # a folder with environments that were made already, by the name of the requirement
WITHOUT = {"gdal"}  # needs a compiler and a system library, and processes on cubes do not
TOOLS = ("asv-runner", "distributed", "psutil")  # what the suites themselves import
PATIENCE = 900.0  # seconds to install


def peer(requirement: str) -> Side:
    """A side with a requirement installed, such as `openeo-processes-dask==2026.9.1`.

    Raises
    ------
    SideError
        If it cannot be installed.
    """
    return Side(requirement, str(_environment(requirement)), None)


def here(name: str = "this code") -> Side:
    """A side with the code that lies here."""
    return Side(name, sys.executable, ROOT / target.PACKAGE)


def is_target(name: str) -> bool:
    """Whether this is a target, and no commit."""
    return name == target.EMBEDDED or "://" in name


def on_target(name: str) -> Side:
    """A side that computes on a target: `embedded`, or an address, with a label before it as in `prod=tls://…`.

    Raises
    ------
    TargetError
        If the label is none: it is stored and published, which the address is not.
    """
    label, where = labelled(name)
    return Side(target.checked_label(label), sys.executable, ROOT / target.PACKAGE, where=[where])


def labelled(name: str) -> tuple[str, str]:
    """The label and the address of a target; `embedded` is both."""
    if name == target.EMBEDDED:
        return name, name
    label, equals, address = name.partition("=")
    return (label, address) if equals and "://" not in label else (target.EXTERNAL, name)


def commit(name: str) -> Side:
    """A side with the package as a commit has it, run with the libraries of this environment.

    Raises
    ------
    SideError
        If there is no such commit, or it has no package.
    """
    full = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    place = CACHE / "commits" / full
    if not (place / target.PACKAGE).is_dir():
        part = place.with_name(f"{full}.part-{os.getpid()}")
        part.mkdir(parents=True)
        archive = part / "archive.tar"
        _git("archive", "--output", str(archive), full, target.PACKAGE)
        shutil.unpack_archive(archive, part, filter="data")
        archive.unlink()
        part.rename(place)
    return Side(f"{name} ({full[:8]})", sys.executable, place / target.PACKAGE)


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if asked.returncode:
        raise SideError(f"git {' '.join(arguments)} failed: {asked.stderr.strip() or 'no such commit'}")
    return asked.stdout.strip()


def _environment(requirement: str) -> Path:
    """The Python of an environment that has the requirement."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+(\[[A-Za-z0-9_,-]+\])?==[A-Za-z0-9.+!_-]+", requirement):
        raise SideError(f"a peer is a package and its version, such as {target.PACKAGE}==1.2.3, not {requirement!r}")
    name = re.sub(r"[^A-Za-z0-9.]+", "-", requirement)
    for folder in (Path(os.environ[PEERS]) if PEERS in os.environ else CACHE, CACHE):
        python = folder / name / "bin" / "python"
        if python.exists() and _has(python, requirement):
            return python
    return _made(CACHE / name, requirement)


def _made(place: Path, requirement: str) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "venv", str(place))
    python = place / "bin" / "python"
    try:
        _run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", requirement)
        _run(str(python), "-m", "pip", "install", "--quiet", *_requirements(python, requirement), *TOOLS)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return python


def _requirements(python: Path, requirement: str) -> list[str]:
    """What the package asks for with all its extras, without what cannot be had."""
    name = re.split(r"[\[=]", requirement)[0]
    code = "import importlib.metadata, json, sys; print(json.dumps(importlib.metadata.requires(sys.argv[1]) or []))"
    asked = subprocess.run([str(python), "-c", code, name], capture_output=True, text=True, timeout=60, check=True)
    found = []
    for line in json.loads(asked.stdout):
        what, _, marker = line.partition(";")
        package = re.split(r"[^A-Za-z0-9._-]", what.strip())[0].lower()
        if package not in WITHOUT and not re.search(r"extra\s*==\s*['\"](ml|dev|docs?|tests?)['\"]", marker):
            found.append(_without_extra(what, marker))
    return found


def _without_extra(what: str, marker: str) -> str:
    rest = " and ".join(part for part in re.split(r"\s+and\s+", marker.strip()) if part and "extra" not in part)
    return f"{what.strip()} ; {rest}" if rest else what.strip()


def _has(python: Path, requirement: str) -> bool:
    name, _, version = re.sub(r"\[.*\]", "", requirement).partition("==")
    return _version(str(python), name) == version


@functools.cache
def _version(python: str, name: str) -> str | None:
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    asked = subprocess.run([python, "-c", code, name], capture_output=True, text=True, timeout=60)
    return asked.stdout.strip() if asked.returncode == 0 else None


def _run(*command: str) -> None:
    ran: subprocess.CompletedProcess[str] = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if ran.returncode:
        last: Sequence[str] = ran.stderr.strip().splitlines()[-3:]
        raise SideError(f"{' '.join(command[1:5])} … failed: {' '.join(last)}")


def versions_here() -> str:
    """The version of this package."""
    return importlib.metadata.version(target.PACKAGE.replace("_", "-"))
