"""Benchmarks of process_implementations.development."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.development import inspect

from .suite import Suite


class Inspect(Suite):
    """A cube passes through: not even a task."""

    measures = (inspect,)

    def build(self) -> xr.DataArray:
        return inspect(self.cube, message="seen", level="info")

    def expected(self) -> Any:
        return self.cube
