"""Processes on texts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from openeo_processes_dask import lazy, values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import ProcessParameterInvalid, shown
from openeo_processes_dask.vocabulary import AnyText, Flag, MaybeText, Scaling, Text, TextPosition, Texts, Truth


@declare("texts", "comparison", scaling=Scaling.BLOCKWISE)
def text_begins(data: MaybeText, pattern: Text, case_sensitive: Flag = True) -> Truth:
    """Whether a text begins with another.

    Letters of all alphabets count as equal in both cases if the case is not to be heeded.
    """
    return _held("text_begins", str.startswith, data, pattern, case_sensitive)


@declare("texts", scaling=Scaling.BLOCKWISE)
def text_concat(data: Texts, separator: AnyText = "") -> Text:
    """Put texts together, with a separator between them.

    Numbers are written as Python writes them, the others as JSON does.
    """
    if not (isinstance(data, (list, tuple)) or (lazy.is_array(data) and data.ndim == 1 and not lazy.is_lazy(data))):
        raise ProcessParameterInvalid(f"text_concat: data must be an array of texts, not {shown(data)}")
    return _written(separator).join(map(_written, values.listed(data)))


@declare("texts", "comparison", scaling=Scaling.BLOCKWISE)
def text_contains(data: MaybeText, pattern: Text, case_sensitive: Flag = True) -> Truth:
    """Whether a text contains another.

    Letters of all alphabets count as equal in both cases if the case is not to be heeded.
    """
    return _held("text_contains", str.__contains__, data, pattern, case_sensitive)


@declare("texts", "comparison", scaling=Scaling.BLOCKWISE)
def text_ends(data: MaybeText, pattern: Text, case_sensitive: Flag = True) -> Truth:
    """Whether a text ends with another.

    Letters of all alphabets count as equal in both cases if the case is not to be heeded.
    """
    return _held("text_ends", str.endswith, data, pattern, case_sensitive)


@declare("texts", scaling=Scaling.BLOCKWISE, experimental=True)
def text_find(data: MaybeText, pattern: Text, case_sensitive: Flag = True) -> TextPosition:
    """Position of a text in another, counted from zero; null where it is not found."""
    data = _text("text_find", data, pattern, case_sensitive)
    if not isinstance(data, str):
        return data
    position = data.find(pattern) if case_sensitive else _find_folded(data, pattern)
    return position if position >= 0 else None


def _held(
    process: str, check: Callable[[str, str], bool], data: Any, pattern: Any, case_sensitive: bool
) -> bool | float | None:
    data = _text(process, data, pattern, case_sensitive)
    if not isinstance(data, str):
        return data
    return check(data, pattern) if case_sensitive else check(data.casefold(), pattern.casefold())


def _text(process: str, data: Any, pattern: Any, case_sensitive: Any) -> Any:
    """The text, or no-data as it was given."""
    values.flag(process, "case_sensitive", case_sensitive)
    data = lazy.native(data)
    if not isinstance(pattern, str):
        raise ProcessParameterInvalid(f"{process}: pattern must be a text, not {shown(pattern)}")
    if isinstance(data, str) or values.is_nodata(data):
        return data
    raise ProcessParameterInvalid(f"{process}: data must be a text, not {shown(data)}")


def _find_folded(data: str, pattern: str) -> int:
    """Where a text begins in another if the case is not heeded; folding may make a letter into several."""
    folded = [letter.casefold() for letter in data]
    starts = np.cumsum([0, *map(len, folded)]).tolist()
    position = "".join(folded).find(pattern.casefold())
    while position >= 0 and position not in starts:
        position = "".join(folded).find(pattern.casefold(), position + 1)
    return starts.index(position) if position >= 0 else -1


def _written(value: Any) -> str:
    value = lazy.native(value)
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if values.is_number(value):
        return str(value)
    raise ProcessParameterInvalid(
        f"text_concat: texts, numbers, truth values and null can be written, not {shown(value)}"
    )
