"""Benchmarks of process_implementations.text."""

from __future__ import annotations

from openeo_processes_dask.process_implementations import text  # noqa: F401  (declares what is measured)

from .suite import Calls

LINE = "Lorem ipsum dolor sit amet"


class Text(Calls):
    examples = {
        "text_begins": ((LINE, "Lorem"), True),
        "text_concat": ((["Lorem", 1, True], " "), "Lorem 1 true"),
        "text_contains": ((LINE, "DOLOR", False), True),
        "text_ends": ((LINE, "ipsum"), False),
        "text_find": ((LINE, "ipsum"), 6),
    }
