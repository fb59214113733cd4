"""What is measured of a run: names, units, and how far each number can be trusted."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Trust(Enum):
    """What a number is good for: some are the same in each run, some nearly, and some never."""

    EXACT = "exact"  # two runs of the same code do not differ: a difference is a change, and fails
    NEAR = "near"  # within some per cent: a difference warns
    PLOTTED = "plotted"  # noise on a shared machine by a factor of 2 or 3: looked at, and decides nothing


class Measure(NamedTuple):
    """One kind of number. All are costs: larger is worse."""

    unit: str
    trust: Trust
    says: str


# Bytes are those that workers tell of what tasks have made. Of a list or a dictionary dask looks at ten values that it
# draws by lot; the workers of an embedded cluster are told to look at all. On other clusters, where nothing is changed,
# the bytes of tasks that make lists (statistics of order in passes, polygons in groups) differ by some per cent.
MEASURES: dict[str, Measure] = {
    "tasks": Measure("tasks", Trust.EXACT, "in the optimized graph; inputs in memory and mere names are not counted"),
    "edges": Measure("edges", Trust.EXACT, "between these tasks"),
    "critical_path": Measure("tasks", Trust.EXACT, "on the longest chain"),
    "width": Measure("tasks", Trust.EXACT, "that share the most crowded distance from the inputs"),
    "graph_bytes": Measure("bytes", Trust.EXACT, "of the pickle that goes to the scheduler"),
    "eager_tasks": Measure("tasks", Trust.EXACT, "computed while the graph was built"),
    "bytes_read": Measure("bytes", Trust.EXACT, "that tasks have read of the inputs' blocks"),
    "output_bytes": Measure("bytes", Trust.EXACT, "of all that tasks have made"),
    "largest_chunk": Measure(
        "bytes", Trust.EXACT, "that a single task holds: the blocks that it reads, and what it makes"
    ),
    "kept_bytes": Measure("bytes", Trust.EXACT, "left in the workers' memory by a run that is over, beside its inputs"),
    "bytes_moved": Measure("bytes", Trust.NEAR, "between workers"),
    "bytes_spilled": Measure("bytes", Trust.NEAR, "written to disk because memory ran short"),
    "peak_worker_memory": Measure("bytes", Trust.NEAR, "of the process of the worker that had the most"),
    "build_seconds": Measure("seconds", Trust.PLOTTED, "until the graph was built"),
    "submit_seconds": Measure("seconds", Trust.PLOTTED, "until the scheduler had the graph"),
    "first_task_seconds": Measure("seconds", Trust.PLOTTED, "from submission until the first task began"),
    "compute_seconds": Measure("seconds", Trust.PLOTTED, "from submission to the result"),
    "cold_seconds": Measure(
        "seconds", Trust.PLOTTED, "of the first run on these workers, with imports and compilation"
    ),
    "cpu_seconds": Measure("seconds", Trust.PLOTTED, "of processor time that the tasks' threads took, summed"),
}


def of(trust: Trust) -> list[str]:
    """The names of the numbers that can be trusted so far."""
    return [name for name, measure in MEASURES.items() if measure.trust is trust]
