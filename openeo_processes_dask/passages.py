"""How the values of a cube enter a child process and leave it: with gaps as NaN, and in which type.

An integer cube with a declared no-data value enters in floating point with NaN for its gaps. How it leaves:

- what makes floats of integers leaves in floats, with NaN for gaps;
- what only chooses among the values (smallest, largest, first, last, an element, an order) leaves in the type of the
  cube, with its no-data value, for no value that is chosen can be mistaken for a gap;
- what computes integers value by value leaves in integers with the cube's no-data value if none of its results can be
  that value: all values of types of up to 16 bits are tried, and of others those up to 2¹⁶ and where, beyond, the
  results cross it. So ten times a cube keeps 255 for its gaps; a cube less itself does not keep 0 for them;
- what else computes integers, such as sums, leaves in float64 with NaN for gaps, which holds integers up to 2⁵³.

Integers without a declared no-data value have no gaps, so integers stay integers, but for the groups that are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask.declare import declared
from openeo_processes_dask.exceptions import ProcessParameterInvalid
from openeo_processes_dask.expressions import Expression, Parameter, Ref
from openeo_processes_dask.kernels import missing
from openeo_processes_dask.vocabulary import Scaling

# What returns some of the values it gets, and computes none.
CHOOSING = frozenset(
    ["array_element", "cummax", "cummin", "extrema", "first", "last", "max", "min", "rearrange", "sort"]
)
MOST_TRIED = 2**16  # up to here all integers are tried, beyond so many
FAR = 4096


@dataclass(frozen=True)
class Passage:
    """How values enter and leave a child process.

    `fill` is the no-data value, `exact` asks for float64 on entering, `dtype` is the type of the results, and `whole`
    says that those are integers again, with the same no-data value.
    """

    fill: Any
    exact: bool
    dtype: np.dtype
    whole: bool = False

    @property
    def keeps_nodata(self) -> bool:
        """Whether the results have the no-data value of the cube."""
        return self.fill is not None and self.whole

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
        elif self.dtype.kind in "biu" and values.dtype.kind == "f" and np.isnan(values).any():
            raise ProcessParameterInvalid(
                f"the child process returned no-data, which {self.dtype} cannot hold; of ones it returned none"
            )
        if self.dtype.kind in "iu" and values.dtype.kind == "f":
            return _within(values, self.dtype)
        return values.astype(self.dtype, copy=False)

    def with_nothing(self, expression: Expression, shape: tuple[int, ...], dtype: Any, engine: Any) -> Passage:
        """The same for rows that may be empty too, of which a shape is given: their results may be gaps."""
        if self.dtype.kind not in "biu" or self.whole:
            return self
        found = _tried(expression, {"data": self.enter(np.ones(shape, dtype))}, {**engine, "dim_labels": []})
        gap = missing.gaps(found)
        return replace(self, dtype=np.dtype(np.float64)) if gap is not None and gap.any() else self


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

    ones = {name: np.ones(shape, dtype) for name, (shape, dtype) in sizes.items()}
    first = _tried(expression, ones, engine)
    integers = all(np.dtype(dtype).kind in "iu" for _, dtype in sizes.values())
    if fill is None or not integers:
        return Passage(fill if not integers else None, False, first.dtype)
    exact = first.dtype.kind in "iu"
    floating = _tried(expression, {name: missing.as_float(v, exact=exact) for name, v in ones.items()}, engine)
    if not exact or floating.dtype.kind != "f":
        return Passage(fill, False, floating.dtype)  # also where integers come of gaps, as from `count`
    program = expression.expression if isinstance(expression, Trial) else expression
    kept = _chooses(program) or not _meets(program, fill, sizes)
    return Passage(fill, True, first.dtype if kept else floating.dtype, kept)


def _tried(expression: Expression | Trial, values: Mapping[str, Any], engine: Mapping[str, Any]) -> np.ndarray:
    with np.errstate(all="ignore"):
        result = expression(values, **engine)
    made = np.asarray(np.nan if result is None else result)
    return made.astype(object) if made.dtype.kind in "US" else made  # other texts may be longer


def _chooses(expression: Expression) -> bool:
    """Whether all results are values of the cube."""
    for node in expression.nodes:
        leaves = list(_plain(node.arguments.get("data")))
        known = any(not isinstance(v, (Ref, Parameter)) or getattr(v, "name", None) in expression.bound for v in leaves)
        if node.id not in CHOOSING or declared(node.function) is None or known or not leaves:
            return False
    return isinstance(expression.result, (Ref, Parameter))


def _plain(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _plain(inner)
    else:
        yield value


def _meets(expression: Expression, fill: Any, sizes: Mapping[str, tuple[tuple[int, ...], Any]]) -> bool:
    """Whether a value that is no gap may become the no-data value; true where values are not each for themselves."""
    (name, (_, dtype)), *others = sizes.items()
    if others:
        return True
    if any(declared(node.function) is None for node in expression.nodes) or expression.scaling is not Scaling.BLOCKWISE:
        return True
    limits = np.iinfo(dtype)
    near = np.arange(max(int(limits.min), -MOST_TRIED), min(int(limits.max), MOST_TRIED) + 1, dtype=np.float64)
    far = np.geomspace(MOST_TRIED, float(limits.max), FAR) if limits.bits > 16 else np.empty(0)
    values = np.concatenate([-far[::-1] if limits.min < 0 else far[:0], near, far])
    values = values[values != fill]
    found = np.broadcast_to(_tried(expression, {name: values}, {}), values.shape)
    above = np.greater(found, fill)
    crossing = (np.abs(values[1:]) > MOST_TRIED) & (above[1:] != above[:-1])
    return bool((found == fill).any() or crossing.any())
