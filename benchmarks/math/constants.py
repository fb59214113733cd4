"""Benchmarks of process_implementations.math.constants."""

from __future__ import annotations

import math

from openeo_processes_dask.process_implementations.math import constants  # noqa: F401  (declares what is measured)

from ..suite import Calls


class Constants(Calls):
    examples = {"constant": ((5,), 5), "e": ((), math.e), "nan": ((), math.nan), "pi": ((), math.pi)}
