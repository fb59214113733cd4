"""The options of the file formats: what they are called, what they may be and what they are by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from openeo_processes_dask.arguments import plain
from openeo_processes_dask.exceptions import FormatUnsupported, ProcessParameterInvalid


@dataclass(frozen=True)
class Option:
    """One option; its values are those of a tuple or range, or of the type of its default."""

    default: Any
    values: tuple[Any, ...] | range | None = None

    def accepts(self, value: Any) -> bool:
        """Whether this is one of the values."""
        if self.values is not None:
            return not isinstance(value, bool) and value in self.values
        return value is None if self.default is None else isinstance(value, type(self.default))

    @property
    def words(self) -> str:
        """The values in words."""
        if isinstance(self.values, range):
            step = f" in steps of {self.values.step}" if self.values.step > 1 else ""
            return f"a whole number from {self.values[0]} to {self.values[-1]}{step}"
        if self.values is not None:
            return "one of " + ", ".join(map(repr, self.values))
        return {bool: "true or false", str: "a text"}[type(self.default)]


@dataclass(frozen=True)
class Format:
    """A file format by its name, and its options beside `path`, `overwrite` and `stac`, which all have."""

    name: str
    suffix: str
    media_type: str
    own: Mapping[str, Option]

    @property
    def options(self) -> dict[str, Option]:
        """All options by their names."""
        shared = {"path": Option("result" + self.suffix), "overwrite": Option(False), "stac": Option(True)}
        return {**shared, **self.own}

    def read(self, given: Any) -> dict[str, Any]:
        """The value of each option: what is given, else the default.

        Raises
        ------
        ProcessParameterInvalid
            If an option is not known or has a value that it cannot take.
        """
        given = plain(given)
        if not isinstance(given, Mapping):
            raise ProcessParameterInvalid(f"options is an object, not {given!r}")
        options = self.options
        if unknown := [name for name in given if name not in options]:
            raise ProcessParameterInvalid(f"{self.name} has no option {unknown[0]!r}; it has {', '.join(options)}")
        for name, value in given.items():
            if not options[name].accepts(value):
                raise ProcessParameterInvalid(f"{self.name}: {name} is {options[name].words}, not {value!r}")
        return {name: given.get(name, option.default) for name, option in options.items()}


_TIFF = {
    "compression": Option("deflate", ("deflate", "lzw", "zstd", "none")),
    "blocksize": Option(512, range(16, 4097, 16)),
}
_RESAMPLING = ("nearest", "average", "bilinear", "cubic", "mode", "none")

FORMATS = {
    one.name.casefold(): one
    for one in (
        Format("GTiff", ".tif", "image/tiff; application=geotiff", _TIFF),
        Format(
            "COG",
            ".tif",
            "image/tiff; application=geotiff; profile=cloud-optimized",
            {**_TIFF, "overviews": Option("nearest", _RESAMPLING)},
        ),
        Format("netCDF", ".nc", "application/x-netcdf", {"compression": Option(1, range(10))}),
        Format("PNG", ".png", "image/png", {"compression": Option(6, range(1, 10))}),
        Format("JSON", ".json", "application/json", {}),
        Format("GeoJSON", ".geojson", "application/geo+json", {}),
        Format("GeoParquet", ".parquet", "application/vnd.apache.parquet", {}),
        Format("CSV", ".csv", "text/csv", {}),
        Format("Zarr", ".zarr", "application/vnd+zarr", {"compression": Option("zstd", ("zstd", "none"))}),
    )
}


def lone_name(cube: xr.DataArray) -> str:
    """What the only band of a cube without a dimension of bands is called."""
    return "data" if cube.name is None else str(cube.name)


def named(name: Any) -> Format:
    """The format of a name, in upper or lower case.

    Raises
    ------
    FormatUnsupported
        If there is none.
    """
    found = FORMATS.get(name.casefold()) if isinstance(name, str) else None
    if found is None:
        raise FormatUnsupported(f"no format {name!r}; there are {', '.join(one.name for one in FORMATS.values())}")
    return found
