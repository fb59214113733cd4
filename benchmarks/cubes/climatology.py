"""Benchmarks of process_implementations.cubes.climatology."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.aggregate import aggregate_temporal_period
from openeo_processes_dask.process_implementations.cubes.climatology import anomaly, climatological_normal

from ..suite import Suite


class ClimatologicalNormal(Suite):
    """Means of the months of a year, most of which hold nothing."""

    measures = (climatological_normal,)

    def build(self) -> xr.DataArray:
        return climatological_normal(self.cube, "month", [2023, 2023])

    def expected(self) -> Any:
        means = self.cube.groupby("t.month").mean()
        return means.reindex(month=range(1, 13)).transpose("month", ...)


class Anomaly(Suite):
    """Months against the normals of the same months."""

    measures = (anomaly,)

    def inputs(self) -> None:
        self.cube = self.input()
        self.months = self.prepare(aggregate_temporal_period(self.cube, "month", "mean"))
        self.normals = self.prepare(climatological_normal(self.cube, "month", [2023, 2023]))

    def build(self) -> xr.DataArray:
        return anomaly(self.months, self.normals, "month")

    def expected(self) -> Any:
        return self.months - self.months  # of one year, whose months are their own normals
