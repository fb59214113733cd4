"""Constants are what they are called."""

from __future__ import annotations

import math

import numpy as np

from openeo_processes_dask.process_implementations import math as maths


def test_constants() -> None:
    assert maths.e() == math.e
    assert maths.pi() == math.pi
    assert math.isnan(maths.nan())
    block = np.ones(2)
    assert maths.constant(block) is block
