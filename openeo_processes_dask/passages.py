"""How the values of a cube enter a child process and leave it: with gaps as NaN, and in which type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.expressions import Expression
from openeo_processes_dask.kernels import missing


@dataclass(frozen=True)
class Passage:
    """How values enter and leave a child process.

    An integer cube with a declared no-data value enters in floating point with NaN for its gaps. Where the child
    process makes integers of integers, its results leave as integers with the same no-data value; else as they are.
    """

    fill: Any
    exact: bool
    dtype: np.dtype

    @property
    def keeps_nodata(self) -> bool:
        """Whether the results have the no-data value of the cube."""
        return self.fill is not None and self.exact

    def enter(self, block: Any) -> Any:
        """A block of the cube as the child process sees it."""
        if self.fill is None:
            return block
        if block.dtype.kind == "f":
            return np.where(block == self.fill, block.dtype.type(np.nan), block)
        return missing.as_float(block, self.fill, self.exact)

    def leave(self, result: Any, shape: tuple[int, ...]) -> np.ndarray:
        """What the child process returned as a block of the result."""
        values = np.asarray(np.nan if result is None else result)
        if values.shape != shape:
            try:
                values = np.broadcast_to(values, shape)
            except ValueError:
                raise ProcessParameterInvalid(
                    f"the child process returned values of shape {values.shape} where {shape} is needed"
                ) from None
        if self.keeps_nodata and values.dtype.kind == "f":
            values = np.where(np.isnan(values), self.fill, values)
        if self.dtype.kind in "iu" and values.dtype.kind == "f":
            return _within(values, self.dtype)
        return values.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class Trial:
    """A child process that is tried in another way than on bare values."""

    expression: Expression
    run: Callable[[Mapping[str, np.ndarray]], Any]

    def constants(self) -> Iterator[Any]:
        return self.expression.constants()

    def __call__(self, values: Mapping[str, np.ndarray], **engine: Any) -> Any:
        return self.run(values)


def _within(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats as integers, at the limits of their type where they lie beyond them."""
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        whole = values.astype(dtype)
    for beyond, limit in ((values >= float(limits.max), limits.max), (values < float(limits.min), limits.min)):
        if beyond.any():
            whole[beyond] = limit
    return whole


def passage(
    expression: Expression | Trial, sizes: Mapping[str, tuple[tuple[int, ...], Any]], fill: Any, engine: Any
) -> Passage:
    """Find the type of the results by trying the child process on ones.

    `sizes` gives for each value its shape and type.

    Raises
    ------
    ProcessParameterInvalid
        If the child process uses a cube, whose blocks are not those that it runs on.
    """
    for value in expression.constants():
        if isinstance(value, (xr.DataArray, xr.Dataset, da.Array)):
            raise ProcessParameterInvalid(
                "a child process sees values, no cubes: bring the cube to the data with merge_cubes"
            )

    def tried(*, entered: bool) -> np.ndarray:
        ones = {name: np.ones(shape, dtype) for name, (shape, dtype) in sizes.items()}
        if entered:
            ones = {name: missing.as_float(values) for name, values in ones.items()}
        with np.errstate(all="ignore"):
            result = expression(ones, **engine)
        made = np.asarray(np.nan if result is None else result)
        return made.astype(object) if made.dtype.kind in "US" else made  # other texts may be longer

    first = tried(entered=False)
    integers = all(np.dtype(dtype).kind in "iu" for _, dtype in sizes.values())
    if fill is None or not integers:
        return Passage(fill if not integers else None, False, first.dtype)
    floating = tried(entered=True)
    if first.dtype.kind in "iu" and floating.dtype.kind == "f":
        return Passage(fill, True, first.dtype)
    return Passage(fill, False, floating.dtype)  # also where integers come of gaps, as from `count`
