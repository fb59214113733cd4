"""Where a block lies: what child processes that run code of users are told of dimensions, labels and attributes."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from openeo_processes_dask.expressions import Expression, Node

PREPARE = "__openeo_prepare__"  # what a process makes of its arguments once, before blocks are made


@dataclass(frozen=True)
class Place:
    """A block of a cube: the labels of the cube along the dimensions, where the block begins, along what rows lie.

    In a `trial` its values are made up, to see what comes out.
    """

    dims: tuple[Any, ...]
    labels: xr.Dataset
    attrs: Mapping[Any, Any] = field(default_factory=dict)
    name: Any = None
    begins: tuple[int, ...] = ()
    axis: int | None = None
    trial: bool = False

    def cube(self, values: np.ndarray) -> xr.DataArray:
        """The values of the block as a cube; labels of rows of another length count up."""
        spans = {d: slice(b, b + n) for d, b, n in zip(self.dims, self.begins, values.shape, strict=True)}
        if self.axis is not None:
            spans[self.dims[self.axis]] = slice(None)
        known = self.labels.isel({d: s for d, s in spans.items() if d in self.labels.dims})
        sizes = dict(zip(self.dims, values.shape, strict=True))
        fits = {n: c.variable for n, c in known.coords.items() if all(c.sizes[d] == sizes[d] for d in c.dims)}
        return xr.DataArray(values, dims=self.dims, coords=fits, attrs=self.attrs, name=self.name)


HERE: contextvars.ContextVar[Place | None] = contextvars.ContextVar("place", default=None)


def is_trial() -> bool:
    """Whether values are made up."""
    place = HERE.get()
    return place is not None and place.trial


def asked(expression: Expression) -> bool:
    """Whether one of the processes makes something of where it runs."""
    return any(hasattr(node.function, PREPARE) for node in expression.nodes)


def prepared(expression: Expression) -> Expression:
    """The same program, whose processes have looked at their arguments."""
    if not asked(expression):
        return expression
    nodes = [
        Node(n.function, prepare(n.arguments), n.path) if (prepare := getattr(n.function, PREPARE, None)) else n
        for n in expression.nodes
    ]
    return Expression(tuple(nodes), expression.result, expression.bound)


def of(cube: xr.DataArray, axis: int | None = None) -> Place:
    """The place of a whole cube, without labels that would have to be computed.

    Its gaps are NaN when they arrive in a block, so that no value stands for no-data there.
    """
    lazily = [name for name, c in cube.coords.items() if isinstance(c.data, da.Array)]
    labels = cube.coords.to_dataset().drop_vars(lazily)
    attrs = {name: v for name, v in cube.attrs.items() if name not in ("nodata", "_FillValue", "missing_value")}
    return Place(tuple(cube.dims), labels, attrs, cube.name, (0,) * cube.ndim, axis)


@contextlib.contextmanager
def at(place: Place) -> Iterator[None]:
    """Tell processes where they run."""
    token = HERE.set(place)
    try:
        yield
    finally:
        HERE.reset(token)


def trial(
    expression: Expression, cube: xr.DataArray, axis: int | None = None
) -> contextlib.AbstractContextManager[None]:
    """Tell processes that values are made up; only if one of them cares."""
    return at(replace(of(cube, axis), trial=True)) if asked(expression) else contextlib.nullcontext()


class Placed:
    """A function of blocks that is told where they lie, by the number that dask gives them."""

    def __init__(self, run: Any, place: Place, chunks: Sequence[Sequence[int]]):
        self.run, self.place = run, place
        self.begins = [np.concatenate([[0], np.cumsum(sizes)]).tolist() for sizes in chunks]

    def __call__(self, *blocks: np.ndarray, block_id: tuple[int, ...] | None = None) -> Any:
        index = list(block_id or (0,) * (len(self.begins) - (block_id is not None)))
        if len(index) < len(self.begins):  # rows that become one value: their dimension is gone
            index.insert(self.place.axis or 0, 0)
        begins = tuple(known[i] for known, i in zip(self.begins, index, strict=True))
        with at(replace(self.place, begins=begins)):
            return self.run(*blocks)


def placed(run: Any, expression: Expression, cube: xr.DataArray, axis: int | None = None) -> Any:
    """A function of blocks of a cube, told where they lie if a process of the child process cares."""
    if not asked(expression):
        return run
    return Placed(run, of(cube, axis), cube.chunks or [(n,) for n in cube.shape])
