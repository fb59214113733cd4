"""Constants."""

from __future__ import annotations

import math

from openeo_processes_dask.declare import declare
from openeo_processes_dask.vocabulary import Anything, PlainNumber, Scaling


@declare("math > constants", scaling=Scaling.BLOCKWISE)
def constant(x: Anything) -> Anything:
    """A value that is used in several places."""
    return x


@declare("math > constants", "math > exponential & logarithmic", scaling=Scaling.BLOCKWISE)
def e() -> PlainNumber:
    """Euler's number, the base of the natural logarithm."""
    return math.e


@declare("math > constants", scaling=Scaling.BLOCKWISE, experimental=True)
def nan() -> Anything:
    """NaN (not a number)."""
    return math.nan


@declare("math > constants", "math > trigonometric", scaling=Scaling.BLOCKWISE)
def pi() -> PlainNumber:
    """The ratio of a circle's circumference to its diameter."""
    return math.pi
