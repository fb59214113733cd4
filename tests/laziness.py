"""A scheduler that refuses to compute, to show that building a graph computes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import dask


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("something was computed while the graph was built")


@contextlib.contextmanager
def nothing_computed() -> Iterator[None]:
    """Fail if anything is computed inside."""
    with dask.config.set(scheduler=_refuse):
        yield
