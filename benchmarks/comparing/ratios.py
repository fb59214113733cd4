"""Ratios of times with intervals, and the smallest that is called a difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLED = 2000
CONFIDENCE = 0.95


class Ratio(NamedTuple):
    """The other side ÷ this one: medians of the rounds, with an interval; above 1 the other one is slower."""

    value: float
    low: float
    high: float

    def differs(self, smallest: float) -> bool:
        """Whether all of the interval is beyond what the same code shows against itself."""
        return self.low > smallest or self.high < 1 / smallest


def ratio(other: Sequence[float], own: Sequence[float], seed: int = 0) -> Ratio:
    """Divide medians; the interval comes of drawing the rounds anew, which were taken in turns."""
    a, b = np.asarray(other, float), np.asarray(own, float)
    rng = np.random.default_rng(seed)
    drawn = np.median(rng.choice(a, (RESAMPLED, len(a))), 1) / np.median(rng.choice(b, (RESAMPLED, len(b))), 1)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high))


def smallest_difference(nulls: Sequence[float]) -> float:
    """The smallest ratio that is called a difference: the largest that the same code has shown against itself."""
    return math.exp(max((abs(math.log(null)) for null in nulls), default=0.0))
