"""Each process on values beside the bare numpy expression that says the same, on one block of one thread."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import openeo_processes_dask.process_implementations as processes

from . import terminal

BYTES = 25_000_000
GAPS = 0.15
DATES = 24
Call = Callable[[np.ndarray], Any]


class Beside(NamedTuple):
    """How long a process and its expression take, in seconds of one processor, in the median."""

    name: str
    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        """Ours over the bare expression."""
        return self.ours / self.bare


def expressions() -> dict[str, Call]:
    """The bare numpy expression of each process, of a block whose first axis is time; gaps as numpy treats them."""
    ufuncs = {
        "absolute": np.abs, "arccos": np.arccos, "arcsin": np.arcsin, "arctan": np.arctan,
        "arsinh": np.arcsinh, "artanh": np.arctanh, "ceil": np.ceil, "cos": np.cos, "cosh": np.cosh, "exp": np.exp,
        "floor": np.floor, "int": np.trunc, "is_infinite": np.isinf, "is_nan": np.isnan, "is_nodata": np.isnan,
        "is_valid": np.isfinite, "ln": np.log, "not": np.logical_not, "round": np.rint, "sgn": np.sign, "sin": np.sin,
        "sinh": np.sinh, "sqrt": np.sqrt, "tan": np.tan, "tanh": np.tanh,
    }  # fmt: skip
    pairs = {
        "add": np.add, "and": np.logical_and, "arctan2": np.arctan2, "divide": np.divide, "eq": np.equal,
        "gt": np.greater, "gte": np.greater_equal, "lt": np.less, "lte": np.less_equal, "mod": np.remainder,
        "multiply": np.multiply, "neq": np.not_equal, "or": np.logical_or, "subtract": np.subtract,
        "xor": np.logical_xor,
    }  # fmt: skip
    along: dict[str, Callable[..., Any]] = {
        "cummax": np.maximum.accumulate, "cummin": np.minimum.accumulate, "cumproduct": np.nancumprod,
        "cumsum": np.nancumsum, "max": np.nanmax, "mean": np.nanmean, "median": np.nanmedian, "min": np.nanmin,
        "product": np.nanprod, "sd": functools.partial(np.nanstd, ddof=1), "sort": np.sort, "sum": np.nansum,
        "variance": functools.partial(np.nanvar, ddof=1), "order": functools.partial(np.argsort, kind="stable"),
        "quantiles": functools.partial(np.nanquantile, q=[0.25, 0.5, 0.75]),
    }  # fmt: skip
    found: dict[str, Call] = dict(ufuncs)
    found |= {name: functools.partial(_with_itself, ufunc) for name, ufunc in pairs.items()}
    found |= {name: functools.partial(_over_time, function) for name, function in along.items()}
    found |= {
        "all": lambda block: np.all((block != 0) | np.isnan(block), axis=0),
        "any": lambda block: np.any((block != 0) & ~np.isnan(block), axis=0),
        "between": lambda block: (block >= 0.2) & (block <= 0.7),
        "clip": lambda block: np.clip(block, 0.2, 0.7),
        "count": lambda block: np.isfinite(block).sum(axis=0),
        "extrema": lambda block: (np.nanmin(block, axis=0), np.nanmax(block, axis=0)),
        "first": lambda block: _at(block, np.argmax(~np.isnan(block), axis=0)),
        "last": lambda block: _at(block[::-1], np.argmax(~np.isnan(block[::-1]), axis=0)),
        "linear_scale_range": lambda block: np.clip(block, 0, 1) * np.float32(255),
        "log": lambda block: np.log10(block),
        "normalized_difference": lambda block: (block - block[::-1]) / (block + block[::-1]),
        "power": lambda block: np.power(block, np.float32(1.5)),
    }
    return found


def _with_itself(ufunc: np.ufunc, block: np.ndarray) -> Any:
    return ufunc(block, block[::-1])


def _over_time(function: Callable[..., Any], block: np.ndarray) -> Any:
    return function(block, axis=0)


def _at(block: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.take_along_axis(block, index[None], axis=0)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "between": {"min": 0.2, "max": 0.7},
    "clip": {"min": 0.2, "max": 0.7},
    "linear_scale_range": {"inputMin": 0, "inputMax": 1, "outputMin": 0, "outputMax": 255},
    "log": {"base": 10},
    "power": {"p": 1.5},
    "quantiles": {"probabilities": [0.25, 0.5, 0.75]},
}
RENAMED = {"power": ("base",), "arctan2": ("y", "x"), "exp": ("p",)}
OF_ARRAYS = frozenset(
    [
        "all",
        "any",
        "count",
        "cummax",
        "cummin",
        "cumproduct",
        "cumsum",
        "extrema",
        "first",
        "last",
        "max",
        "mean",
        "median",
        "min",
        "order",
        "product",
        "quantiles",
        "sd",
        "sort",
        "sum",
        "variance",
    ]
)
OF_PAIRS = frozenset(
    [
        "add",
        "and",
        "arctan2",
        "divide",
        "eq",
        "gt",
        "gte",
        "lt",
        "lte",
        "mod",
        "multiply",
        "neq",
        "normalized_difference",
        "or",
        "subtract",
        "xor",
    ]
)


def ours(name: str) -> Call:
    """The process with the same arguments."""
    function = getattr(processes, f"_{name}", None) or getattr(processes, name)
    given = ARGUMENTS.get(name, {})
    if name in OF_ARRAYS:
        return lambda block: function(data=block, axis=0, **given)
    if name in OF_PAIRS:
        one, other = RENAMED.get(name, ("x", "y"))
        return lambda block: function(**{one: block, other: block[::-1]})
    operand = RENAMED.get(name, ("x",))[0]
    return lambda block: function(**{operand: block}, **given)


def block_of(size: int) -> np.ndarray:
    """A block of float32 of about so many bytes, dates first, with gaps."""
    generator = np.random.default_rng(0)
    block = generator.random((DATES, max(1, size // 4 // DATES)), dtype="float32")
    block[generator.random(block.shape, dtype="float32") < GAPS] = np.nan
    return block


def measured(names: Sequence[str] = (), size: int = BYTES, rounds: int = 7) -> list[Beside]:
    """Processes whose names hold one of the given parts beside their expressions, in turns."""
    block = block_of(size)
    found = []
    for name, bare in sorted(expressions().items()):
        if names and not any(part in name for part in names):
            continue
        calls = (ours(name), bare)
        taken: tuple[list[float], list[float]] = ([], [])
        with np.errstate(all="ignore"):
            for _ in range(rounds + 1):
                for call, times in zip(calls, taken, strict=True):
                    started = time.thread_time()
                    call(block)
                    times.append(time.thread_time() - started)
        found.append(Beside(name, *(statistics.median(times[1:]) for times in taken)))  # the first one compiles
    return found


def show(names: Sequence[str], small: bool) -> int:
    """Print the table, slowest first."""
    size = BYTES // 1000 if small else BYTES
    rows = sorted(measured(names, size), key=lambda row: -row.ratio)
    terminal.heading(f"ours ÷ numpy on a block of {terminal.size(size)} with {GAPS:.0%} gaps, time of one processor")
    terminal.table(
        ("process", "ours", "numpy", "ratio"),
        [[r.name, terminal.seconds(r.ours), terminal.seconds(r.bare), f"{r.ratio:.2f}"] for r in rows],
    )
    return 0 if rows else 2
