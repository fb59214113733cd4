"""Where dask computes: DASK_SCHEDULER may hold an address, which dask by itself takes for something else."""

from __future__ import annotations

import dask


def forget_address() -> None:
    """Undo what dask makes of an address in DASK_SCHEDULER.

    Every variable that begins with DASK_ becomes a setting, so that `scheduler` is an address where dask expects
    a word such as "threads", and each computation without a client fails.
    """
    if "://" in str(dask.config.get("scheduler", None)):
        dask.config.set(scheduler=None)
