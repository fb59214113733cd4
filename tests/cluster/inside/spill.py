"""Save a cube whose blocks lie on one worker, more than it keeps in memory, so that it must spill them.

Prints `right` and what was saved, or `error` and what the save was ended with. What is in the folder tells the rest.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import dask
import dask.array as da
import distributed
import numpy as np
import rioxarray  # noqa: F401  (brings .rio)
import xarray as xr

from benchmarks import metrics
from openeo_processes_dask.exceptions import OpenEOException
from openeo_processes_dask.process_implementations import save_result

SHAPE = (1, 2500, 4000)  # of each block, a byte a value
SHARE = 0.62  # of the memory: it spills at 0.6 and pauses at 0.8, and its modules take 0.15
PATIENCE = 30  # seconds in which a worker that can spill has all blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()

    def block(number: int) -> np.ndarray:
        return np.full(SHAPE, number % 251, dtype="uint8")

    with distributed.Client(os.environ["DASK_SCHEDULER"], timeout=20) as client:
        address, worker = sorted(metrics.workers(client).items())[0]
        count = int(SHARE * worker["memory_limit"] / np.prod(SHAPE))
        held = client.map(block, range(count), workers=[address], pure=False)
        try:
            distributed.wait(held, timeout=PATIENCE)
            how = "all held"
        except TimeoutError:
            how = f"{sum(future.done() for future in held)} of {count} held"
        blocks = [da.from_delayed(dask.delayed(future), SHAPE, "uint8") for future in held]
        labels = {"t": np.datetime64("2026-01-01", "ns") + np.arange(count) * np.timedelta64(1, "D")}
        labels |= {"y": np.arange(SHAPE[1])[::-1] * 10.0, "x": np.arange(SHAPE[2]) * 10.0}
        cube = xr.DataArray(da.concatenate(blocks), dims=["t", "y", "x"], coords=labels).rio.write_crs(32632)
        with dask.config.set({"openeo.save.standstill": "20s"}):
            try:
                save_result(cube, "Zarr", {"path": str((asked.folder / "held.zarr").absolute())})
            except OpenEOException as error:
                sys.stdout.write(f"error: {error}; {how}\n")
                return
        saved = xr.open_zarr(asked.folder / "held.zarr", mask_and_scale=False, consolidated=False)
        (name,) = [name for name, one in saved.data_vars.items() if one.dims == ("t", "y", "x")]
        ends = (saved[name].min(("y", "x")), saved[name].max(("y", "x")))
        for end in dask.compute(*ends, scheduler="threads"):  # here: workers are slow, and one of them is full
            assert (end == np.arange(count) % 251).all()
        sys.stdout.write(f"right: {count} blocks of {np.prod(SHAPE)} bytes, {how}\n")


if __name__ == "__main__":
    main()
