"""Benchmarks of process_implementations.cubes.dimensions."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.dimensions import (
    add_dimension,
    create_data_cube,
    dimension_labels,
    drop_dimension,
    flatten_dimensions,
    rename_dimension,
    rename_labels,
    trim_cube,
    unflatten_dimension,
)

from ..suite import Suite


class AddAndDropDimension(Suite):
    """A dimension comes and another goes: no value is touched."""

    measures = (add_dimension, drop_dimension)

    def build(self) -> xr.DataArray:
        return drop_dimension(add_dimension(self.cube, "model", "a")[:, :1], "t")

    def expected(self) -> Any:
        return self.cube[:1].transpose("t", "bands", "y", "x")


class RenameDimensionAndLabels(Suite):
    """Other names for a dimension and its labels."""

    measures = (rename_dimension, rename_labels, dimension_labels)

    def build(self) -> xr.DataArray:
        renamed = rename_dimension(self.cube, "bands", "channels")
        labels = dimension_labels(renamed, "channels")
        return rename_labels(renamed, "channels", [f"new {label}" for label in labels], labels)

    def expected(self) -> Any:
        return self.cube


class CreateDataCube(Suite):
    """A cube from nothing, with four dimensions."""

    measures = (create_data_cube, add_dimension)

    def build(self) -> xr.DataArray:
        cube = create_data_cube()
        for name in ("x", "y"):
            cube = add_dimension(cube, name, 1, "spatial")
        return add_dimension(add_dimension(cube, "bands", "B02", "bands"), "t", "2023-01-01", "temporal").chunk()


class TrimCube(Suite):
    """Rows and columns without values around the middle: all chunks are read once for the labels."""

    measures = (trim_cube,)

    def inputs(self) -> None:
        self.cube = self.input()
        quarter = self.cube.sizes["x"] // 4
        middle = (self.cube.x >= self.cube.x[quarter]) & (self.cube.x < self.cube.x[-quarter])
        self.cube = self.prepare(self.cube.where(middle))

    def build(self) -> xr.DataArray:
        return trim_cube(self.cube)

    def expected(self) -> Any:
        quarter = self.cube.sizes["x"] // 4
        return self.cube[..., quarter:-quarter]


class FlattenDimensions(Suite):
    """Dates and bands in one: bands, which vary fastest, lie in one chunk."""

    measures = (flatten_dimensions,)

    def build(self) -> xr.DataArray:
        return flatten_dimensions(self.cube, ["t", "bands"], "both")

    def expected(self) -> Any:
        return self.cube.data.reshape(-1, *self.cube.shape[2:])


class UnflattenDimension(Suite):
    """Dates and bands that were one."""

    measures = (unflatten_dimension,)

    def inputs(self) -> None:
        super().inputs()
        self.flat = self.prepare(flatten_dimensions(self.cube, ["t", "bands"], "both"))

    def build(self) -> xr.DataArray:
        return unflatten_dimension(self.flat, "both", ["t", "bands"])

    def expected(self) -> Any:
        return self.cube
