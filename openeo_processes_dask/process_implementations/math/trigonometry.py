"""Angles in radians and hyperbolic angles; what has no value is NaN."""

from __future__ import annotations

import math

from openeo_processes_dask import values
from openeo_processes_dask.declare import declare
from openeo_processes_dask.kernels import functions
from openeo_processes_dask.vocabulary import (
    InnerUnitNumber,
    Number,
    NumberFromOne,
    NumberFromZero,
    Scaling,
    UnitNumber,
)

_arccos = values.on_numbers(math.acos, functions.arccos.ufunc)
_arcosh = values.on_numbers(math.acosh, functions.arcosh.ufunc)
_arcsin = values.on_numbers(math.asin, functions.arcsin.ufunc)
_artanh = values.on_numbers(math.atanh, functions.artanh.ufunc)
_cos = values.on_numbers(math.cos, functions.cos.ufunc)
_cosh = values.on_numbers(math.cosh, functions.cosh.ufunc)
_sin = values.on_numbers(math.sin, functions.sin.ufunc)
_sinh = values.on_numbers(math.sinh, functions.sinh.ufunc)
_tan = values.on_numbers(math.tan, functions.tan.ufunc)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def arccos(x: UnitNumber) -> NumberFromZero:
    """Angle of a cosine, from 0 to π."""
    return values.calculate(functions.arccos, _arccos, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def arcosh(x: Number) -> NumberFromZero:
    """Hyperbolic angle of a hyperbolic cosine."""
    return values.calculate(functions.arcosh, _arcosh, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def arcsin(x: UnitNumber) -> Number:
    """Angle of a sine, from -π/2 to π/2."""
    return values.calculate(functions.arcsin, _arcsin, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def arctan(x: Number) -> Number:
    """Angle of a tangent, from -π/2 to π/2."""
    return values.calculate(functions.arctan, math.atan, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def arctan2(y: Number, x: Number) -> Number:
    """Angle of the direction from the origin to a point, from -π to π."""
    return values.calculate(functions.arctan2, math.atan2, y=y, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def arsinh(x: Number) -> Number:
    """Hyperbolic angle of a hyperbolic sine."""
    return values.calculate(functions.arsinh, math.asinh, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def artanh(x: InnerUnitNumber) -> Number:
    """Hyperbolic angle of a hyperbolic tangent.

    Of 1 it is infinity, of -1 minus infinity.
    """
    return values.calculate(functions.artanh, _artanh, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def cos(x: Number) -> UnitNumber:
    """Cosine of an angle."""
    return values.calculate(functions.cos, _cos, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def cosh(x: Number) -> NumberFromOne:
    """Hyperbolic cosine."""
    return values.calculate(functions.cosh, _cosh, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def sin(x: Number) -> UnitNumber:
    """Sine of an angle."""
    return values.calculate(functions.sin, _sin, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def sinh(x: Number) -> Number:
    """Hyperbolic sine."""
    return values.calculate(functions.sinh, _sinh, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def tan(x: Number) -> Number:
    """Tangent of an angle."""
    return values.calculate(functions.tan, _tan, x=x)


@declare("math > trigonometric", scaling=Scaling.BLOCKWISE)
def tanh(x: Number) -> InnerUnitNumber:
    """Hyperbolic tangent."""
    return values.calculate(functions.tanh, math.tanh, x=x)
