"""What older clients (openEO processes 1.2) call processes and parameters, and what that is called now."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from openeo_processes_dask.declare import DECLARED, alias

PROCESSES = {"create_raster_cube": "create_data_cube", "text_merge": "text_concat", "load_result": "load_stac"}

# Parameters that were renamed, or that the specification no longer has but the function still takes. Two others are
# not told apart from what there is now: `array_modify` without `length` removed one element and now removes none, and
# `aggregate_spatial` without `target_dimension` used to add one.
PARAMETERS: dict[str, dict[str, str]] = {
    "apply_polygon": {"polygons": "geometries"},
    "fit_curve": {"dimension": "dimension"},
    "predict_curve": {"data": "data"},
}


def arguments(process_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names that a process has for them now; a warning tells of each that is out of date.

    A name that is there beside its successor stays, for the process to refuse it.
    """
    known = PARAMETERS.get(process_id, {})
    found = dict(given)
    for old, new in known.items():
        if old in found and (old == new or new not in found):
            what = "no longer a parameter" if old == new else f"called {new!r} now"
            warnings.warn(f"{process_id}: {old!r} is {what}", FutureWarning, stacklevel=3)
            found[new] = found.pop(old)
    return found


def removed(process_id: str) -> frozenset[str]:
    """Parameters that the specification of a process no longer has but its function still takes."""
    return frozenset(old for old, new in PARAMETERS.get(process_id, {}).items() if old == new)


def function(name: str, module: str) -> Callable[..., Any]:
    """The function of a process under an older name, at home in a module."""
    process = DECLARED[PROCESSES[name]]

    @functools.wraps(process.function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return process.function(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = module
    alias(call, process)
    return call
