"""Small cubes for the tests of processes on cubes."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import rioxarray  # noqa: F401  (makes .rio available)
import xarray as xr

DIMS = ("t", "bands", "y", "x")
BANDS = ["B02", "B04", "B08"]
AWKWARD = {"t": 3, "bands": 2, "y": 4, "x": 5}  # chunks that divide nothing


def values(shape: tuple[int, ...] = (7, 3, 6, 8), dtype: Any = "float32", gaps: float = 0.2) -> np.ndarray:
    """Random numbers with gaps: NaN, or 0 in integers; one row of time is all gaps."""
    rng = np.random.default_rng(7)
    made = rng.integers(1, 200, shape).astype(dtype) if np.dtype(dtype).kind in "iu" else rng.normal(size=shape)
    missing = rng.random(shape) < gaps
    missing[:, :, 0, 0] = True
    made = made.astype(dtype)
    made[missing] = 0 if np.dtype(dtype).kind in "iu" else np.nan
    return made


def cube(array: np.ndarray | None = None, chunks: Any = None, nodata: Any = None, **labels: Any) -> xr.DataArray:
    """A cube of (t, bands, y, x) in UTM with 10 m pixels and dates every ten days."""
    array = values() if array is None else array
    sizes = dict(zip(DIMS, array.shape, strict=True))
    coordinates = {
        "t": np.datetime64("2023-04-03", "ns") + np.arange(sizes["t"]) * np.timedelta64(10, "D"),
        "bands": BANDS[: sizes["bands"]],
        "y": 5_000_000 - 10.0 * np.arange(sizes["y"]) - 5,
        "x": 600_000 + 10.0 * np.arange(sizes["x"]) + 5,
        **labels,
    }
    made = xr.DataArray(array, dims=DIMS, coords=coordinates, attrs={"units": "1"}).rio.write_crs("EPSG:32632")
    if nodata is not None:
        made.attrs["nodata"] = nodata
    return made if chunks is None else made.chunk(chunks)


def gapped(array: np.ndarray, nodata: Any) -> np.ndarray:
    """The values in double precision, NaN where there is no-data."""
    out = array.astype(float)
    if nodata is not None:
        out[array == nodata] = np.nan
    return out


def tasks(lazy: Any) -> int:
    """The number of tasks of a collection after optimization."""
    (optimized,) = dask.optimize(lazy)
    return len(dict(optimized.__dask_graph__()))


def node(process_id: str, **arguments: Any) -> dict[str, Any]:
    """A node of a process graph."""
    return {"process_id": process_id, "arguments": arguments}


def child(**nodes: Any) -> dict[str, Any]:
    """A child process whose last node is its result."""
    nodes[list(nodes)[-1]]["result"] = True
    return {"process_graph": nodes}


def of(name: str) -> dict[str, str]:
    """A reference to a node."""
    return {"from_node": name}


def given(name: str) -> dict[str, str]:
    """A reference to a parameter."""
    return {"from_parameter": name}
