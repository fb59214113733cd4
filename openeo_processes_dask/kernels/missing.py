"""What is missing, and which types results have: the rules that all kernels follow.

**No-data.** In a block of floating-point numbers NaN is no-data. Integers and booleans have no gaps of their own; who
knows of a no-data value among integers turns them into floats first. Truth values with gaps are floats: 0, 1 and NaN.

**Types.** What comes of floats is of their type (sums and moments are accumulated in float64). What comes of integers:

- sum, difference, product, remainder by a number and absolute value stay integers: int64, or uint64 where only that is
  given (a difference of uint64 becomes float64). They never wrap around: beyond the limits of the type lie its limits;
- quotients, means, quantiles and everything transcendental become float32 up to 16 bits, else float64, and so do
  integers that meet a fraction;
- what only chooses among values (smallest, largest, first, last, an element, clipping within the type) keeps the type.

**Truth.** What is compared or decided is bool where no gap can occur, else float32: one byte a value would need a code
for no-data that every consumer knows, sums and files included, and the compiled loops write four bytes in little more
time than it takes to copy the block.

**Nothing.** A statistic of an axis of length zero is no-data, so in floats, whatever the type.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_BITS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def float_of(dtype: Any) -> np.dtype:
    """The floating type that computes with a type: itself if it floats, float32 up to 16 bits, else float64."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)


def wide_of(dtype: Any) -> np.dtype:
    """The type of sums: itself if it floats or is uint64, else int64."""
    dtype = np.dtype(dtype)
    if is_uint64(dtype):
        return np.dtype(np.uint64)
    return dtype if dtype.kind == "f" else np.dtype(np.int64)


def is_uint64(dtype: np.dtype) -> bool:
    """Whether a type holds what no signed integer can, in whatever order of bytes."""
    return dtype.kind == "u" and dtype.itemsize == 8


def same(dtype: Any) -> np.dtype:
    """The type itself."""
    return np.dtype(dtype)


def truth_of(dtype: Any) -> np.dtype:
    """The type of truth values that may be missing: bool if nothing can be, else float32."""
    return np.dtype(np.float32 if np.dtype(dtype).kind in "fO" else np.bool_)


def holding(dtype: Any, value: Any) -> np.dtype:
    """The type that holds the values of a type, and a value besides; None stands for NaN."""
    dtype = np.dtype(dtype)
    if value is None:
        return float_of(dtype)
    if dtype.kind in "iu" and isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        limits = np.iinfo(dtype)
        return dtype if limits.min <= value <= limits.max else np.result_type(dtype, np.min_scalar_type(value))
    if dtype.kind == "f":
        return dtype
    return np.result_type(dtype, type(value))


def as_float(block: Any, fill: Any = None, exact: bool = False) -> np.ndarray:
    """A block in floating point, with NaN where an integer equals the no-data value `fill`.

    `exact` asks for float64, which holds products of 16-bit integers exactly.
    """
    block = np.asarray(block)
    if block.dtype.kind == "f":
        return block
    values = block.astype(np.float64 if exact else float_of(block.dtype))
    if fill is not None:
        values[block == fill] = np.nan
    return values


def operand(value: Any) -> Any:
    """What takes part in floating-point arithmetic: a block as floats, a plain number as it is.

    A plain number leaves the type of blocks alone, which a number of numpy would widen.
    """
    return value if isinstance(value, (int, float)) else as_float(value)


def counted(block: np.ndarray, axis: int, skip: bool = True) -> np.ndarray:
    """How many values there are along an axis, which is kept; without gaps if they are skipped."""
    length = block.shape[axis]
    if not skip or block.dtype.kind != "f":
        return np.full((1,) * block.ndim, length, np.int64)
    small = np.uint8 if length < 256 else np.int64  # one byte a count is eight times as quick
    found = np.add.reduce(np.isnan(block).view(np.uint8), axis, small, keepdims=True)
    return length - found.astype(np.int64)


def gaps_as(block: np.ndarray, fill: int) -> np.ndarray:
    """A block of floats with zero or one in its gaps.

    Gaps come and go without a pattern, so a choice for each value is slow; all bits are masked instead.
    """
    if block.dtype.itemsize not in _BITS:
        return np.where(np.isnan(block), fill, block)
    bits = _BITS[block.dtype.itemsize]
    valid = np.equal(block, block).view(np.int8)
    mask = valid.astype(bits)
    np.negative(mask, out=mask)  # all bits where there is a value
    mask &= block.view(bits)
    values = mask.view(block.dtype)
    if fill:
        values += 1 - valid
    return values


def replaced(block: np.ndarray, where: np.ndarray, value: Any) -> np.ndarray:
    """A block with a value where a boolean block, which is broadcast, says so.

    As above bits are masked, for a choice for each value is slow.
    """
    instead = np.array(value, block.dtype)
    if block.dtype.itemsize not in _BITS or block.dtype.kind not in "biuf":
        return np.where(where, instead, block)
    bits = _BITS[block.dtype.itemsize]
    put = where.view(np.int8).astype(bits)
    np.negative(put, out=put)  # all bits where the value goes
    result = np.bitwise_and(block.view(bits), ~put)
    result |= put & instead.view(bits)
    return result.view(block.dtype)


def gaps(block: Any) -> Any:
    """Where values are missing, as a boolean block; None where none can be."""
    if isinstance(block, (int, float)):
        return np.True_ if block != block else None
    block = np.asarray(block)
    if block.dtype.kind == "f":
        return np.isnan(block)
    if block.dtype.kind in "mM":
        return np.isnat(block)
    return None


def either_missing(*blocks: Any) -> Any:
    """Where one of several blocks that are broadcast has a gap; None where none can be."""
    found = None
    for block in blocks:
        gap = gaps(block)
        if gap is not None:
            found = gap if found is None else found | gap
    return found


def is_true(held: Any) -> np.ndarray:
    """Where truth values hold; gaps do not."""
    held = np.asarray(held)
    return held if held.dtype.kind == "b" else (held != 0) & (held == held)


def with_gaps(values: Any, gap: Any) -> np.ndarray:
    """Truth values as booleans if none can be missing, else as float32 with NaN."""
    if gap is None:
        return np.asarray(values)
    valid = np.logical_not(gap)
    with np.errstate(invalid="ignore"):  # false by false is NaN, in one pass
        return np.divide(np.logical_and(values, valid), valid, dtype=np.float32)
