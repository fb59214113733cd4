"""How blocks meet the compiled loops: which are worth it, in what shape, and who compiles while others wait."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import locket
import numpy as np

LEAST = 1 << 17  # values in a block that is worth compiling for; smaller ones numpy does in a moment
NARROW = 64  # fewer values side by side are turned first
TURNED = 1 << 18  # so many values at a time, or a few more of rows that cannot be cut
PATIENCE = 120  # seconds to wait for another process that compiles

_compiling = threading.Lock()
_compiled: dict[tuple[str, tuple[Any, ...]], Callable[..., None]] = {}


@functools.cache
def available() -> bool:
    """Whether there is a compiler: where numba is missing or switched off, plain numpy computes the same."""
    return importlib.util.find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def usable(block: np.ndarray) -> bool:
    """Whether a block goes through compiled loops: floats, and many of them."""
    return block.size >= LEAST and block.dtype.char in "fd" and block.dtype.isnative and available()


def reduced(
    name: str, block: np.ndarray, axis: int, results: Sequence[tuple[Any, int]], *options: Any
) -> tuple[np.ndarray, ...]:
    """Reduce a block by a loop: `results` tells the type of each result and its length along the axis."""
    if not block.flags.c_contiguous and block.size > TURNED:
        return _in_parts(name, block, axis, results, options)
    before, length, beside = block.shape[:axis], block.shape[axis], block.shape[axis + 1 :]
    rows = _rows(block, axis)
    made = tuple(np.empty((rows.shape[0], n, rows.shape[2]), dtype) for dtype, n in results)
    for wide, where in _wide(rows):
        outs = made if where is None else tuple(np.empty((1, m.shape[1], wide.shape[2]), m.dtype) for m in made)
        run(name, [wide], *options, *outs)
        if where is not None:
            for whole, out in zip(made, outs, strict=True):
                whole[where] = _turned_back(out, rows.shape[2])
    assert length == rows.shape[1]
    return tuple(m.reshape(*before, m.shape[1], *beside) for m in made)


def _in_parts(
    name: str, block: np.ndarray, axis: int, results: Sequence[tuple[Any, int]], options: tuple[Any, ...]
) -> tuple[np.ndarray, ...]:
    """Reduce a block that is scattered in memory part by part, each of which is put together in the cache."""
    across = max((i for i in range(block.ndim) if i != axis), key=lambda i: block.shape[i], default=axis)
    if across == axis:
        return reduced(name, np.ascontiguousarray(block), axis, results, *options)
    step = max(1, TURNED * block.shape[across] // block.size)
    shapes = [tuple(n if i == axis else length for i, length in enumerate(block.shape)) for _, n in results]
    made = tuple(np.empty(shape, dtype) for shape, (dtype, _) in zip(shapes, results, strict=True))
    for start in range(0, block.shape[across], step):
        part = (slice(None),) * across + (slice(start, start + step),)
        found = reduced(name, np.ascontiguousarray(block[part]), axis, results, *options)
        for whole, one in zip(made, found, strict=True):
            whole[part] = one
    return made


def mapped(name: str, block: np.ndarray, axis: int, *options: Any) -> np.ndarray:
    """Make a block of the same shape and type by a loop."""
    return reduced(name, block, axis, [(block.dtype, block.shape[axis])], *options)[0].reshape(block.shape)


def members(groups: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Where the numbers of each group start among those of all, and these numbers."""
    starts = np.cumsum([0, *map(len, groups)], dtype=np.int64)
    return starts, np.array([number for group in groups for number in group], np.int64)


def truths(name: str, x: Any, *more: Any) -> np.ndarray | None:
    """Truth values of a block, beside blocks of its kind or plain numbers; None where a loop cannot tell them."""
    if not isinstance(x, np.ndarray) or not usable(x):
        return None
    blocks, options = [x], []
    for value in more:
        if isinstance(value, bool):
            options.append(value)
        elif isinstance(value, (int, float)) and value == value:
            options.append(x.dtype.type(value))
        elif isinstance(value, np.ndarray) and (value.shape, value.dtype) == (x.shape, x.dtype):
            blocks.append(value)
        else:
            return None
    out = np.empty(x.shape, np.float32)
    _fill_truths(name, blocks, options, out)
    return out


def _fill_truths(name: str, blocks: Sequence[np.ndarray], options: Sequence[Any], out: np.ndarray) -> None:
    """Fill in truth values; blocks that are scattered in memory are put together in the cache, part by part."""
    if all(block.flags.c_contiguous for block in blocks) or out.size <= TURNED or out.ndim == 1:
        run(name, [np.ascontiguousarray(block).reshape(-1) for block in blocks], *options, out.reshape(-1))
        return
    if len(out) == 1:
        _fill_truths(name, [block[0] for block in blocks], options, out[0])
        return
    step = max(1, TURNED * len(out) // out.size)
    for start in range(0, len(out), step):
        _fill_truths(name, [block[start : start + step] for block in blocks], options, out[start : start + step])


def run(name: str, inputs: Sequence[np.ndarray], *rest: Any) -> None:
    """Call a loop, of the module `loops` where none is named, with arrays that it reads, and what it fills."""
    arguments = (*map(_only_read, inputs), *rest)
    loop = _ready(name, tuple(map(_kind, arguments)), arguments)
    loop(*arguments)


def _ready(name: str, kinds: tuple[Any, ...], arguments: tuple[Any, ...]) -> Callable[..., None]:
    """A loop that is compiled for such arguments; to find their types for numba takes longer than many a loop."""
    if (found := _compiled.get((name, kinds))) is not None:
        return found
    module, _, function = name.rpartition(".")
    loop = getattr(_loops(module or "loops"), function)
    signature = tuple(map(_loops("loops").numba.typeof, arguments))
    if signature not in loop.overloads:
        with _alone(loop.stats.cache_path):
            loop.compile(signature)
    _compiled[name, kinds] = loop
    return loop


def _kind(value: Any) -> Any:
    """What numba tells apart, in a moment."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        return value.dtype.str, value.ndim, flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned
    return tuple(map(_kind, value)) if isinstance(value, tuple) else type(value)


def _rows(block: np.ndarray, axis: int) -> np.ndarray:
    """A block as (before, length, beside)."""
    beside = int(np.prod(block.shape[axis + 1 :]))
    return np.ascontiguousarray(block).reshape(-1, block.shape[axis], beside)


def _wide(rows: np.ndarray) -> Iterator[tuple[np.ndarray, slice | None]]:
    """Rows with many values side by side: as they are, or a part of them turned, and which part."""
    if rows.shape[2] >= NARROW or rows.shape[0] == 1:
        yield rows, None
        return
    step = max(1, TURNED // max(rows.shape[1] * rows.shape[2], 1))
    for start in range(0, rows.shape[0], step):
        part = rows[start : start + step].transpose(1, 0, 2)
        yield np.ascontiguousarray(part).reshape(1, rows.shape[1], -1), slice(start, start + step)


def _turned_back(out: np.ndarray, beside: int) -> np.ndarray:
    return out.reshape(out.shape[1], out.shape[2] // beside, beside).transpose(1, 0, 2)


def _only_read(block: np.ndarray) -> np.ndarray:
    """A view that cannot be written, so that one compiled loop serves all blocks."""
    view = block.view()
    view.flags.writeable = False
    return view


@functools.cache
def _loops(module: str) -> ModuleType:
    return importlib.import_module(f"{__package__}.{module}")


@contextlib.contextmanager
def _alone(place: str | None) -> Iterator[None]:
    """One thread of one process compiles; the others wait, and then find the result on disk."""
    with _compiling:
        if place is None:
            yield
            return
        os.makedirs(place, exist_ok=True)
        lock = locket.lock_file(os.path.join(place, "openeo-compiling.lock"), timeout=PATIENCE)
        try:
            lock.acquire()
        except locket.LockError:  # whoever holds it takes too long: twice compiled is better than never
            yield
            return
        try:
            yield
        finally:
            lock.release()
