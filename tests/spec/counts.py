"""How many vectors of each process are run in which way, and why others are not: `python -m tests.spec.counts`."""

from __future__ import annotations

import collections

import xarray as xr

from openeo_processes_dask.declare import DECLARED
from tests.spec import mended, official
from tests.spec.test_vectors import (
    ARRAYS,
    DISAGREED,
    EVERY,
    NOT_OF_VALUES,
    ON_CUBES,
    OPERANDS,
    Case,
)
from tests.spec.test_vectors_in_cubes import ROWS


def place(case: Case) -> str:
    """Where a vector is run beside on plain values, or why nowhere else."""
    data = case.arguments.get("data", [])
    if {case.process, *case.test.get("required", ())} - set(DECLARED):
        return "not run: a process is not written"
    if case in ON_CUBES:
        return "cubes"
    if case in ROWS:
        return "arrays and rows of cubes"
    if case in ARRAYS:
        return "arrays; a cube has no rows without values"
    if case in OPERANDS:
        return "arrays and values of cubes"
    if case.process in NOT_OF_VALUES or isinstance(data, xr.DataArray):
        return "plain: about labels"
    if isinstance(data, list) and data:
        return "plain: a list of mixed types, of texts, or with NaN that is no no-data"
    return "plain: about single values of other types, NaN beside no-data, or nothing given"


def table() -> list[str]:
    """A line for each process, and one for each place."""
    per: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for process, tests in official.vectors().items():
        per[process]["vectors"] += len(tests)
    for process, index in official.errata():
        per[process]["errata"] += 1
        per[process]["mended"] += (process, index) in mended.SLIPS
    for process, _ in DISAGREED:
        per[process]["disagreed"] += 1
    places: collections.Counter[str] = collections.Counter()
    for case in EVERY:
        where = place(case)
        places[where] += 1
        per[case.process]["run"] += not where.startswith("not run")
        per[case.process]["beyond"] += not where.startswith(("not run", "plain"))
    columns = ("vectors", "errata", "mended", "disagreed", "run", "beyond")
    lines = [f"{'process':28}" + "".join(f"{column:>10}" for column in columns)]
    for name in sorted(per):
        if per[name]["vectors"]:
            lines.append(f"{name:28}" + "".join(f"{per[name][column]:10}" for column in columns))
    total = [sum(counts[column] for counts in per.values()) for column in columns]
    lines.append(f"{'in all':28}" + "".join(f"{count:10}" for count in total))
    return [*lines, "", *(f"{count:5}  {where}" for where, count in places.most_common())]


if __name__ == "__main__":
    print("\n".join(table()))
