"""Layers of GeoTIFFs without a catalogue: dates and bands from their names and headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from openeo_processes_dask.exceptions import FileContentInvalid

from . import names
from .layers import Header, Layer, headers
from .request import Band, Request

ENDINGS = (".tif", ".tiff", ".jp2")


def rasters_in(folder: Path) -> list[Path]:
    """The raster files in a folder and its subfolders, in the order of their names."""
    found = (path for path in folder.rglob("*") if path.suffix.casefold() in ENDINGS and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def layers(paths: Sequence[Path], root: Path, request: Request) -> tuple[list[Layer], list[Band], tuple[int, int]]:
    """The layers that are asked for, their bands in order, and the rows and columns of a file's block.

    Raises
    ------
    FileContentInvalid
        If only some of the files have a date.
    NoDataAvailable
        If no date lies in the interval.
    """
    dated = {path: _date_in_path(path, root) for path in paths}
    # a date in the name spares the header, unless no file has one: then the headers may
    kept = [path for path in paths if (date := dated[path]) is None or request.keeps(date)]
    if not kept:
        raise request.nothing(str(root), f"none of the dates of {len(paths)} files lies")
    found = dict(zip(kept, headers((str(path), str(path)) for path in kept), strict=True))
    moments = {path: found[path].time if found[path].time is not None else dated[path] for path in kept}
    undated = [path for path, moment in moments.items() if moment is None]
    if undated and len(undated) < len(kept):
        raise FileContentInvalid(f"{undated[0]} has no date in its name, other files of {root} have one")
    if undated and (request.start is not None or request.end is not None):
        raise FileContentInvalid(f"{undated[0]} has no date in its name, so that {request.interval} says nothing")
    called = _band_names(kept, found)
    known = list(dict.fromkeys(Band(name) for path in kept for name in called[path]))
    bands = request.choose(known)
    wanted = {band.name for band in bands}
    made = [
        found[path].layer(name, moments[path], str(path), i)
        for path in kept
        if (moment := moments[path]) is None or request.keeps(moment)
        for i, name in enumerate(called[path])
        if name in wanted
    ]
    if not made:
        raise request.nothing(str(root), f"none of the dates of {len(paths)} files lies")
    return made, bands, next(iter(found.values())).block


def _date_in_path(path: Path, root: Path) -> np.datetime64 | None:
    """The date in a file's name, else in that of the nearest folder below the root."""
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    for part in (inside.stem, *(folder.name for folder in inside.parents)):
        if (moment := names.date_in(part)) is not None:
            return moment
    return None


def _band_names(paths: Sequence[Path], found: dict[Path, Header]) -> dict[Path, list[str]]:
    """By descriptions in the files where they tell bands apart, else by the files' names, else by number."""
    single = [path for path in paths if len(found[path].dtypes) == 1]
    by_name = dict(zip(single, names.bands_of([path.stem for path in single]), strict=True))
    described = {path: found[path].descriptions for path in paths}
    telling = Counter(description for path in single for description in described[path])
    vague = None in telling or len(telling) < len(set(by_name.values()))
    called = {}
    for path in paths:
        descriptions = described[path]
        if path in by_name:
            called[path] = [by_name[path] if vague else str(descriptions[0])]
        elif None not in descriptions and len(set(descriptions)) == len(descriptions):
            called[path] = [str(description) for description in descriptions]
        else:
            called[path] = [f"B{i}" for i in range(1, len(descriptions) + 1)]
    return called
