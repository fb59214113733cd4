"""Benchmarks of process_implementations.cubes.apply."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import geopandas
import numpy as np
import shapely
import xarray as xr
from scipy import ndimage

from openeo_processes_dask.process_implementations.cubes.apply import (
    apply,
    apply_dimension,
    apply_kernel,
    apply_neighborhood,
    apply_polygon,
)

from ..suite import Suite

DATA = {"from_parameter": "data"}
DIFFERENCE_FROM_MEAN = {
    "process_graph": {
        "mean": {"process_id": "mean", "arguments": {"data": DATA}},
        "difference": {
            "process_id": "subtract",
            "arguments": {"x": DATA, "y": {"from_node": "mean"}},
            "result": True,
        },
    }
}


def chain(nodes: int) -> dict[str, Any]:
    """A child process that adds one as often as it has nodes."""
    graph: dict[str, Any] = {}
    value: dict[str, str] = {"from_parameter": "x"}
    for number in range(nodes):
        graph[f"add{number}"] = {"process_id": "add", "arguments": {"x": value, "y": 1}}
        value = {"from_node": f"add{number}"}
    graph[value["from_node"]]["result"] = True
    return {"process_graph": graph}


class Apply(Suite):
    """A child process of so many nodes: one task per chunk, however many they are."""

    measures = (apply,)
    params = ([1, 5, 50],)
    param_names = ("nodes",)

    def build(self, nodes: int) -> xr.DataArray:
        return apply(self.cube, chain(nodes))

    def expected(self, nodes: int) -> np.ndarray:
        return self.cube.data + nodes


class ApplyDimension(Suite):
    """Over bands, which lie in one chunk: no block meets another."""

    measures = (apply_dimension,)
    dimension = "bands"

    def build(self) -> xr.DataArray:
        return apply_dimension(self.cube, DIFFERENCE_FROM_MEAN, self.dimension)

    def expected(self) -> Any:
        return self.cube - self.cube.mean(self.dimension)


class ApplyDimensionAcrossChunks(ApplyDimension):
    """Over time, which lies in several chunks: they are brought together first."""

    dimension = "t"


class ApplyKernel(Suite):
    """Five by five weights on planes that are cut: blocks get rims of their neighbours."""

    measures = (apply_kernel,)
    kernel = np.random.default_rng(5).normal(size=(5, 5))

    def build(self) -> xr.DataArray:
        return apply_kernel(self.cube, self.kernel.tolist(), border="replicate")

    def expected(self) -> np.ndarray:
        values = np.nan_to_num(self.cube.values.astype(np.float64))
        return ndimage.correlate(values, self.kernel[None, None], mode="nearest")


class ApplyKernelOnWholePlanes(ApplyKernel):
    """A Gauss, one column times one row, on planes in one chunk: no block meets another."""

    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256

    def inputs(self) -> None:
        shape = self.sizes[self.size].shape
        self.cube = self.input(chunks=(1, 2, *shape[2:]))


class ApplyNeighborhood(Suite):
    """Windows of 32 × 32 pixels with two more on each side, less the largest value of each, on planes that are cut.

    They see all dates, which are brought together.
    """

    measures = (apply_neighborhood,)
    side = 32
    rim = 2
    dates: int | None = None

    def build(self) -> xr.DataArray:
        size = [{"dimension": name, "value": self.side, "unit": "px"} for name in ("x", "y")]
        size += [{"dimension": "t", "value": self.dates, "unit": "px"}] if self.dates else []
        overlap = [{"dimension": name, "value": self.rim, "unit": "px"} for name in ("x", "y")]
        return apply_neighborhood(self.cube, _less_largest, size, overlap)

    def expected(self) -> np.ndarray:
        values, rim = self.cube.values, self.rim
        around = np.pad(values, [(0, 0), (0, 0), (rim, rim), (rim, rim)], constant_values=np.nan)
        out = values.copy()
        steps = [range(0, n, self.side) for n in values.shape[2:]]
        for first, top, left in itertools.product(range(0, len(values), self.dates or len(values)), *steps):
            dates = slice(first, first + (self.dates or len(values)))
            seen = around[dates, :, top : top + self.side + 2 * rim, left : left + self.side + 2 * rim]
            out[dates, :, top : top + self.side, left : left + self.side] -= np.nanmax(seen)
        return out


class ApplyNeighborhoodOfDates(ApplyNeighborhood):
    """Such windows of one date each: blocks only meet those beside them."""

    dates = 1


def _less_largest(data: xr.DataArray) -> xr.DataArray:
    return data - np.nanmax(data.values)


class ApplyPolygon(Suite):
    """Squares side by side, so many in a row and column: running totals over time in each."""

    measures = (apply_polygon,)
    params = ([2, 16],)
    param_names = ("squares",)
    process: ClassVar[Any] = {
        "process_graph": {
            "along": {
                "process_id": "apply_dimension",
                "arguments": {
                    "data": DATA,
                    "dimension": "t",
                    "process": "cumsum",
                },
                "result": True,
            }
        }
    }

    def inputs(self, squares: int) -> None:
        self.cube = self.input()
        x, y = self.cube.x.values, self.cube.y.values
        half = (x[1] - x[0]) / 2 if len(x) > 1 else 5.0
        step = (x[-1] - x[0]) / squares if len(x) > 1 else 2 * half
        corners = [(x[0] + i * step, y[0] - j * step) for i in range(squares) for j in range(squares)]
        shapes = [shapely.box(left, top - step + half, left + step - half, top) for left, top in corners]
        self.squares = geopandas.GeoSeries(shapes, crs=32632)

    def build(self, squares: int) -> xr.DataArray:
        return apply_polygon(self.cube, self.squares, self.process)

    def expected(self, squares: int) -> Any:
        x, y = np.meshgrid(self.cube.x.values, self.cube.y.values)
        inside = shapely.intersects_xy(shapely.union_all(self.squares.to_numpy()), x, y)
        totals = np.nancumsum(self.cube.values.astype(float), axis=0)
        return np.where(inside & ~np.isnan(self.cube.values), totals, np.nan)


class ApplyPolygonOfUsers(ApplyPolygon):
    """The same squares, less the largest value of each by a function of users: each is brought together."""

    params = ([16],)
    process = staticmethod(_less_largest)

    def expected(self, squares: int) -> np.ndarray:
        x, y = np.meshgrid(self.cube.x.values, self.cube.y.values)
        out = np.full(self.cube.shape, np.nan, self.cube.dtype)
        for square in self.squares:
            inside = shapely.intersects_xy(square, x, y)
            if inside.any():
                out[..., inside] = self.cube.values[..., inside] - np.nanmax(self.cube.values[..., inside])
        return out
