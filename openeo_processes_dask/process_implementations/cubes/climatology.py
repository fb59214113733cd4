"""Climatology: what is normal for a time of the year, and how far values are from it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask import blocks, dimensions
from openeo_processes_dask.arguments import instants
from openeo_processes_dask.callbacks import trace
from openeo_processes_dask.checking import checked
from openeo_processes_dask.declare import declare
from openeo_processes_dask.exceptions import IncompatibleDataCubes, ProcessParameterInvalid
from openeo_processes_dask.kernels import periods
from openeo_processes_dask.process_implementations.cubes.aggregate import aggregated
from openeo_processes_dask.process_implementations.math.arithmetic import subtract
from openeo_processes_dask.vocabulary import (
    ANOMALY_PERIODS,
    NORMAL_PERIODS,
    PERIODS,
    AnomalyPeriod,
    NormalPeriod,
    Scaling,
    TemporalCube,
    Years,
)

_WHOLE = "climatology-period"
_NORMAL_LABELS = {
    "day": [f"{day:03d}" for day in range(1, 366)],
    "month": [f"{month:02d}" for month in range(1, 13)],
    "season": ["djf", "mam", "jja", "son"],
    "tropical-season": ["ndjfma", "mjjaso"],
    _WHOLE: [_WHOLE],
}
_OVER_NEW_YEAR = {"season": (1, 3), "tropical-season": (2, 6)}  # months before January, and in all
_WRITTEN = {
    "hour": r"\d{4}-\d{2}-\d{2}-(\d{2})",
    "day": r"\d{4}-(\d{3})",
    **dict.fromkeys(("week", "dekad", "month"), r"\d{4}-(\d{2})"),
    **dict.fromkeys(("season", "tropical-season"), r"\d{4}-([a-z]+)"),
    **dict.fromkeys(("year", "decade", "decade-ad"), r"(\d{4})"),
}


@declare("cubes", "climatology", scaling=Scaling.TREE)
@checked
def climatological_normal(
    data: TemporalCube, period: NormalPeriod, climatology_period: Years = (1981, 2010)
) -> TemporalCube:
    """Mean of all years for each day, month or season of the year.

    Each day, month or season has a label, whatever the cube holds; one without values holds no-data. Gaps do not
    count. The 366th day of a year counts as its 365th. A season that begins in one year and ends in the next one
    belongs to the next: the first one counts only if the cube has its months before the first year, and the one that
    begins in the last year never does.
    """
    cube = dimensions.as_cube(data)
    name = dimensions.require_temporal(cube)
    if period not in NORMAL_PERIODS:
        raise ProcessParameterInvalid(f"no period {period!r} of normals; there are {', '.join(NORMAL_PERIODS)}")
    moments = instants(cube, name)
    counted = _counted(moments, period, *_years(climatology_period))
    if period == _WHOLE:
        found = np.full(len(moments), _WHOLE)
    else:
        found = np.array(_without_day_366(_times_of_year(moments, period), period))
    labels = _NORMAL_LABELS[period]
    groups = [np.flatnonzero(counted & (found == label)).tolist() for label in labels]
    return aggregated(cube, name, groups, list(labels), "mean", None)


@declare("climatology", "cubes", "math", scaling=Scaling.BLOCKWISE)
@checked
def anomaly(data: TemporalCube, normals: TemporalCube, period: AnomalyPeriod) -> TemporalCube:
    """Difference of values from what is normal for their time of the year.

    The labels of the data are those of `aggregate_temporal_period`, or instants. Each must have its normal; the 366th
    day of a year is compared with the 365th if it has none of its own. Integers give integers only if the normals
    are integers too.
    """
    cube, normal = dimensions.as_cube(data), dimensions.as_cube(normals)
    name, other = dimensions.require_temporal(cube), dimensions.require_temporal(normal)
    if period not in ANOMALY_PERIODS:
        raise ProcessParameterInvalid(f"no period {period!r}; there are {', '.join(ANOMALY_PERIODS)}")
    known = [str(label) for label in dimensions.json_labels(normal, other)]
    picked = normal.isel({other: _places(cube, name, known, period)}).drop_vars(other, errors="ignore")
    picked = _fitting(cube, picked.rename({other: name}), name)
    return blocks.combine(trace(subtract, "x", "y"), cube, picked)


def _years(given: Any) -> tuple[int, int]:
    years = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(years) != 2 or not all(isinstance(y, int) and not isinstance(y, bool) for y in years) or years[0] > years[1]:
        raise ProcessParameterInvalid(f"climatology_period must be a first and a last year, not {given!r}")
    return years[0], years[1]


def _counted(moments: np.ndarray, period: str, first: int, last: int) -> np.ndarray:
    """Which instants belong to the years, or to the seasons that end in them."""
    months = moments.astype("datetime64[M]")
    start, end = np.datetime64(f"{first:04d}", "M"), np.datetime64(f"{last + 1:04d}", "M")
    if period in _OVER_NEW_YEAR:
        before, length = _OVER_NEW_YEAR[period]
        whole = np.isin(start - np.arange(1, before + 1), months).all()
        start, end = start - before if whole else start + (length - before), end - before
    return (months >= start) & (months < end)


def _times_of_year(moments: np.ndarray, period: str) -> list[str]:
    """The time of the year of each instant, such as `06` for a month; a year is its own."""
    return [periods.label(int(number), period).rsplit("-", 1)[-1] for number in periods.numbers(moments, period)]


def _without_day_366(found: list[str], period: str) -> list[str]:
    return ["365" if one == "366" else one for one in found] if period == "day" else found


def _places(cube: xr.DataArray, name: str, known: list[str], period: str) -> list[int]:
    """For each label of the data the position of its normal."""
    if period not in PERIODS:
        if len(known) != 1:
            raise ProcessParameterInvalid(f"normals for {period!r} have one label, not {len(known)}")
        return [0] * cube.sizes[name]
    written = re.compile(_WRITTEN[period])
    labels = dimensions.json_labels(cube, name)
    matches = [written.fullmatch(str(label)) for label in labels]
    if all(matches):
        wanted = [match[1] for match in matches if match]
    else:
        wanted = _times_of_year(instants(cube, name), period)
    if "366" not in known:
        wanted = _without_day_366(wanted, period)
    at = {label: place for place, label in enumerate(known)}
    for label, one in zip(labels, wanted, strict=True):
        if one not in at:
            raise ProcessParameterInvalid(f"there is no normal {one!r} for {label!r} among {known[:12]}")
    return [at[one] for one in wanted]


def _fitting(cube: xr.DataArray, picked: xr.DataArray, name: str) -> xr.DataArray:
    """Normals that have the dimensions and labels of the data."""
    extra = [d for d in picked.dims if d not in cube.dims]
    if extra:
        raise IncompatibleDataCubes(f"the normals have dimensions {extra}, the data have {tuple(cube.dims)}")
    try:
        xr.align(cube, picked, join="exact", exclude=[name])
    except ValueError as error:
        raise IncompatibleDataCubes(f"the normals do not lie on the labels of the data: {error}") from error
    return picked.assign_coords({name: cube.coords[name].variable}) if name in cube.coords else picked
