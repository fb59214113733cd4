"""The types of results, for every process on numbers and every type: the rules that kernels/missing.py writes down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.kernels.missing import float_of, same, truth_of, wide_of
from tests.test_scaling import EVERY

TYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
TYPES += ["float16", "float32", "float64"]
Rule = Callable[[np.dtype], np.dtype]


def always(name: str) -> Rule:
    return lambda dtype: np.dtype(name)


def number(dtype: np.dtype) -> np.dtype:
    """The type itself, but truth values become bytes."""
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype


def joined(dtype: np.dtype) -> np.dtype:
    """The type that plain integers leave alone, which truth values do not stay beside."""
    return np.dtype(np.int64) if dtype.kind == "b" else dtype


def with_positions(dtype: np.dtype) -> np.dtype:
    """Positions are integers of 64 bits, which make other types as wide."""
    return np.result_type(dtype, np.int64)


def difference(dtype: np.dtype) -> np.dtype:
    """As sums, but what may be negative is no unsigned integer."""
    return np.dtype(np.float64) if dtype == np.uint64 else wide_of(dtype)


BOOL, INT64, FLOAT64, FLOAT32 = map(always, ("bool", "int64", "float64", "float32"))
# Several rules where options decide: whether gaps can be, whether anything but a choice among the values happens.
RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("absolute", "add", "cumproduct", "cumsum", "multiply", "product", "sum"), (wide_of,)),
    "subtract": (difference,),
    "mod": (wide_of, float_of),  # by a number, by an array
    **dict.fromkeys(("ceil", "cummax", "cummin", "extrema", "first", "floor", "int", "last", "max", "min"), (same,)),
    **dict.fromkeys(("array_create", "array_interpolate_linear", "rearrange", "round", "sort"), (same,)),
    **dict.fromkeys(("clip", "sgn"), (number,)),
    **dict.fromkeys(("array_element", "array_filter"), (same, float_of)),
    **dict.fromkeys(("array_append", "array_concat"), (joined,)),
    "array_modify": (joined, same),
    "array_apply": (wide_of, with_positions),
    **dict.fromkeys(("divide", "exp", "linear_scale_range", "ln", "log", "normalized_difference"), (float_of,)),
    **dict.fromkeys(("mean", "median", "power", "quantiles", "sd", "sqrt", "variance"), (float_of,)),
    **dict.fromkeys(("arccos", "arcosh", "arcsin", "arctan", "arctan2", "arsinh", "artanh"), (float_of,)),
    **dict.fromkeys(("cos", "cosh", "sin", "sinh", "tan", "tanh"), (float_of,)),
    **dict.fromkeys(("between", "eq", "gt", "gte", "lt", "lte", "neq", "not"), (truth_of,)),
    **dict.fromkeys(("and", "or", "xor"), (truth_of, FLOAT32)),  # beside null everything may be a gap
    **dict.fromkeys(("all", "any"), (BOOL, truth_of)),
    **dict.fromkeys(("array_contains", "is_infinite", "is_nan", "is_nodata", "is_valid"), (BOOL,)),
    "count": (INT64,),
    "array_find": (FLOAT64,),
    "order": (INT64, lambda dtype: FLOAT64(dtype) if dtype.kind == "f" else INT64(dtype)),
    "if": (INT64, FLOAT64, same),  # of two plain numbers, or where nothing but an array is chosen
}


def test_every_process_has_its_rule() -> None:
    assert set(RULES) == {param.values[0] for param in EVERY}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("process_id", "chosen"), EVERY)
def test_types_follow_their_rule(process_id: str, chosen: dict[str, Any], dtype: str) -> None:
    """Told beforehand of a lazy array, found in its values, and found in an array of numpy: the same."""
    process = DECLARED[process_id]
    first = next(iter(process.parameters))
    engine = {"axis": 0} if "axis" in process.engine else {}
    block = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 1]]).astype(dtype)
    block.flags.writeable = False
    cut = da.from_array(block, chunks=2)
    results = [
        process.function(**{first: data}, **{k: data if v is ... else v for k, v in chosen.items()}, **engine)
        for data in (block, cut, block[::-1, ::-1][::-1, ::-1])
    ]
    found = {result.dtype for result in (*results, results[1].compute())}
    assert len(found) == 1
    allowed = {rule(np.dtype(dtype)) for rule in RULES[process_id]}
    assert found <= allowed
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-3 if dtype == "float16" else 1e-6)
