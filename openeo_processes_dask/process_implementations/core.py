"""A known address: the decorator that lets the public parser call processes, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openeo_processes_dask import process_implementations  # noqa: F401  (importing it declares the processes)
from openeo_processes_dask.callbacks import process
from openeo_processes_dask.declare import DECLARED

__all__ = ["process", "standard_processes"]

standard_processes: list[Callable[..., Any]] = [declared.function for declared in DECLARED.values()]
