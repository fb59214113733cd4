"""Benchmarks of process_implementations.dates."""

from __future__ import annotations

from openeo_processes_dask.process_implementations import dates  # noqa: F401  (declares what is measured)

from .suite import Calls


class Dates(Calls):
    examples = {
        "date_between": (("2020-07-23", "2020-01-01", "2021-01-01"), True),
        "date_difference": (("2020-01-01T00:00:00Z", "2020-03-01T12:00:00Z", "day"), 60.5),
        "date_shift": (("2020-01-31", 1, "month"), "2020-02-29"),
    }
