"""The work on which this project is compared with a peer, in terms that both understand."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyproj
import shapely
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.aggregate import aggregate_spatial, aggregate_temporal_period
from openeo_processes_dask.process_implementations.cubes.apply import apply, apply_dimension, apply_kernel
from openeo_processes_dask.process_implementations.cubes.mask import mask_polygon
from openeo_processes_dask.process_implementations.cubes.reduce import reduce_dimension, reduce_spatial
from openeo_processes_dask.process_implementations.cubes.resample import resample_spatial

from ..cubes import curves, indices, merge
from ..cubes import mask as masks
from ..suite import Size, Suite

LARGE = Size((24, 4, 1024, 1024), (6, 4, 512, 512))  # 403 MB in 16 chunks


def node(process: str, result: bool = False, **arguments: Any) -> dict[str, Any]:
    """A node of a child process; a parameter or another node is named by a text."""
    return {"process_id": process, "arguments": arguments, **({"result": True} if result else {})}


def parameter(name: str) -> dict[str, str]:
    """A reference to what a child process is given."""
    return {"from_parameter": name}


def polygons(cube: xr.DataArray, number: int) -> dict[str, Any]:
    """So many polygons of 20 corners side by side on a cube, as GeoJSON in degrees."""
    side = int(np.ceil(np.sqrt(number)))
    x, y = (np.linspace(axis.min(), axis.max(), side * 2 + 1)[1::2] for axis in (cube.x.values, cube.y.values))
    radius = min(np.ptp(cube.x.values), np.ptp(cube.y.values)) / side / 2.5
    degrees = pyproj.Transformer.from_crs(cube.rio.crs, 4326, always_xy=True)
    centres = [(east, north) for north in y for east in x][:number]
    shapes = [
        shapely.transform(
            shapely.buffer(shapely.Point(centre), radius, quad_segs=5), lambda p: np.stack(degrees.transform(*p.T), -1)
        )
        for centre in centres
    ]
    features = [{"type": "Feature", "properties": {}, "geometry": shape.__geo_interface__} for shape in shapes]
    return {"type": "FeatureCollection", "features": features}


def _in_metres(cube: xr.DataArray, collection: dict[str, Any]) -> list[Any]:
    """The shapes of a collection in the cube's own reference system."""
    metres = pyproj.Transformer.from_crs(4326, cube.rio.crs, always_xy=True)
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in collection["features"]]
    return [shapely.transform(shape, lambda p: np.stack(metres.transform(*p.T), -1)) for shape in shapes]


class Target(Suite):
    """One line of the table; `wanted` is how many times faster than the peer this project wants to be."""

    sizes: ClassVar[dict[str, Size]] = {**Suite.sizes, "targets": LARGE}
    row: ClassVar[str] = ""  # what the table calls it
    wanted: ClassVar[float] = 1.0


class TemporalMean(Target):
    """Over time, which lies in several chunks."""

    row, wanted, reducer = "temporal mean", 4, "mean"
    measures = (reduce_dimension,)

    def build(self) -> xr.DataArray:
        return reduce_dimension(self.cube, self.reducer, "t")

    def expected(self) -> Any:
        return getattr(self.cube, self.reducer)("t")


class TemporalMedian(TemporalMean):
    row, wanted, reducer = "temporal median", 15, "median"


class TemporalFirst(TemporalMean):
    row, wanted, reducer = "first", 3, "first"

    def expected(self) -> Any:
        there = np.argmax(~np.isnan(self.cube.values), axis=0)
        return np.take_along_axis(self.cube.values, there[None], axis=0)[0]


class CumulativeSum(Target):
    row, wanted = "cumulative sum", 8
    measures = (apply_dimension,)

    def build(self) -> xr.DataArray:
        return apply_dimension(self.cube, "cumsum", "t")

    def expected(self) -> Any:
        return self.cube.cumsum("t").where(self.cube.notnull())


class Greater(Target):
    row, wanted = "gt", 10
    measures = (apply,)

    def build(self) -> xr.DataArray:
        return apply(self.cube, {"process_graph": {"gt": node("gt", x=parameter("x"), y=5000, result=True)}})

    def expected(self) -> Any:
        return np.where(np.isnan(self.cube), np.nan, self.cube > 5000)


class InterpolateLinear(Target):
    """The peer needs a loop for each pixel: 25 MB are enough."""

    row, wanted = "array_interpolate_linear, 25 MB", 50
    sizes: ClassVar[dict[str, Size]] = {**Suite.sizes, "targets": Suite.sizes["default"]}
    measures = (apply_dimension,)

    def build(self) -> xr.DataArray:
        return apply_dimension(self.cube, "array_interpolate_linear", "t")

    def expected(self) -> Any:
        return self.cube.drop_vars("t").interpolate_na("t")


class Ndvi(Target, indices.Ndvi):
    row, wanted = "ndvi", 2


class MergeSameLabels(Target, merge.MergeCubes):
    row, wanted = "merge_cubes, same labels, add", 1.7


class MergeDisjointBands(Target, merge.MergeCubesOfOtherBands):
    row, wanted = "merge_cubes, disjoint bands", 5


class MonthlyMean(Target):
    """Months of ten-day dates; time lies in one chunk."""

    row, wanted, reducer = "monthly mean, 240 dates in one chunk, 252 MB", 10, "mean"
    sizes: ClassVar[dict[str, Size]] = {
        "default": Size((120, 1, 256, 256), (120, 1, 64, 64)),
        "smallest": Size((12, 1, 32, 32), (12, 1, 8, 8)),
        "targets": Size((240, 1, 512, 512), (240, 1, 128, 128)),
    }
    measures = (aggregate_temporal_period,)

    def build(self) -> xr.DataArray:
        return aggregate_temporal_period(self.cube, "month", self.reducer)

    def expected(self) -> Any:
        return getattr(self.cube.resample(t="MS"), self.reducer)()


class MonthlyMedian(MonthlyMean):
    row, wanted, reducer = "monthly median, the same", 15, "median"


class MonthlyMeanAcrossChunks(MonthlyMean):
    row, wanted = "monthly mean, 120 dates, one per chunk, 126 MB", 1
    sizes: ClassVar[dict[str, Size]] = {
        "default": Size((120, 1, 128, 128), (1, 1, 128, 128)),
        "smallest": Size((12, 1, 16, 16), (1, 1, 16, 16)),
        "targets": Size((120, 1, 512, 512), (1, 1, 512, 512)),
    }


class MaskPolygons(Target):
    row, wanted = "mask_polygon, 64 polygons", 2
    measures = (mask_polygon,)

    def inputs(self) -> None:
        self.cube = self.input()
        self.polygons = polygons(self.cube, 64)

    def build(self) -> xr.DataArray:
        return mask_polygon(self.cube, self.polygons)

    def expected(self) -> Any:
        inside = shapely.union_all(_in_metres(self.cube, self.polygons))
        return self.cube.where(shapely.intersects_xy(inside, *np.meshgrid(self.cube.x.values, self.cube.y.values)))


class Mask(Target, masks.Mask):
    row, wanted = "mask", 2


class AggregateSixteenPolygons(Target):
    """In all, the peer taking nearly all of its time to build; the table has a column for that."""

    row, wanted, number_of_polygons = "aggregate_spatial, 16 polygons, mean", 5, 16
    measures = (aggregate_spatial,)

    def inputs(self) -> None:
        self.cube = self.input()
        self.polygons = polygons(self.cube, self.number_of_polygons)

    def build(self) -> xr.DataArray:
        return aggregate_spatial(self.cube, self.polygons, "mean").transpose("t", "bands", ...)

    def expected(self) -> Any:
        x, y = np.meshgrid(self.cube.x.values, self.cube.y.values)
        inside = np.stack([shapely.intersects_xy(shape, x, y) for shape in _in_metres(self.cube, self.polygons)])
        there = np.isfinite(self.cube.values)
        values = np.where(there, self.cube.values, 0).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a polygon without a pixel
            return np.einsum("tbyx,pyx->tbp", values, inside) / np.einsum("tbyx,pyx->tbp", there, inside.astype(float))


class AggregateSixtyFourPolygons(AggregateSixteenPolygons):
    row, number_of_polygons = "aggregate_spatial, 64 polygons, mean", 64


class FitHarmonics(curves.FitCurve):
    row, wanted = "fit_curve (harmonics), 2304 pixels × 24 dates", 20
    sizes: ClassVar[dict[str, Size]] = {**Suite.sizes, "targets": Size((24, 1, 48, 48), (24, 1, 24, 24))}


class Kernel(Target):
    row, wanted = "apply_kernel 5 × 5, planes of 4096², 268 MB", 2
    sizes: ClassVar[dict[str, Size]] = {**Suite.sizes, "targets": Size((4, 1, 4096, 4096), (1, 1, 4096, 4096))}
    kernel = np.outer([1, 4, 6, 4, 1], [1, 2, 3, 2, 1]) / 144
    measures = (apply_kernel,)

    def build(self) -> xr.DataArray:
        return apply_kernel(self.cube, self.kernel)

    def expected(self) -> Any:
        from scipy import ndimage

        values = np.nan_to_num(self.cube.values.astype(np.float64))
        return ndimage.correlate(values, self.kernel[None, None], mode="constant")


class ResampleToTwentyMetres(Target):
    row, wanted = "resample_spatial to 20 m, average", 5
    measures = (resample_spatial,)

    def build(self) -> xr.DataArray:
        return resample_spatial(self.cube, resolution=20, method="average")

    def expected(self) -> Any:
        return self.cube.coarsen(y=2, x=2).mean()


class ResampleToAnotherCrs(Target):
    row, wanted = "resample_spatial to another CRS, bilinear, 50 MB", 2
    sizes: ClassVar[dict[str, Size]] = {
        **Suite.sizes,
        "default": Size((4, 4, 256, 256), (1, 4, 128, 128)),
        "targets": Size((3, 4, 1024, 1024), (1, 4, 512, 512)),
    }
    measures = (resample_spatial,)

    def build(self) -> xr.DataArray:
        return resample_spatial(self.cube, resolution=10, projection=3035, method="bilinear")


class FiftyNodes(Target):
    row, wanted = "apply with 50 nodes", 1
    measures = (apply,)

    def build(self) -> xr.DataArray:
        nodes = {"n0": node("add", x=parameter("x"), y=1)}
        for number in range(1, 50):
            nodes[f"n{number}"] = node("add", x={"from_node": f"n{number - 1}"}, y=1, result=number == 49)
        return apply(self.cube, {"process_graph": nodes})

    def expected(self) -> Any:
        return self.cube + 50


class BandsByFiveNodes(Target):
    row, wanted = "reduce_dimension over bands, 5 nodes", 1
    measures = (reduce_dimension,)

    def build(self) -> xr.DataArray:
        data = parameter("data")
        nodes = {
            "red": node("array_element", data=data, index=2),
            "nir": node("array_element", data=data, index=3),
            "difference": node("subtract", x={"from_node": "nir"}, y={"from_node": "red"}),
            "sum": node("add", x={"from_node": "nir"}, y={"from_node": "red"}),
            "index": node("divide", x={"from_node": "difference"}, y={"from_node": "sum"}, result=True),
        }
        return reduce_dimension(self.cube, {"process_graph": nodes}, "bands")

    def expected(self) -> Any:
        red, nir = self.cube.isel(bands=2, drop=True), self.cube.isel(bands=3, drop=True)
        return (nir - red) / (nir + red)


class SpatialMedian(Target):
    row, wanted = "reduce_spatial (median)", 1
    measures = (reduce_spatial,)

    def build(self) -> xr.DataArray:
        return reduce_spatial(self.cube, "median")

    def expected(self) -> Any:
        return np.nanmedian(self.cube.values.astype(np.float64), axis=(2, 3))
