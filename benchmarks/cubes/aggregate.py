"""Benchmarks of process_implementations.cubes.aggregate."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.aggregate import aggregate_temporal_period

from ..suite import Suite


class AggregateTemporalPeriod(Suite):
    """Months of ten-day dates, which lie in several chunks."""

    measures = (aggregate_temporal_period,)
    params = (["mean", "median"],)
    param_names = ("reducer",)

    def build(self, reducer: str) -> xr.DataArray:
        return aggregate_temporal_period(self.cube, "month", reducer)

    def expected(self, reducer: str) -> Any:
        return getattr(self.cube.resample(t="MS"), reducer)()
