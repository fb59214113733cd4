"""Each process on values beside the bare numpy expression that says the same, on one block of one thread.

And child processes of so many nodes on cubes, through dask, beside the same expression on the same blocks by as many
threads: what the graph, its tasks and the calls in them cost.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

import dask.array as da
import dask.threaded
import numpy as np
import xarray as xr

import openeo_processes_dask.process_implementations as processes
from openeo_processes_dask.process_implementations.cubes.apply import apply

from . import inputs, terminal
from .cubes.apply import chain

BYTES = 25_000_000
GAPS = 0.15
DATES = 24
BLOCKS = 16
THREADS = 2
NODES = (1, 5, 50)
HIGHEST = 0.75  # from which on values are made one, so that there is something to be found
ABOVE = {"process_id": "gt", "arguments": {"x": {"from_parameter": "x"}, "y": 0.5}, "result": True}

Call = Callable[..., Any]
Operands = tuple[Any, ...]

# What has no row, and why.
WITHOUT: dict[str, str] = {
    **dict.fromkeys(["constant", "e", "nan", "pi"], "takes no block"),
    **dict.fromkeys(["array_create_labeled", "array_labels", "array_find_label", "inspect"], "looks at no value"),
    "array_element": "takes a view, as numpy does: no time",
    "array_interpolate_linear": "numpy interpolates row by row only, in a loop",
    **dict.fromkeys(["text_begins", "text_concat", "text_contains", "text_ends", "text_find"], "texts, no numbers"),
    **dict.fromkeys(["date_between", "date_difference", "date_shift"], "dates, no numbers"),
    "run_udf": "runs what a user writes",
}


class Beside(NamedTuple):
    """How long a process and its expression take, in seconds of one processor, in the median."""

    name: str
    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        """Ours over the bare expression."""
        return self.ours / self.bare


def _alone(block: np.ndarray) -> Operands:
    return (block,)


def _with_reverse(block: np.ndarray) -> Operands:
    return block, block[::-1]


def _with_peaks(block: np.ndarray) -> Operands:
    return (np.minimum(block, np.float32(HIGHEST)),)


class Row(NamedTuple):
    """A process, by the names of its arguments, and the numpy expression of the same operands."""

    bare: Call
    operands: Callable[[np.ndarray], Operands] = _alone  # made of a block, which is not measured
    names: tuple[str, ...] = ("x",)
    given: Mapping[str, Any] = MappingProxyType({})

    def ours(self, name: str) -> Call:
        """The process itself."""
        function = getattr(processes, f"_{name}", None) or getattr(processes, name)
        return lambda *operands: function(**dict(zip(self.names, operands, strict=True)), **self.given)


def rows() -> dict[str, Row]:
    """The bare numpy expression of each process, of a block whose first axis is time; gaps as numpy treats them."""
    return {**_of_one(), **_of_two(), **_along_time(), **_of_arrays()}


def _of_one() -> dict[str, Row]:
    ufuncs = {
        "absolute": np.abs, "arccos": np.arccos, "arcsin": np.arcsin, "arctan": np.arctan,
        "arsinh": np.arcsinh, "artanh": np.arctanh, "ceil": np.ceil, "cos": np.cos, "cosh": np.cosh,
        "floor": np.floor, "int": np.trunc, "is_infinite": np.isinf, "is_nan": np.isnan, "is_nodata": np.isnan,
        "is_valid": np.isfinite, "ln": np.log, "not": np.logical_not, "round": np.rint, "sgn": np.sign, "sin": np.sin,
        "sinh": np.sinh, "sqrt": np.sqrt, "tan": np.tan, "tanh": np.tanh,
    }  # fmt: skip
    limits = {"min": 0.2, "max": 0.7}
    scale = {"inputMin": 0, "inputMax": 1, "outputMin": 0, "outputMax": 255}
    return {
        **{name: Row(ufunc) for name, ufunc in ufuncs.items()},
        "arcosh": Row(np.arccosh, lambda block: (1 + block,)),
        "exp": Row(np.exp, names=("p",)),
        "between": Row(lambda x: (x >= 0.2) & (x <= 0.7), given=limits),
        "clip": Row(lambda x: np.clip(x, 0.2, 0.7), given=limits),
        "linear_scale_range": Row(lambda x: np.clip(x, 0, 1) * np.float32(255), given=scale),
        "log": Row(np.log10, given={"base": 10}),
        "power": Row(lambda x: np.power(x, np.float32(1.5)), names=("base",), given={"p": 1.5}),
    }


def _of_two() -> dict[str, Row]:
    pairs: dict[str, Call] = {
        "add": np.add, "and": np.logical_and, "divide": np.divide, "eq": np.equal,
        "gt": np.greater, "gte": np.greater_equal, "lt": np.less, "lte": np.less_equal, "mod": np.remainder,
        "multiply": np.multiply, "neq": np.not_equal, "or": np.logical_or, "subtract": np.subtract,
        "xor": np.logical_xor, "normalized_difference": lambda x, y: (x - y) / (x + y),
    }  # fmt: skip
    return {
        **{name: Row(function, _with_reverse, ("x", "y")) for name, function in pairs.items()},
        "arctan2": Row(np.arctan2, _with_reverse, ("y", "x")),
        "if": Row(np.where, lambda block: (block > 0.5, *_with_reverse(block)), ("value", "accept", "reject")),
    }


def _along_time() -> dict[str, Row]:
    along: dict[str, Callable[..., Any]] = {
        "cummax": np.maximum.accumulate, "cummin": np.minimum.accumulate, "cumproduct": np.nancumprod,
        "cumsum": np.nancumsum, "max": np.nanmax, "mean": np.nanmean, "median": np.nanmedian, "min": np.nanmin,
        "product": np.nanprod, "sd": functools.partial(np.nanstd, ddof=1), "sort": np.sort, "sum": np.nansum,
        "variance": functools.partial(np.nanvar, ddof=1), "order": functools.partial(np.argsort, kind="stable"),
    }  # fmt: skip
    found: dict[str, Call] = {name: functools.partial(function, axis=0) for name, function in along.items()}
    found |= {
        "all": lambda block: np.all((block != 0) | np.isnan(block), axis=0),
        "any": lambda block: np.any((block != 0) & ~np.isnan(block), axis=0),
        "count": lambda block: np.isfinite(block).sum(axis=0),
        "extrema": lambda block: (np.nanmin(block, axis=0), np.nanmax(block, axis=0)),
        "first": lambda block: _at(block, np.argmax(~np.isnan(block), axis=0)),
        "last": lambda block: _at(block[::-1], np.argmax(~np.isnan(block[::-1]), axis=0)),
    }
    quartiles = [0.25, 0.5, 0.75]
    quantiles = functools.partial(np.nanquantile, q=quartiles, axis=0)
    return {
        **{name: Row(call, names=("data",), given={"axis": 0}) for name, call in found.items()},
        "quantiles": Row(quantiles, names=("data",), given={"axis": 0, "probabilities": quartiles}),
        "rearrange": Row(
            lambda block, positions: np.take_along_axis(block, positions, axis=0),
            lambda block: (block, np.argsort(block, axis=0)),
            ("data", "order"),
            {"axis": 0},
        ),
    }


def _of_arrays() -> dict[str, Row]:
    """Processes that make a longer or another array of the dates, or ask something of each."""
    calls: dict[str, tuple[Call, dict[str, Any]]] = {
        "array_append": (lambda x: np.concatenate([x, np.ones_like(x[:1])]), {"value": 1}),
        "array_apply": (np.abs, {"process": "absolute"}),
        "array_create": (lambda x: np.concatenate([x, x]), {"repeat": 2}),
        "array_filter": (
            lambda x: np.where(x > 0.5, x, np.nan),
            {"condition": {"process_graph": {"above": ABOVE}}},
        ),
        "array_modify": (
            lambda x: np.concatenate([x[:1], np.ones_like(x[:1]), x[3:]]),
            {"values": [1], "index": 1, "length": 2},
        ),
    }
    there = {"value": HIGHEST, "axis": 0}
    return {
        **{name: Row(bare, names=("data",), given={"axis": 0, **given}) for name, (bare, given) in calls.items()},
        "array_concat": Row(lambda x, y: np.concatenate([x, y]), _with_reverse, ("array1", "array2"), {"axis": 0}),
        "array_contains": Row(lambda x: (x == HIGHEST).any(axis=0), _with_peaks, ("data",), there),
        "array_find": Row(_position, _with_peaks, ("data",), there),
    }


def _position(block: np.ndarray) -> np.ndarray:
    found = block == HIGHEST
    return np.where(found.any(axis=0), found.argmax(axis=0), np.nan)


def _at(block: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.take_along_axis(block, index[None], axis=0)


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
    for name, row in sorted(rows().items()):
        if names and not any(part in name for part in names):
            continue
        calls, operands = (row.ours(name), row.bare), row.operands(block)
        taken: tuple[list[float], list[float]] = ([], [])
        with np.errstate(all="ignore"):
            for _ in range(rounds + 1):
                for call, times in zip(calls, taken, strict=True):
                    started = time.thread_time()
                    call(*operands)
                    times.append(time.thread_time() - started)
        found.append(Beside(name, *(statistics.median(times[1:]) for times in taken)))  # the first one compiles
    return found


def through_dask(names: Sequence[str] = (), size: int = BYTES, rounds: int = 5) -> list[Beside]:
    """Child processes of 1, 5 and 50 nodes on a cube beside the expression on its blocks, in turns, in wall time.

    Ours is to build the graph and to compute it. The threads are the same ones: new ones have no memory at hand.
    """
    blocks = [block_of(size) + number for number in range(BLOCKS)]
    whole = da.concatenate([da.from_array(block, chunks=-1, name=False) for block in blocks], axis=1)
    cube = xr.DataArray(whole, dims=("t", "x"))
    found = []
    with ThreadPoolExecutor(THREADS) as pool:
        for nodes in NODES:
            name = f"apply ({nodes} nodes)"
            if names and not any(part in name for part in names):
                continue
            calls = (
                lambda n=nodes: _corners(cube, n, pool),
                lambda n=nodes: list(pool.map(_added, blocks, [n] * BLOCKS)),
            )
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds + 1):
                for call, times in zip(calls, taken, strict=True):
                    started = time.perf_counter()
                    call()
                    times.append(time.perf_counter() - started)
            found.append(Beside(name, *(statistics.median(times[1:]) for times in taken)))
    return found


def _corners(cube: xr.DataArray, nodes: int, pool: ThreadPoolExecutor) -> list[float]:
    """One value of each block of the result, as what writes blocks to a file: the cube is not put together."""
    graph = inputs.streamed(apply(cube, chain(nodes)))
    return [corner.item() for corner in dask.threaded.get(graph, inputs.ends(graph), pool=pool)]


def _added(block: np.ndarray, nodes: int) -> float:
    for _ in range(nodes):
        block = block + np.float32(1)
    return block[:1, :1].item()


def show(names: Sequence[str], small: bool) -> int:
    """Print the tables, slowest first."""
    size = BYTES // 1000 if small else BYTES
    found = sorted(measured(names, size), key=lambda row: -row.ratio)
    cubes = through_dask(names, size)
    block = terminal.size(size)
    _tell(f"ours ÷ numpy on a block of {block} with {GAPS:.0%} gaps, time of one processor", found)
    _tell(f"ours through dask ÷ numpy on {BLOCKS} blocks of {block}, {THREADS} threads, wall time", cubes)
    if not names:
        for why in dict.fromkeys(WITHOUT.values()):
            terminal.say(f"not there: {', '.join(name for name in WITHOUT if WITHOUT[name] == why)} ({why})")
    return 0 if found or cubes else 2


def _tell(heading: str, rows: Sequence[Beside]) -> None:
    if rows:
        told = [[r.name, terminal.seconds(r.ours), terminal.seconds(r.bare), f"{r.ratio:.2f}"] for r in rows]
        terminal.heading(heading)
        terminal.table(("process", "ours", "numpy", "ratio"), told)
