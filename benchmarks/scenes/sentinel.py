"""A Sentinel-2 scene on disk, made of real pixels: COGs under a STAC catalogue, the same as netCDF and as zarr."""

from __future__ import annotations

import dataclasses
import datetime as dt
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import folders
from .grid import EPSG, NORTH, RESOLUTION, TRANSFORM, WEST

if TYPE_CHECKING:
    from .catalogue import Entry
    from .pixels import Acquisition

COLLECTION = "sentinel-2"
NAMES = ("catalog.json", COLLECTION, "sentinel-2.nc", "sentinel-2.zarr")
DESCRIPTION = "Sentinel-2 sample of the Python package spyndex, mirrored; seasons, clouds and the swath are made up."
LAYOUT = 1  # to be raised whenever the same parameters would give other files
TILE = 256
FIRST_DAY = dt.datetime(2023, 4, 3, 10, 20, 31, tzinfo=dt.UTC)


@dataclasses.dataclass(frozen=True)
class Scene:
    """A folder with one COG per date and band, and what one needs to know of it."""

    folder: Path
    size: int
    moments: tuple[dt.datetime, ...]
    bands: tuple[str, ...]

    epsg = EPSG
    resolution = RESOLUTION
    transform = TRANSFORM
    nodata = 0

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.json"

    @property
    def collection(self) -> Path:
        return self.cogs / "collection.json"

    @property
    def cogs(self) -> Path:
        """The folder of GeoTIFFs alone (and the JSON beside them)."""
        return self.folder / COLLECTION

    @property
    def files(self) -> dict[tuple[str, str], Path]:
        """The COGs by date (YYYY-MM-DD) and band."""
        return {(f"{m:%Y-%m-%d}", band): self.cogs / _file(m, band) for m in self.moments for band in self.bands}

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north in metres."""
        return WEST, NORTH - self.size * RESOLUTION, WEST + self.size * RESOLUTION, NORTH

    def extent(self, share: float = 1.0) -> dict[str, float]:
        """Give the bounding box, in degrees, of the middle `share` of the scene in both directions."""
        import rasterio.warp

        west, south, east, north = self.bounds
        margin = (1 - share) / 2 * self.size * RESOLUTION
        inner = (west + margin, south + margin, east - margin, north - margin)
        box = rasterio.warp.transform_bounds(f"EPSG:{EPSG}", "EPSG:4326", *inner, densify_pts=21)
        return dict(zip(("west", "south", "east", "north"), box, strict=True))

    def netcdf(self) -> Path:
        """Give the same cube as one CF netCDF file, one variable per band; it is written when first asked for."""
        from . import cubes

        return folders.write_once(
            self.folder / f"{COLLECTION}.nc", lambda path: cubes.write_netcdf(path, self._layers(), DESCRIPTION)
        )

    def zarr(self) -> Path:
        """Give the same cube as one zarr store, one variable per band; it is written when first asked for."""
        from . import cubes

        return folders.write_once(
            self.folder / f"{COLLECTION}.zarr", lambda path: cubes.write_zarr(path, self._layers(), DESCRIPTION)
        )

    def _layers(self) -> dict[str, dict[dt.datetime, Path]]:
        times = {moment.replace(tzinfo=None): moment for moment in self.moments}  # CF times are UTC, unsaid
        return {band: {time: self.cogs / _file(m, band) for time, m in times.items()} for band in self.bands}


def sentinel2(folder: str | Path, *, size: int = 300, dates: int = 8, clouds: float = 0.2, seed: int = 0) -> Scene:
    """Write the scene into a folder, or find it there.

    Parameters
    ----------
    folder
        Gets `catalog.json` and the subfolder `sentinel-2` with the files `S2_YYYYMMDD_BAND.tif`.
    size
        Rows and columns of 10 m; the sample has 300, more are mirrored.
    dates
        Number of acquisitions, ten days apart from 3 April 2023 on; there is none in any June, so that an empty
        month lies between others.
    clouds
        Share of a date that clouds cover, on the average of many dates.
    seed
        Of the clouds.

    Raises
    ------
    ValueError
        `size` or `dates` is below 1, `clouds` not between 0 and 0.5.
    FileExistsError
        The folder holds something else.
    """
    size, dates = _whole("size", size), _whole("dates", dates)
    if not 0 <= clouds <= 0.5:
        raise ValueError(f"clouds is a share between 0 and 0.5, got {clouds!r}")
    from .pixels import LAYERS

    scene = Scene(Path(folder).absolute(), size, tuple(_moments(dates)), LAYERS)
    parameters = {"layout": LAYOUT, "size": size, "dates": dates, "clouds": clouds, "seed": seed}
    folders.write_folder(scene.folder, parameters, lambda target: _write(target, scene, clouds, seed), names=NAMES)
    return scene


def _whole(name: str, value: int) -> int:
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return number


def _moments(dates: int) -> Iterator[dt.datetime]:
    moment = FIRST_DAY
    while dates:
        if moment.month != 6:
            yield moment
            dates -= 1
        moment += dt.timedelta(days=10)


def _file(moment: dt.datetime, band: str) -> str:
    return f"S2_{moment:%Y%m%d}_{band}.tif"


def _write(target: Path, scene: Scene, clouds: float, seed: int) -> None:
    from .pixels import Acquisition

    (target / COLLECTION).mkdir()
    acquisitions = [Acquisition(i, m, scene.size, clouds, seed) for i, m in enumerate(scene.moments)]
    layers = ((acquisition, *layer) for acquisition in acquisitions for layer in acquisition.layers())
    total = len(acquisitions) * len(scene.bands)
    for acquisition, band, values in folders.progress(layers, total, f"writing the scene of {scene.size} pixels"):
        _write_cog(target / COLLECTION / _file(acquisition.moment, band), band, values, acquisition)
    _write_stac(target, scene)


def _write_cog(path: Path, band: str, values: Any, acquisition: Acquisition) -> None:
    import rasterio

    profile = {
        "driver": "COG",
        "count": 1,
        "height": values.shape[0],
        "width": values.shape[1],
        "dtype": values.dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": TRANSFORM,
        "nodata": 0,
        "blocksize": TILE,
        "compress": "deflate",
        "overview_resampling": "mode" if band == "SCL" else "average",
        "num_threads": "all_cpus",
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)
        file.set_band_description(1, band)
        file.update_tags(TIFFTAG_DATETIME=f"{acquisition.moment:%Y:%m:%d %H:%M:%S}")


def _write_stac(target: Path, scene: Scene) -> None:
    from . import catalogue

    reflective = {"B02": ("blue", 0.490), "B03": ("green", 0.560), "B04": ("red", 0.665), "B08": ("nir", 0.842)}
    bands = [catalogue.Band(name, "uint16", *about) for name, about in reflective.items()]
    bands.append(catalogue.Band("SCL", "uint8"))
    entries = [_entry(scene, moment) for moment in scene.moments]
    catalogue.write_catalogue(target, COLLECTION, DESCRIPTION, bands, entries, catalogue.CLOUD_OPTIMIZED)


def _entry(scene: Scene, moment: dt.datetime) -> Entry:
    from .catalogue import Entry

    hrefs = {band: f"./{_file(moment, band)}" for band in scene.bands}
    return Entry(f"S2_{moment:%Y%m%d}", moment, EPSG, scene.transform, (scene.size, scene.size), hrefs)
