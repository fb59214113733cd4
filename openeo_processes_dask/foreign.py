"""How a function that is not ours is called on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def call(function: Callable[..., Any], arguments: Mapping[str, Any], said: Mapping[str, Any], axis: int | None) -> Any:
    """Call a function that is not ours: names that start with `*` are positions.

    It gets arrays of its own, which it may change. Along an axis of which it is told nothing it gets row by row.
    """
    named = {name: np.array(v) if isinstance(v, np.ndarray) else v for name, v in {**arguments, **said}.items()}
    positions = [named.pop(name) for name in sorted(n for n in arguments if n.startswith("*"))]
    if axis is None or "axis" in said or not positions or not isinstance(positions[0], np.ndarray):
        return function(*positions, **named)
    return _by_rows(lambda row: function(row, *positions[1:], **named), positions[0], axis)


def _by_rows(run: Callable[[np.ndarray], Any], block: np.ndarray, axis: int) -> np.ndarray:
    """What a function makes of each row along an axis: one value, or a row of another length."""
    rows = np.moveaxis(block, axis, -1)
    results = [run(rows[index]) for index in np.ndindex(rows.shape[:-1])]
    if not results:
        return np.empty((*block.shape[:axis], 1, *block.shape[axis + 1 :]))
    made = np.stack([np.atleast_1d(np.nan if result is None else result) for result in results])
    return np.moveaxis(made.reshape(*rows.shape[:-1], made.shape[-1]), -1, axis)
