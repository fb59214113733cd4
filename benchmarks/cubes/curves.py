"""Benchmarks of process_implementations.cubes.curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from openeo_processes_dask.process_implementations.cubes.curves import fit_curve, predict_curve

from ..suite import Suite

TURN = 2 * np.pi / 31557600  # a year in seconds
X = {"from_parameter": "x"}


def _node(process_id: str, **arguments: Any) -> dict[str, Any]:
    return {"process_id": process_id, "arguments": arguments}


def _of(name: str) -> dict[str, str]:
    return {"from_node": name}


def _element(index: int) -> dict[str, Any]:
    return _node("array_element", data={"from_parameter": "parameters"}, index=index)


HARMONIC = {
    "process_graph": {
        "angle": _node("multiply", x=X, y=TURN),
        **{f"p{i}": _element(i) for i in range(3)},
        "cosine": _node("cos", x=_of("angle")),
        "sine": _node("sin", x=_of("angle")),
        "a": _node("multiply", x=_of("p1"), y=_of("cosine")),
        "b": _node("multiply", x=_of("p2"), y=_of("sine")),
        "both": _node("add", x=_of("a"), y=_of("b")),
        "all": {**_node("add", x=_of("p0"), y=_of("both")), "result": True},
    }
}


def _columns(cube: xr.DataArray) -> np.ndarray:
    angle = TURN * cube.t.values.astype("datetime64[s]").astype(np.float64)
    return np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)


def _fitted(cube: xr.DataArray) -> np.ndarray:
    """The harmonics of each row by itself, by numpy."""
    columns, rows = _columns(cube), cube.values.reshape(cube.sizes["t"], -1).T
    out = np.full((len(rows), 3), np.nan)
    for found, row in zip(out, rows, strict=True):
        held = ~np.isnan(row)
        if held.sum() >= len(found):
            found[:] = np.linalg.lstsq(columns[held], row[held])[0]
    return out.T.reshape(3, *cube.shape[1:])


class FitCurve(Suite):
    """A mean and a wave of one year, which are linear in their parameters; time is cut."""

    measures = (fit_curve,)

    def build(self) -> xr.DataArray:
        return fit_curve(self.cube, [1, 1, 1], HARMONIC, dimension="t")

    def expected(self) -> np.ndarray:
        return _fitted(self.cube)


class PredictCurve(Suite):
    """A value a week for two years, of parameters in memory: blocks of at most four times their size."""

    measures = (predict_curve,)
    weeks = (np.datetime64("2024-01-01") + 7 * np.arange(104)).astype(str).tolist()

    def inputs(self) -> None:
        self.cube = self.input().isel(t=slice(0, 3)).rename(t="param").drop_vars("param")

    def build(self) -> xr.DataArray:
        return predict_curve(self.cube, HARMONIC, "t", self.weeks)

    def expected(self) -> np.ndarray:
        times = xr.DataArray(np.zeros(104), {"t": np.array(self.weeks, "datetime64[ns]")}, ("t",))
        return np.einsum("tp,p...->t...", _columns(times), self.cube.values.astype(np.float64))
