"""GeoTIFFs of one grid, date by date and band by band, as one CF netCDF file or one zarr store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import rasterio
import rasterio.windows
import xarray as xr

from .grid import centres, georeferenced

BLOCK = 1024
Files = Mapping[str, Mapping[dt.datetime, Path]]  # by band, then by time


class Layer:
    """What dask asks of an array, over one band of one file: a slice of it is read when it is asked for."""

    ndim = 2

    def __init__(self, path: Path):
        self.path = path
        with rasterio.open(path) as file:
            self.shape = file.shape
            self.dtype = np.dtype(file.dtypes[0])

    def __getitem__(self, slices: Any) -> np.ndarray:
        with rasterio.open(self.path) as file:
            return file.read(1, window=rasterio.windows.Window.from_slices(*slices, *self.shape))


def write_netcdf(path: Path, files: Files, title: str) -> None:
    """Write the cube as compressed netCDF."""
    cube = _dataset(files, title)
    for variable in cube.data_vars.values():
        variable.encoding.update(chunksizes=variable.data.chunksize, zlib=True)
    with dask.config.set(scheduler="threads"):
        cube.to_netcdf(path, engine="h5netcdf")


def write_zarr(path: Path, files: Files, title: str) -> None:
    """Write the cube as zarr 2, which every reader of the last years opens without a word."""
    with dask.config.set(scheduler="threads"):
        _dataset(files, title).to_zarr(path, zarr_format=2, consolidated=True)


def _dataset(files: Files, title: str) -> xr.Dataset:
    """Stack the files lazily, as the integers they hold: one variable per band over t, y and x."""
    variables = {}
    for band, paths in files.items():
        layers = [da.from_array(Layer(path), chunks=BLOCK, asarray=False) for path in paths.values()]
        variable = xr.DataArray(da.stack(layers), centres(*layers[0].shape), ("t", "y", "x"))
        variables[band] = georeferenced(variable.assign_coords(t=pd.DatetimeIndex(list(paths))))
        variables[band].attrs["long_name"] = band
        # named as a coordinate too, or readers that know nothing of grid mappings take it for a band
        variables[band].encoding.update(_FillValue=0, coordinates="spatial_ref")
    cube = xr.Dataset(variables, attrs={"Conventions": "CF-1.10", "title": title})
    cube["t"].attrs.update(standard_name="time", axis="T")
    cube["t"].encoding.update(units="seconds since 1970-01-01", dtype="int64")
    for axis in ("y", "x"):
        cube[axis].attrs.update(standard_name=f"projection_{axis}_coordinate", units="metre", axis=axis.upper())
    return cube
