"""The processes: every function in this namespace is one, and every process is in it."""

from openeo_processes_dask import aliases, scheduling
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.process_implementations import (
    arrays,
    comparison,
    cubes,
    dates,
    development,
    logic,
    math,
    text,
    udf,
)

scheduling.forget_address()

# Consumers make their registries of the functions they find here; names that Python has taken start with "_".
globals().update(
    {
        f"_{n.strip('_')}" if n.endswith("_") else n: p.function
        for p in DECLARED.values()
        for n in (p.function.__name__,)
    }
)
globals().update({name: aliases.function(name, __name__) for name in aliases.PROCESSES})
