"""The picture of what the workflows made of the real scene: a map, and a curve over the months."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr

RANGE = (0.0, 0.9)
COLOURS = "YlGn"


def draw(results: Path, path: Path) -> None:
    """Draw the composite and the monthly means that lie in a folder of results, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), width_ratios=(1.15, 1), layout="constrained")
    _map(left, results / "ndvi_composite.tif")
    _curve(right, results / "monthly_ndvi.nc")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _map(axes: Any, path: Path) -> None:
    with rasterio.open(path) as file:
        values, bounds = file.read(1, masked=True), file.bounds
    kilometres = [v / 1000 for v in (bounds.left, bounds.right, bounds.bottom, bounds.top)]
    west, south = kilometres[0], kilometres[2]
    extent = (0, kilometres[1] - west, 0, kilometres[3] - south)
    image = axes.imshow(values, cmap=COLOURS, vmin=RANGE[0], vmax=RANGE[1], extent=extent, interpolation="nearest")
    axes.set(title="Cloud-free composite: median NDVI", xlabel="km", ylabel="km")
    axes.figure.colorbar(image, ax=axes, shrink=0.9, label="NDVI")


def _curve(axes: Any, path: Path) -> None:
    with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as file:
        (name,) = [n for n, v in file.data_vars.items() if v.ndim == 3]
        values = file[name].load()
    labels = [str(label) for label in np.asarray(values[values.dims[0]])]
    rows = values.values.reshape(len(labels), -1)
    seen = [row[~np.isnan(row)] for row in rows]
    low, middle, high = np.array([np.percentile(row, [10, 50, 90]) if row.size else [np.nan] * 3 for row in seen]).T
    places = np.arange(len(labels))
    axes.fill_between(places, low, high, alpha=0.25, color="seagreen", label="10th to 90th percentile of pixels")
    axes.plot(places, middle, "o-", color="darkgreen", label="median of pixels")
    axes.set(title="Monthly means, clouds included", ylabel="NDVI", xticks=places)
    axes.set_xticks(places, labels, rotation=45)
    axes.set_ylim(*RANGE)
    axes.legend(frameon=False, loc="upper left")
