"""Benchmarks of process_implementations.math.statistics."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from openeo_processes_dask.process_implementations.math import statistics  # noqa: F401  (declares what is measured)

from ..suite import Family

QUARTILES = [0.25, 0.5, 0.75]


def _gapped(reduce: Callable[..., Any]) -> Callable[[np.ndarray], Any]:
    """The reduction over time where a pixel has a value; a gap where it has none."""

    def over_time(x: np.ndarray) -> Any:
        return np.where(np.isnan(x).all(0), np.nan, reduce(x, axis=0))

    return over_time


PLAIN: dict[str, Callable[[np.ndarray], Any]] = {
    "count": lambda x: np.isfinite(x).sum(0),
    "extrema": lambda x: np.stack([np.nanmin(x, 0), np.nanmax(x, 0)], -1),
    "max": lambda x: np.nanmax(x, 0),
    "mean": lambda x: np.nanmean(x, 0),
    "median": lambda x: np.nanmedian(x, 0),
    "min": lambda x: np.nanmin(x, 0),
    "product": _gapped(np.nanprod),
    "quantiles": lambda x: np.moveaxis(np.nanquantile(x, QUARTILES, axis=0), 0, -1),
    "sd": lambda x: np.nanstd(x, 0, ddof=1),
    "sum": _gapped(np.nansum),
    "variance": lambda x: np.nanvar(x, 0, ddof=1),
}


class Statistics(Family):
    """Over time, which lies in several chunks: partial results meet, or the chunks themselves."""

    measures = tuple(PLAIN)

    def build(self, process: str) -> da.Array:
        arguments: dict[str, Any] = {"probabilities": QUARTILES} if process == "quantiles" else {}
        return self.process(process)(self.cube.data, axis=0, **arguments)

    def expected(self, process: str) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what numpy says of pixels without any value
            # wide, because the product of large numbers overflows float32 in one order and not in another
            return PLAIN[process](self.cube.data.astype("float64"))
