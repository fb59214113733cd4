"""Pixels of one grid from pixels of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from openeo_processes_dask.kernels import missing, sorting, statistics, warping

GDAL_TYPES = {"bool": "uint8", "float16": "float32"}  # what stands for the types that GDAL does not know
GDAL_NAMES = {"near": "nearest", "cubicspline": "cubic_spline"}
# half the width of each method's kernel, in source pixels; the others look at what lies under a target pixel
RADIUS = {"near": 1, "bilinear": 1, "cubic": 2, "cubicspline": 2, "lanczos": 3}
MIXING = frozenset({"bilinear", "cubic", "cubicspline", "lanczos"})  # these mix the nearest source pixel with others
MOST_PLANES = 64  # warped together
TOLERANCE = 1e-6  # of a pixel: GDAL else interpolates coordinates, differently in each block


@dataclass(frozen=True)
class Warp:
    """How pixels are warped: CRSs, method, the no-data value, and target pixels per source pixel."""

    source_crs: str | None
    target_crs: str | None
    method: str
    fill: Any
    scale: tuple[float, float]

    @property
    def radius(self) -> int:
        """How many source pixels around its own a target pixel needs."""
        return RADIUS.get(self.method, 1)

    def gap(self, dtype: Any) -> Any:
        """What stands where the source has nothing."""
        if self.fill is not None:
            return self.fill
        return np.nan if np.dtype(dtype).kind == "f" else 0


def warp(data: np.ndarray, source: Affine, target: Affine, shape: tuple[int, int], way: Warp) -> np.ndarray:
    """Values (..., y, x) on another grid of a given shape; each plane has its own gaps.

    Planes are warped together, so that where a pixel comes from is computed once for all of them.
    """
    planes = data.reshape(-1, *data.shape[-2:])
    out = np.empty((len(planes), *shape), data.dtype)
    for start in range(0, len(planes), MOST_PLANES):
        some, results = planes[start : start + MOST_PLANES], out[start : start + MOST_PLANES]
        _warp_planes(some, results, source, target, way)
        if way.method in MIXING and len(some) > 1:
            # GDAL leaves out a pixel of one plane whose nearest is a gap, but among several planes fills it
            nearest = np.empty_like(results)
            _warp_planes(some, nearest, source, target, replace(way, method="near"))
            gap = way.gap(results.dtype)
            np.copyto(results, gap, where=np.isnan(nearest) if gap != gap else nearest == gap)
    return out.reshape(*data.shape[:-2], *shape)


def _warp_planes(planes: np.ndarray, results: np.ndarray, source: Affine, target: Affine, way: Warp) -> None:
    kept = planes.astype(GDAL_TYPES.get(planes.dtype.name, planes.dtype), copy=False)
    local = "EPSG:3857"  # a cube without CRS is warped in the plane it lies in
    gap = way.gap(kept.dtype)
    profile = {
        "driver": "GTiff",
        "interleave": "band",
        "count": planes.shape[0],
        "height": planes.shape[1],
        "width": planes.shape[2],
        "dtype": kept.dtype,
        "crs": way.source_crs or local,
        "transform": source,
        "nodata": gap if way.fill is not None or kept.dtype.kind == "f" else None,
    }
    with rasterio.Env(GDAL_NUM_THREADS=1), MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(kept)
        with (
            memory.open() as dataset,
            WarpedVRT(
                dataset,
                crs=way.target_crs or way.source_crs or local,
                transform=target,
                height=results.shape[1],
                width=results.shape[2],
                resampling=Resampling[GDAL_NAMES.get(way.method, way.method)],
                tolerance=TOLERANCE,
                nodata=gap,
                XSCALE=str(way.scale[0]),
                YSCALE=str(way.scale[1]),
                UNIFIED_SRC_NODATA="NO",
            ) as warped,
        ):
            results[...] = warped.read()


def warp_parts(
    parts: list[list[np.ndarray]],
    crop: tuple[tuple[int, int], tuple[int, int]],
    dtype: np.dtype,
    source: Affine,
    target: Affine,
    shape: tuple[int, int],
    way: Warp,
) -> np.ndarray:
    """Values of one target block from the source blocks under it, cut to what it needs."""
    return warp(warping.cropped(parts, crop, dtype), source, target, shape, way)


COARSENED = {
    "average": statistics.MEAN,
    "min": statistics.MIN[True],
    "max": statistics.MAX[True],
    "sum": statistics.SUM,
    "med": sorting.MEDIAN,
}


def coarsen(data: np.ndarray, factors: tuple[int, int], method: str, fill: Any = None) -> np.ndarray:
    """One value of each tile of (y, x) factors pixels; tiles at the end may be smaller, gaps do not count."""
    keeps = method in ("min", "max") and data.dtype.kind != "f"
    values = missing.as_float(data, fill)
    fy, fx = factors
    height, width = values.shape[-2:]
    if height % fy or width % fx:
        room = [(0, 0)] * (values.ndim - 2) + [(0, -height % fy), (0, -width % fx)]
        values = np.pad(values, room, constant_values=np.nan)
    rows, columns = values.shape[-2] // fy, values.shape[-1] // fx
    tiles = np.moveaxis(values.reshape(*values.shape[:-2], rows, fy, columns, fx), -3, -2)
    flat = tiles.reshape(*tiles.shape[:-2], fy * fx)
    with np.errstate(all="ignore"):
        result = np.squeeze(COARSENED[method].whole(flat, flat.ndim - 1, True), -1)
    if not keeps:
        return result.astype(missing.float_of(data.dtype), copy=False)
    return np.where(np.isnan(result), data.dtype.type(0 if fill is None else fill), result).astype(data.dtype)
