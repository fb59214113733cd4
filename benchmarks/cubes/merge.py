"""Benchmarks of process_implementations.cubes.merge."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.merge import merge_cubes

from ..suite import Suite


class MergeCubes(Suite):
    """Cubes of the same labels, added: block meets block."""

    measures = (merge_cubes,)

    def inputs(self) -> None:
        self.cube, self.other = self.input(), self.input(seed=1)

    def build(self) -> xr.DataArray:
        return merge_cubes(self.cube, self.other, "add")

    def expected(self) -> Any:
        return self.cube.data + self.other.data


class MergeCubesOfOtherBands(MergeCubes):
    """Cubes of different bands, side by side: no value is touched."""

    def inputs(self) -> None:
        super().inputs()
        self.other = self.other.assign_coords(bands=[f"other {band}" for band in self.other.bands.values])

    def build(self) -> xr.DataArray:
        return merge_cubes(self.cube, self.other)

    def expected(self) -> Any:
        return np.concatenate([self.cube.data, self.other.data], axis=1)
