"""Benchmarks of process_implementations.cubes.load."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import rasterio
import rasterio.merge
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.load import (
    load_collection,
    load_stac,
    load_uploaded_files,
    load_url,
)

from .. import examples
from ..scenes import overlapping
from ..suite import Suite

BANDS = ["B04", "B08"]


class _Loading(Suite):
    """Two bands of all dates of the scene."""

    def inputs(self) -> None:
        self.scene = examples.scene("suites" if self.size == "default" else self.size)

    def expected(self) -> Any:
        return np.stack([[self.layer(f"{moment:%Y-%m-%d}", band) for band in BANDS] for moment in self.scene.moments])

    def layer(self, date: str, band: str) -> np.ndarray:
        with rasterio.open(self.scene.files[date, band]) as file:
            return file.read(1)


class LoadCollection(_Loading):
    """From a folder of cloud-optimized GeoTIFFs."""

    measures = (load_collection,)

    def build(self) -> xr.DataArray:
        return load_collection(str(self.scene.cogs), None, None, BANDS)


class LoadStac(_Loading):
    """From a static STAC catalogue."""

    measures = (load_stac,)

    def build(self) -> xr.DataArray:
        return load_stac(str(self.scene.catalog), None, None, BANDS)


class LoadStacOfASmallBox(LoadStac):
    """The middle tenth of rows and columns: what is read should be in proportion."""

    def build(self) -> xr.DataArray:
        return load_stac(str(self.scene.catalog), self.scene.extent(0.1), None, BANDS)

    def expected(self) -> Any:
        built = self.build()
        whole = load_stac(str(self.scene.catalog), None, None, BANDS)
        return whole.sel(y=built.y, x=built.x).compute(scheduler="threads")


class LoadStacMosaic(_Loading):
    """Four images of one instant that overlap: of those below only what is left is read."""

    measures = (load_stac,)

    def inputs(self) -> None:
        super().inputs()
        self.parts = overlapping(self.scene)

    def build(self) -> xr.DataArray:
        return load_stac(str(self.parts.catalog))

    def expected(self) -> Any:
        return np.asarray(rasterio.merge.merge(self.parts.files, nodata=0)[0])[None]


class LoadUploadedFiles(_Loading):
    """One band of all dates, from files that a user has brought."""

    measures = (load_uploaded_files,)

    def build(self) -> xr.DataArray:
        paths = [self.scene.files[f"{moment:%Y-%m-%d}", "B04"].name for moment in self.scene.moments]
        with dask.config.set({"openeo.uploads": str(self.scene.cogs)}):
            return load_uploaded_files(paths, "GTiff")

    def expected(self) -> Any:
        return super().expected()[:, :1]


class LoadUrl(_Loading):
    """One image, which is fetched and read at once."""

    measures = (load_url,)

    def build(self) -> xr.DataArray:
        path = self.scene.files[f"{self.scene.moments[0]:%Y-%m-%d}", "B04"]
        with dask.config.set({"openeo.load.schemes": ["file"]}):
            return load_url(path.as_uri(), "GTiff")

    def expected(self) -> Any:
        return super().expected()[:1, :1]
