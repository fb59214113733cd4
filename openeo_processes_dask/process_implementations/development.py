"""Looking into a running process graph."""

from __future__ import annotations

import logging
from typing import Any

from openeo_processes_dask import lazy
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.vocabulary import LEVELS, Anything, LogLevel, Scaling, Text

logger = logging.getLogger(__name__)
_MOST_LETTERS = 500


@declare("development", scaling=Scaling.BLOCKWISE)
def inspect(data: Anything, message: Text = "", code: Text = "User", level: LogLevel = "info") -> Anything:
    """Log data and return them as they are.

    Nothing is computed: of arrays and cubes shape, type and chunks are logged. The record's `code` and `data` hold
    the label and what was logged of the data. Inside a child process on a cube it logs once for each block.

    Raises
    ------
    ProcessParameterInvalid
        If there is no such level.
    """
    if not isinstance(level, str) or level not in LEVELS:
        raise ProcessParameterInvalid(f"inspect: the level {shown(level)} is none of {LEVELS}")
    number = logging.getLevelNamesMapping()[str(level).upper()]
    if logger.isEnabledFor(number):
        summary = _summary(data)
        logger.log(number, "%s: %s", code, f"{message} {summary}".strip(), extra={"code": code, "data": summary})
    return data


def _summary(data: Any) -> str:
    if not lazy.is_array(data):
        shown = repr(data)
        return shown if len(shown) <= _MOST_LETTERS else f"{shown[:_MOST_LETTERS]}…"
    told = [f"dimensions {tuple(map(str, data.dims))}"] if hasattr(data, "dims") else []
    told += [f"shape {tuple(data.shape)}", f"type {data.dtype}"]
    if getattr(data, "chunks", None):
        told.append(f"chunks {data.chunks}")
    return f"{type(data).__name__} of {', '.join(told)}"
