"""Benchmarks of process_implementations.cubes.mask."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.mask import mask

from ..suite import Suite


class Mask(Suite):
    """A mask of every date for all bands."""

    measures = (mask,)

    def inputs(self) -> None:
        self.cube = self.input()
        self.mask = self.prepare(self.input(seed=1).isel(bands=0, drop=True) > 5000)

    def build(self) -> xr.DataArray:
        return mask(self.cube, self.mask)

    def expected(self) -> Any:
        return self.cube.where(~self.mask)
