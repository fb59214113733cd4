"""The store of everything measured: a file that only grows, one JSON record a line.

    store.append(store.record("suite", suite="cubes.indices.Ndvi", params={}, samples={"tasks": [16]}))
    for made in store.records(kind="suite", suite="cubes.indices.Ndvi"): ...

A record has these fields; `record` fills those from `run` to `machine` by itself:

| field | what |
|---|---|
| `schema` | version of this table, 1 |
| `kind` | `suite` for a measured case; `sweep`, `calibration`, `projection`, `validation`, `comparison` of the tools |
| `run` | the same for all records that one command made |
| `time` | when, as ISO 8601 in UTC |
| `code` | hash of the package's code here; a run on other code is refused |
| `commit`, `changed` | what is checked out, and whether files differ from it; None and False outside a checkout |
| `versions` | of Python and of the libraries that matter |
| `machine` | of the client: system, processor, number of processors |
| `suite`, `params`, `size` | name as in `suite.suites()`, parameters by name, name of the size |
| `target` | facts of the cluster, under the label of the target and never its address; `doctor.facts` makes them |
| `settings` | whatever else was set, such as threads, round and mode of a sweep |
| `samples` | by name of `measures.MEASURES`: a list of all values taken, in order |
| `flags` | by name: what makes these numbers doubtful, in one sentence each; empty where nothing does |
| `error` | why there are no samples, or None |

Further fields are kept as they are. Floats that are not finite are stored as null.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import functools
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import target

SCHEMA = 1
ROOT = Path(__file__).resolve().parents[1]
PLACE = "OPENEO_BENCHMARKS_STORE"  # another file than the one within the checkout
RUN = "OPENEO_BENCHMARKS_RUN"  # the name of the run, which processes of one run share
LIBRARIES = ("dask", "distributed", "numpy", "scipy", "numba", "xarray", "rasterio", "shapely")

Record = dict[str, Any]


class StoreError(RuntimeError):
    """The store cannot be written: says why; what was in it before is still there."""


def path() -> Path:
    """Where the store lies: `.asv/records.jsonl`, or what OPENEO_BENCHMARKS_STORE says."""
    return Path(os.environ.get(PLACE) or ROOT / ".asv" / "records.jsonl")


def record(
    kind: str,
    suite: str | None = None,
    params: Mapping[str, Any] | None = None,
    samples: Mapping[str, Sequence[float]] | None = None,
    flags: Mapping[str, str] | None = None,
    **fields: Any,
) -> Record:
    """Make a record of what was measured now, by this code, with these libraries, on this machine."""
    commit, changed = checked_out()
    return {
        "schema": SCHEMA,
        "kind": kind,
        "run": run_name(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "code": target.local_code().hash,
        "commit": commit,
        "changed": changed,
        "versions": versions(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "processors": os.cpu_count()},
        "suite": suite,
        "params": dict(params or {}),
        "size": os.environ.get(target.SIZE, "default"),
        "target": {"label": target.label()},
        "settings": {},
        "samples": {name: list(values) for name, values in (samples or {}).items()},
        "flags": dict(flags or {}),
        "error": None,
        **fields,
    }


def append(*made: Record, to: Path | None = None) -> None:
    """Add records at the end, all or none of them, and wait until they are on the disk.

    Processes may do so at the same time. Where an earlier one was interrupted within a line, that line is ended first.

    Raises
    ------
    StoreError
        If the disk is full or the file cannot be written.
    """
    place = to or path()
    lines = b"".join(json.dumps(_finite(one), default=str).encode() + b"\n" for one in made)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            try:
                _write(file, (b"\n" if _torn(place, end) else b"") + lines)
            except BaseException:
                with contextlib.suppress(OSError):  # what is no file cannot be cut
                    file.truncate(end)
                raise
    except OSError as error:
        raise StoreError(f"cannot write {place}: {error.strerror}; what was in it before is kept") from error


def records(of: Path | None = None, newest: bool = False, **wanted: Any) -> Iterator[Record]:
    """Read all records, oldest first, whose fields have the values asked for; `label` is the target's.

    Lines that are no records, such as one that was being written when the power went, are passed over, and so are
    records of a later schema than this code knows. `newest` gives only those of the last run among them.
    """
    place = of or path()
    if newest:
        found = list(records(place, **wanted))
        yield from (one for one in found if one["run"] == found[-1]["run"])
        return
    if not place.exists():
        return
    with place.open("rb") as file:
        for line in file:
            one = _read(line)
            if one is not None and all(_field(one, name) == value for name, value in wanted.items()):
                yield one


def samples(made: Record, name: str) -> list[float]:
    """All values of a measure in a record, NaN for those that could not be told."""
    return [math.nan if value is None else float(value) for value in made["samples"].get(name, [])]


@functools.cache
def run_name() -> str:
    """The name of this run, which processes that it starts share."""
    return os.environ.get(RUN) or uuid.uuid4().hex[:12]


@functools.cache
def versions() -> dict[str, str]:
    """Of Python and of the libraries that matter to numbers."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def checked_out() -> tuple[str | None, bool]:
    """The commit that is checked out, if this is a checkout, and whether files differ from it."""
    answers = []
    for question in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            asked = subprocess.run(["git", *question], cwd=ROOT, capture_output=True, text=True, timeout=60)
        except FileNotFoundError:  # no git
            return None, False
        if asked.returncode:
            return None, False
        answers.append(asked.stdout.strip())
    return answers[0], bool(answers[1])


def _write(file: Any, content: bytes) -> None:
    while content:
        content = content[file.write(content) :]
    os.fsync(file.fileno())


def _torn(place: Path, end: int) -> bool:
    """Whether the last line has no end."""
    if not end:
        return False
    with place.open("rb") as file:
        file.seek(end - 1)
        return file.read(1) != b"\n"


def _read(line: bytes) -> Record | None:
    try:
        one = json.loads(line)
    except ValueError:
        return None
    known = isinstance(one, dict) and isinstance(one.get("schema"), int) and one["schema"] <= SCHEMA
    return one if known else None


def _field(one: Record, name: str) -> Any:
    return one.get("target", {}).get("label") if name == "label" else one.get(name)


def _finite(value: Any) -> Any:
    """The same as JSON can say it."""
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if hasattr(value, "item") and not hasattr(value, "__len__"):  # a scalar of numpy's
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
