"""Filtering: some labels stay, the others go; values are not touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
import xarray as xr

from openeo_processes_dask import dimensions, geometries, turns, vectors
from openeo_processes_dask.arguments import Box, bounding_box, instants, interval
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import BandFilterParameterMissing, CRSInvalid, ProcessParameterInvalid
from openeo_processes_dask.process_implementations.cubes.mask import replaced
from openeo_processes_dask.vocabulary import (
    RELATIONS,
    Anything,
    BandCube,
    BandNames,
    BoundingBox,
    Cube,
    DimensionName,
    Geometries,
    Interval,
    LabelCondition,
    OptionalDimensionName,
    RasterCube,
    RasterOrVectorCube,
    Relation,
    Scaling,
    TemporalCube,
    VectorCube,
    Wavelengths,
)

_KINDS = (*geometries.POINTS, *geometries.LINES, *geometries.POLYGONS)
WAVELENGTH = "center_wavelength"  # the coordinate along bands that holds their wavelengths in micrometres


@declare("cubes", "filter", scaling=Scaling.BLOCKWISE)
@checked
def filter_bands(data: BandCube, bands: BandNames = (), wavelengths: Wavelengths = ()) -> BandCube:
    """Keep bands by name, common name or wavelength, in the order in which they are asked for.

    A name goes before a common name. Names that no band answers to are passed over, so the result may be empty.
    Wavelengths are compared with the coordinate `center_wavelength` in micrometres, ends included.

    Raises
    ------
    BandFilterParameterMissing
        If neither bands nor wavelengths are given.
    DimensionMissing
        If there is no dimension of bands.
    """
    cube = dimensions.as_cube(data)
    if not len(bands or ()) and not len(wavelengths or ()):
        raise BandFilterParameterMissing("give bands or wavelengths to filter by")
    dimension = dimensions.require_bands(cube)
    found: list[int] = []
    for name in bands or ():
        found += dimensions.band_positions(cube, dimension, name)
    for lowest, highest in wavelengths or ():
        if WAVELENGTH in cube.coords:
            known = cube.coords[WAVELENGTH].values
            found += np.flatnonzero((known >= lowest) & (known <= highest)).tolist()
    return cube.isel({dimension: list(dict.fromkeys(found))})


@declare("cubes", "filter", scaling=Scaling.BLOCKWISE)
@checked
def filter_bbox(data: RasterOrVectorCube, extent: BoundingBox) -> RasterOrVectorCube:
    """Keep the pixels whose centres lie in a bounding box or on its edge, or the geometries that lie wholly in it.

    For pixels, a box in another CRS than the cube's is replaced by the box that encloses it there; geometries are
    brought to the CRS of the box. Without any pixel or geometry inside the result is empty. In longitude and latitude
    a box may lie across the antimeridian or where the cube's longitudes begin again: what lies on both sides comes
    beside each other, with longitudes that go on.
    """
    cube = dimensions.as_cube(data)
    box = bounding_box(extent)
    if dimensions.of_role(cube, "geometry") and dimensions.x_dim(cube) is None:
        return _geometries_within(vectors.as_cube(cube), box)
    y, x = dimensions.require_spatial(cube)
    crs = dimensions.crs(cube)
    if crs is not None:
        box = box.to_crs(crs)
        if not np.isfinite([box.west, box.south, box.east, box.north]).all():
            raise ProcessParameterInvalid(f"the bounding box {extent} cannot be brought to {crs.name}")
    elif isinstance(extent, dict) and extent.get("crs") is not None:
        raise CRSInvalid(f"the cube has no CRS to compare with the box in {extent['crs']!r}")
    elif box.west > box.east:
        raise ProcessParameterInvalid(f"the cube has no CRS, so that {extent} has its sides the wrong way round")
    return _pixels_within(cube.isel({y: _between(cube, y, box.south, box.north)}), x, box, crs)


@declare("cubes", "filter", scaling=Scaling.BLOCKWISE)
@checked
def filter_labels(data: Cube, condition: LabelCondition, dimension: DimensionName, context: Anything = None) -> Cube:
    """Keep the labels of a dimension for which a condition is true.

    The condition is asked once for each label while the graph is built; values are not looked at. It sees instants
    as texts in UTC and geometries as WKT.

    Raises
    ------
    DimensionNotAvailable
        If there is no such dimension.
    """
    cube = dimensions.as_cube(data)
    dimensions.require(cube, dimension)
    holds = trace(condition, "value", context=context)
    known = dimensions.json_labels(cube, dimension)
    kept = np.array([_is_true(holds({"value": label})) for label in known], bool)
    return cube.isel({dimension: dimensions.positions(kept)})


@declare("cubes", "filter", scaling=Scaling.BLOCKWISE)
@checked
def filter_spatial(data: RasterCube, geometries: Geometries) -> RasterCube:
    """Keep the pixels that geometries cover: those around them go, those between them become no-data.

    Polygons cover the pixels whose centres lie in them or on their edges, points the pixel they lie in, lines those
    they run through. Geometries without a CRS of their own are in longitude and latitude. The result is as wide
    and high as the pixels that are kept, and empty if there are none: which rows and columns these are is found while
    the graph is built, from the outlines of those geometries that reach farthest; the pixels are found in tasks.
    Integers without a declared no-data value become floating point.
    """
    cube = dimensions.as_cube(data)
    y, x = dimensions.require_spatial(cube)
    if not cube.sizes[y] or not cube.sizes[x]:
        return cube
    return _under(geometries, cube, y, x)


@declare("cubes", "filter", scaling=Scaling.BLOCKWISE)
@checked
def filter_temporal(data: TemporalCube, extent: Interval, dimension: OptionalDimensionName = None) -> TemporalCube:
    """Keep what lies in an interval of time, whose start belongs to it and whose end does not.

    Without a dimension all temporal ones are filtered. Nothing in the interval gives an empty dimension.

    Raises
    ------
    DimensionNotAvailable
        If the named dimension does not exist, or there is no temporal one.
    TemporalExtentEmpty
        If the interval does not end after its start.
    """
    cube = dimensions.as_cube(data)
    start, end = interval(extent)
    if dimension is not None:
        names: tuple[str, ...] = (dimensions.require(cube, dimension),)
    else:
        names = dimensions.of_role(cube, "temporal") or (dimensions.require_temporal(cube),)
    for name in names:
        moments = instants(cube, name)
        inside = np.ones(moments.shape, bool)
        if start is not None:
            inside &= moments >= start
        if end is not None:
            inside &= moments < end
        cube = cube.isel({name: dimensions.positions(inside)})
    return cube


@declare("cubes", "filter", "vector", scaling=Scaling.BLOCKWISE, experimental=True)
@checked
def filter_vector(data: VectorCube, geometries: VectorCube, relation: Relation = "intersects") -> VectorCube:
    """Keep the geometries to which others, the base, have a relation.

    The relation reads from the base to the geometry: with `contains` those stay that lie in the base, with `within`
    those that the base lies in. Several base geometries count as their union, brought to the CRS of the data. Empty
    geometries go.
    """
    if relation not in RELATIONS:
        raise ProcessParameterInvalid(f"relation must be one of {', '.join(RELATIONS)}, not {relation!r}")
    cube = vectors.as_cube(data)
    given, base = vectors.read(cube, "data"), vectors.read(geometries)
    target = given.crs or vectors.LONGITUDE_LATITUDE
    shapes = vectors.reprojected(base.shapes, base.crs, target)
    whole = shapely.union_all(shapely.make_valid(shapes[~shapely.is_empty(shapes)]))
    shapely.prepare(whole)
    kept = getattr(shapely, relation)(whole, shapely.make_valid(given.shapes)) & ~shapely.is_empty(given.shapes)
    return cube.isel({given.dimension: dimensions.positions(kept)})


def _pixels_within(cube: xr.DataArray, x: str, box: Box, crs: Any) -> xr.DataArray:
    """The columns of a cube whose centres lie between the west and the east of a box, however often it turns."""
    if turns.turn(crs) is None or not cube.sizes[x] or x not in cube.coords:
        return cube.isel({x: _between(cube, x, box.west, box.east)})
    straight, labels = turns.straight(box), np.asarray(cube[x].values, float)
    found = []
    for offset in turns.offsets(box, float(labels.min()), float(labels.max())):
        where = _between(cube, x, straight.west - offset, straight.east - offset)
        if cube[x][where].size:
            found.append((offset, cube.isel({x: where})))
    return turns.joined(found, x, crs) if found else cube.isel({x: slice(0, 0)})


def _geometries_within(cube: xr.DataArray, box: Box) -> xr.DataArray:
    """The vector cube of the geometries that lie wholly in a box; empty ones do not."""
    given = vectors.read(cube, "data")
    shapes = vectors.reprojected(given.shapes, given.crs, box.crs)
    box = turns.straight(box)
    offsets = turns.offsets(box, *turns.reach(shapes))
    boxes = [shapely.box(box.west - one, box.south, box.east - one, box.north) for one in offsets]
    kept = shapely.within(shapely.make_valid(shapes), shapely.union_all(boxes))
    return cube.isel({given.dimension: dimensions.positions(kept)})


def _under(given: Any, cube: xr.DataArray, y: str, x: str) -> xr.DataArray:
    """The pixels under geometries; here no parameter hides the module."""
    found = geometries.of(given, cube, _KINDS)
    window = geometries.extent(found)
    if window is None:
        return cube.isel({y: slice(0, 0), x: slice(0, 0)})
    top, bottom, left, right = window
    cropped = cube.isel({y: slice(top, bottom), x: slice(left, right)})
    return replaced(cropped, geometries.burned(found, cropped, (top, left)))


def _is_true(answer: Any) -> bool:
    """Whether a condition holds: nothing but true does, neither no-data nor a number."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def _between(cube: xr.DataArray, dimension: str, lowest: float, highest: float) -> Any:
    """The positions of labels in a closed range, with room for rounding of a millionth of a step."""
    centres = np.asarray(cube.coords[dimension].values if dimension in cube.coords else [], dtype=float)
    if centres.size != cube.sizes[dimension]:
        raise ProcessParameterInvalid(f"dimension {dimension!r} has no coordinates to compare with the box")
    room = 1e-6 * abs(centres[1] - centres[0]) if centres.size > 1 else 0.0
    above, below = centres >= lowest - room, centres <= highest + room
    return dimensions.positions(above & below)
