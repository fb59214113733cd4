"""Compare the results of workflows in two folders, value by value; and that there is nothing beside them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr


def values(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".json":
        return {
            "assets": np.array(list(json.loads(path.read_text())["assets"]))
        }  # a second run has other sums of bytes
    if path.suffix == ".tif":
        with rasterio.open(path) as file:
            return {"band": file.read(), "bounds": np.array(file.bounds)}
    opened = (
        xr.open_zarr(path, consolidated=False, chunks=None)
        if path.suffix == ".zarr"
        else xr.open_dataset(path, engine="h5netcdf")
    )
    with opened as file:
        return {str(name): variable.values for name, variable in file.variables.items()}


def main(one: Path, other: Path) -> None:
    names = sorted(path.name for path in other.iterdir())
    if not names or not set(names) <= {path.name for path in one.iterdir()}:
        raise SystemExit(f"{other} holds {names}")
    for name in names:
        wanted, given = values(one / name), values(other / name)
        assert wanted.keys() == given.keys(), name
        for part, array in wanted.items():
            np.testing.assert_array_equal(given[part], array, err_msg=f"{name}: {part}")
    sys.stdout.write(f"{len(names)} equal\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
