"""Functions of real numbers that compute in floating point, with NaN where they have no value."""

from __future__ import annotations

from typing import Any

import numpy as np

from openeo_processes_dask.kernels.missing import either_missing, operand


class OnFloats:
    """A ufunc on blocks of any number type, which become floating point first."""

    def __init__(self, name: str, ufunc: np.ufunc) -> None:
        self.__name__ = name
        self.ufunc = ufunc

    def __dask_tokenize__(self) -> object:
        return ("openeo-on-floats", self.__name__)

    def __call__(self, *blocks: Any) -> Any:
        return self.ufunc(*map(operand, blocks))


exp = OnFloats("exp", np.exp)
ln = OnFloats("ln", np.log)
sqrt = OnFloats("sqrt", np.sqrt)
arccos = OnFloats("arccos", np.arccos)
arcosh = OnFloats("arcosh", np.arccosh)
arcsin = OnFloats("arcsin", np.arcsin)
arctan = OnFloats("arctan", np.arctan)
arctan2 = OnFloats("arctan2", np.arctan2)
arsinh = OnFloats("arsinh", np.arcsinh)
artanh = OnFloats("artanh", np.arctanh)
cos = OnFloats("cos", np.cos)
cosh = OnFloats("cosh", np.cosh)
sin = OnFloats("sin", np.sin)
sinh = OnFloats("sinh", np.sinh)
tan = OnFloats("tan", np.tan)
tanh = OnFloats("tanh", np.tanh)


def log(x: Any, base: Any) -> Any:
    """Logarithm to any base; to 2 and 10 it is exact where it can be."""
    if base in (2, 10) if isinstance(base, (int, float)) else False:
        return (np.log2 if base == 2 else np.log10)(operand(x))
    below = np.log(operand(base))
    return np.divide(np.log(operand(x)), float(below) if isinstance(base, (int, float)) else below)


def power(base: Any, p: Any) -> Any:
    """A power; unlike IEEE 754 has it, NaN to the power of zero and one to the power of NaN are NaN."""
    result = np.power(operand(base), float(p) if isinstance(p, int) else operand(p))
    gap = either_missing(base, p)
    return result if gap is None or not gap.any() else np.where(gap, result.dtype.type(np.nan), result)
