"""The specification of every process as a dict, on demand: `specs.mean`, `specs._min` and `specs.min_` alike."""

from __future__ import annotations

import builtins
import functools
import keyword
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(map(_exported, _documents()))
    document = None if name.startswith("__") else _documents().get(name.strip("_"))
    if document is None:
        raise AttributeError(f"module {__name__!r} has no process {name!r}")
    return document


def __dir__() -> list[str]:
    return sorted(map(_exported, _documents()))


@functools.cache
def _documents() -> dict[str, dict[str, Any]]:
    from openeo_processes_dask import process_implementations  # noqa: F401 - it declares them
    from openeo_processes_dask.specs.generate import documents

    return documents()


def _exported(process_id: str) -> str:
    """The name of a process among Python's: those that Python has taken get a leading underscore."""
    taken = keyword.iskeyword(process_id) or hasattr(builtins, process_id)
    return f"_{process_id}" if taken else process_id
