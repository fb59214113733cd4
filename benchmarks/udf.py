"""Benchmarks of process_implementations.udf."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.apply import apply_dimension
from openeo_processes_dask.process_implementations.udf import run_udf

from .suite import Suite

CODE = """\
import xarray

def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
    return cube - cube.mean("t")
"""


class RunUdf(Suite):
    """Code of a user on whole rows of time, which is brought together first."""

    measures = (run_udf,)

    def build(self) -> xr.DataArray:
        data = {"from_parameter": "data"}
        arguments = {"data": data, "udf": CODE, "runtime": "Python"}
        process = {"process_graph": {"udf": {"process_id": "run_udf", "arguments": arguments, "result": True}}}
        return apply_dimension(self.cube, process, "t")

    def expected(self) -> Any:
        return self.cube - self.cube.mean("t")
