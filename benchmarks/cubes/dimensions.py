"""Benchmarks of process_implementations.cubes.dimensions."""

from __future__ import annotations

from typing import Any

import xarray as xr

from openeo_processes_dask.process_implementations.cubes.dimensions import (
    add_dimension,
    create_data_cube,
    flatten_dimensions,
    trim_cube,
    unflatten_dimension,
)

from ..suite import Family, Suite

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "add_dimension": ("model", "a"),
    "dimension_labels": ("bands",),
    "drop_dimension": ("t",),
    "rename_dimension": ("bands", "channels"),
    "rename_labels": ("bands", ["a", "b"], ["B04", "B02"]),
}
AXES: dict[str, Any] = {"add_dimension": None, "drop_dimension": 0}  # that come or go


class Names(Family):
    """Names of dimensions and labels, and dimensions of one label: no value is touched."""

    measures = tuple(ARGUMENTS)

    def inputs(self, process: str) -> None:
        self.cube = self.input()
        if process == "drop_dimension":
            self.cube = self.prepare(self.cube.isel(t=[0]))

    def build(self, process: str) -> xr.DataArray:
        made = self.process(process)(self.cube, *ARGUMENTS[process])
        return self.cube.assign_coords(bands=made) if process == "dimension_labels" else made

    def expected(self, process: str) -> Any:
        return self.cube.data[AXES.get(process, ())]


class CreateDataCube(Suite):
    """A cube from nothing, with four dimensions."""

    measures = (create_data_cube,)

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
