"""A known address: the filter of bounding boxes, and the reprojection of their corners."""

from __future__ import annotations

from typing import Any

from openeo_processes_dask.arguments import bounding_box
from openeo_processes_dask.dimensions import parse_crs
from openeo_processes_dask.process_implementations.cubes.filter import filter_bands, filter_bbox, filter_temporal

__all__ = ["_reproject_bbox", "filter_bands", "filter_bbox", "filter_temporal"]


def _reproject_bbox(extent: Any, target_crs: Any) -> Any:
    """The box that encloses an extent in another CRS, as the public parser's BoundingBox."""
    from openeo_pg_parser_networkx.pg_schema import BoundingBox  # here, for the parser takes a second to import

    box = bounding_box(extent).to_crs(parse_crs(target_crs))
    return BoundingBox(west=box.west, south=box.south, east=box.east, north=box.north, crs=box.crs.to_wkt())
