"""Indices that are computed from bands."""

from __future__ import annotations

import xarray as xr

from openeo_processes_dask import blocks, dimensions
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import BandExists, DimensionAmbiguous, NirBandAmbiguous, RedBandAmbiguous
from openeo_processes_dask.expressions import Expression, Node, Parameter, Ref
from openeo_processes_dask.process_implementations.arrays.finding import array_element
from openeo_processes_dask.process_implementations.cubes.merge import merge_cubes
from openeo_processes_dask.process_implementations.math.arithmetic import normalized_difference
from openeo_processes_dask.vocabulary import BandName, NewBandName, RasterBandCube, RasterCube, Scaling


@declare("cubes", "math > indices", "vegetation indices", scaling=Scaling.BLOCKWISE)
@checked
def ndvi(
    data: RasterBandCube, nir: BandName = "nir", red: BandName = "red", target_band: NewBandName = None
) -> RasterCube:
    """Normalized Difference Vegetation Index: (nir - red) / (nir + red).

    Bands are found by name, then by common name. Bands in one chunk cost one task per block. Integers, unsigned
    ones too, give floating point with NaN for gaps.

    Raises
    ------
    NirBandAmbiguous
        If no band, or more than one, answers to `nir`.
    RedBandAmbiguous
        If no band, or more than one, answers to `red`.
    DimensionAmbiguous
        If there is no dimension of bands, or more than one.
    BandExists
        If a band is named like the target band.
    """
    cube = dimensions.as_cube(data)
    found = dimensions.of_role(cube, "bands")
    if len(found) != 1:
        raise DimensionAmbiguous(f"one dimension of bands is needed among {tuple(cube.dims)}, there are {found}")
    bands = found[0]
    at = {
        "x": _position(cube, bands, nir, NirBandAmbiguous),
        "y": _position(cube, bands, red, RedBandAmbiguous),
    }
    if target_band is not None and target_band in dimensions.labels(cube, bands):
        raise BandExists(f"there is a band {target_band!r} among {dimensions.labels(cube, bands)}")
    picks = [Node(array_element, {"data": Parameter("data"), "index": at[side]}) for side in ("x", "y")]
    difference = Node(normalized_difference, {"x": Ref(0), "y": Ref(1)})
    index = blocks.reduce(Expression((*picks, difference), Ref(2)), cube, bands)
    if target_band is None:
        return index
    band = index.expand_dims({bands: [target_band]}, axis=cube.get_axis_num(bands))
    return merge_cubes(blocks.without_nodata(cube), dimensions.with_role(band, bands, "bands"))


def _position(
    cube: xr.DataArray, bands: str, name: str, problem: type[NirBandAmbiguous] | type[RedBandAmbiguous]
) -> int:
    found = dimensions.band_positions(cube, bands, name)
    if len(found) != 1:
        answer = "several bands answer" if found else "no band answers"
        raise problem(f"{answer} to {name!r} among {dimensions.labels(cube, bands)}")
    return found[0]
