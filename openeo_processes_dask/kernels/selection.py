"""Order statistics of values that never come together: their digits are counted, the leading ones first.

The bits of a value, made such that they order as the values do, are cut into digits of `width` bits. How often each
digit occurs in a group of values can be counted block by block and added up. That tells which leading digit the values
of wanted ranks have; among the values with that digit the next one is counted, until all digits of these values are
known. So the values are gone through as often as there are digits: once for 8 and 16 bits, twice for 32, four times
for 64, if a digit has 16 bits. Nothing is rounded, and only digits that occur are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from openeo_processes_dask.kernels import compiled

WIDEST, NARROWEST = 16, 8  # bits of a digit


class Digits(NamedTuple):
    """How the values of a type are cut into digits: `levels` of them, of `width` bits but for the last."""

    dtype: np.dtype
    width: int

    @property
    def bits(self) -> int:
        """The bits of a value."""
        return 8 * self.dtype.itemsize

    @property
    def levels(self) -> int:
        """How many digits a value has."""
        return -(-self.bits // self.width)

    @property
    def stride(self) -> int:
        """How many digits there are, and one more for gaps."""
        return (1 << self.width) + 1

    def shift(self, level: int) -> int:
        """How many bits lie behind a digit; the last digits end where the value does."""
        return max(self.bits - (level + 1) * self.width, 0)

    def own(self, level: int) -> int:
        """How many bits a digit has: fewer at the end, where the width does not divide the bits."""
        return min(self.width, self.bits - level * self.width)


class Counts(NamedTuple):
    """How often digits occur: a key is the number of a slot times the stride, plus the digit; keys ascend."""

    keys: np.ndarray
    counts: np.ndarray


class Chosen(NamedTuple):
    """What is known of the values of wanted ranks.

    A slot is a group of values that share their leading digits: `owners` are the groups and `prefixes` these digits.
    For each of `groups`, and each rank that is wanted of it, `slots` says where that value is, and `ranks` its rank
    there. `valid` counts the values of each group.
    """

    owners: np.ndarray
    prefixes: np.ndarray
    groups: np.ndarray
    slots: np.ndarray
    ranks: np.ndarray
    valid: np.ndarray


def digits(dtype: np.dtype, room: int) -> Digits:
    """How values are cut into digits, so that there are about as many digits as there is room for."""
    bits = 8 * dtype.itemsize
    widest = min(max(int(room).bit_length() - 1, NARROWEST), WIDEST, bits)
    levels = -(-bits // widest)
    return Digits(dtype, -(-bits // levels))


def counted(
    how: Digits, level: int, values: np.ndarray, starts: np.ndarray, groups: np.ndarray, chosen: Chosen | None
) -> Counts:
    """Count a digit of values (rows, n), whose segments begin at `starts`, for `groups` (rows, segments) that ascend.

    Behind the first digit only the values that share their leading digits with a chosen one are counted.
    """
    keys: list[np.ndarray] = [np.empty(0, np.int64)]
    counts: list[np.ndarray] = [np.empty(0, np.int64)]
    fast = values.size >= compiled.LEAST and compiled.available()
    tally = _tally_compiled if fast else _tally
    for row, of_row in zip(values, groups, strict=True):
        bits = _bits(row)
        for segment, group in enumerate(of_row.tolist()):
            if chosen is None:
                first, prefixes = group, np.zeros(1, np.uint64)
            else:
                first, last = np.searchsorted(chosen.owners, [group, group + 1]).tolist()
                prefixes = chosen.prefixes[first:last]
            if len(prefixes):
                found = tally(how, level, bits[starts[segment] : starts[segment + 1]], prefixes)
                keys.append(np.flatnonzero(found))
                counts.append(found[keys[-1]].astype(np.int64))
                keys[-1] += first * how.stride
    return Counts(np.concatenate(keys), np.concatenate(counts))


def merged(parts: Sequence[Counts]) -> Counts:
    """What several parts counted together."""
    keys = np.concatenate([part.keys for part in parts])
    order = np.argsort(keys, kind="stable")  # which merges what is in order already
    keys = keys[order]
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.empty(0, np.int64)
    counts = np.concatenate([part.counts for part in parts])[order]
    return Counts(keys[first], np.add.reduceat(counts, first) if len(keys) else counts)


def totals(how: Digits, found: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The groups of which the first digit was counted, their number of values, and that of gaps."""
    group, digit = np.divmod(found.keys, how.stride)
    groups, first = np.unique(group, return_index=True)
    if not len(groups):
        return groups, groups, groups
    gaps = np.add.reduceat(np.where(digit == how.stride - 1, found.counts, 0), first)
    return groups, np.add.reduceat(found.counts, first) - gaps, gaps


def begun(how: Digits, found: Counts, groups: np.ndarray, valid: np.ndarray, ranks: np.ndarray) -> Chosen:
    """What the first digit says of the values of so many ranks (groups, wanted) of each group."""
    prefixes = np.zeros(len(groups), np.uint64)
    slots = np.broadcast_to(np.arange(len(groups))[:, None], ranks.shape)
    return refined(how, 0, found, Chosen(groups, prefixes, groups, slots, ranks, valid), groups)


def refined(how: Digits, level: int, found: Counts, chosen: Chosen, numbers: np.ndarray | None = None) -> Chosen:
    """What is known of the chosen values with one digit more; slots are counted under their numbers."""
    some = (chosen.valid > 0)[:, None] & np.ones(chosen.slots.shape, bool)
    slots, ranks = chosen.slots[some], chosen.ranks[some]
    ends = np.append(0, np.cumsum(found.counts))
    start = ends[np.searchsorted(found.keys, (slots if numbers is None else numbers[slots]) * how.stride)]
    place = np.searchsorted(ends, start + ranks, side="right") - 1
    digit = found.keys[place] % how.stride
    every, where = np.unique(slots * how.stride + digit, return_inverse=True)
    before, digit = np.divmod(every, how.stride)
    prefixes = (chosen.prefixes[before] << np.uint64(how.own(level))) | digit.astype(np.uint64)
    at, left = np.zeros(chosen.slots.shape, np.int64), np.zeros(chosen.slots.shape, np.int64)
    at[some], left[some] = where, ranks - (ends[place] - start)
    return chosen._replace(owners=chosen.owners[before], prefixes=prefixes, slots=at, ranks=left)


def values_of(how: Digits, chosen: Chosen) -> np.ndarray:
    """The chosen values (groups, wanted), of which all digits are known; anything where a group has no values."""
    if not len(chosen.prefixes):
        return np.zeros(chosen.slots.shape, how.dtype)
    return _values(chosen.prefixes, how.dtype)[chosen.slots]


# --- bits that order as the values do


def _bits(row: np.ndarray) -> np.ndarray:
    """The bits of values as unsigned integers, as they lie in memory."""
    row = np.ascontiguousarray(row, row.dtype.newbyteorder("="))
    return row.view(f"u{row.dtype.itemsize}")


def _masks(dtype: np.dtype) -> tuple[int, int, int]:
    """The bit of the sign, the bits that are turned around where it is set, and the bits of infinity."""
    top = 1 << (8 * dtype.itemsize - 1)
    if dtype.kind == "f":
        return top, 2 * top - 1, int(_bits(np.array([np.inf], dtype))[0])
    return (top, top, top) if dtype.kind == "i" else (0, 0, 0)


def _sortable(bits: np.ndarray, dtype: np.dtype) -> np.ndarray:
    top, turned, _ = _masks(dtype)
    kind = bits.dtype.type
    return bits ^ np.where(bits & kind(top), kind(turned), kind(top))


def _values(keys: np.ndarray, dtype: np.dtype) -> np.ndarray:
    top, turned, _ = _masks(dtype)
    native = dtype.newbyteorder("=")
    bits = keys.astype(f"u{dtype.itemsize}")
    kind = bits.dtype.type
    if top:
        bits = bits ^ np.where(bits & kind(top), kind(top), kind(turned))
    return bits.view(native)


def _tally(how: Digits, level: int, bits: np.ndarray, prefixes: np.ndarray) -> np.ndarray:
    """How often each digit occurs behind each of some leading digits; at the first level gaps have one of their own."""
    top, _, infinity = _masks(how.dtype)
    out = np.zeros((len(prefixes), how.stride), np.int64)
    if how.dtype.kind == "f":
        known = (bits & bits.dtype.type(top - 1)) <= bits.dtype.type(infinity)
        out[0, -1] = 0 if level else np.count_nonzero(~known)
        bits = bits[known]
    keys = _sortable(bits, how.dtype).astype(np.uint64)
    leading = keys >> np.uint64(how.shift(level)) >> np.uint64(how.own(level)) if level else np.zeros_like(keys)
    for place, prefix in enumerate(prefixes):
        behind = keys[leading == prefix] >> np.uint64(how.shift(level)) & np.uint64((1 << how.own(level)) - 1)
        out[place, :-1] += np.bincount(behind.astype(np.int64), minlength=how.stride - 1)
    return out.reshape(-1)


def _tally_compiled(how: Digits, level: int, bits: np.ndarray, prefixes: np.ndarray) -> np.ndarray:
    """The same by a loop; what it counts lies in the cache."""
    top, turned, infinity = _masks(how.dtype)
    out = np.zeros(len(prefixes) * how.stride, np.uint32)
    sizes = [how.bits - 1, top, turned ^ top, infinity, how.shift(level)]
    if level == 0:
        compiled.run("loops_of_digits.first_digits", [bits], *map(np.uint64, sizes), out)
    else:
        sizes += [how.own(level), (1 << how.own(level)) - 1]
        compiled.run(
            "loops_of_digits.next_digits", [bits, prefixes], *map(np.uint64, sizes), out.reshape(len(prefixes), -1)
        )
    return out
