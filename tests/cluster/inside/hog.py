"""Take more memory than a worker has, on one of the workers; says how that ended."""

from __future__ import annotations

import os
import sys

import distributed

from benchmarks import metrics

if __name__ == "__main__":

    def fill(size: int) -> int:
        return len(b"x" * size)

    with distributed.Client(os.environ["DASK_SCHEDULER"], timeout=20) as client:
        worker = sorted(metrics.workers(client))[0]
        try:
            client.submit(fill, 3 << 30, pure=False, workers=[worker], allow_other_workers=True).result(timeout=240)
        except (distributed.KilledWorker, MemoryError) as error:
            sys.stdout.write(f"{type(error).__name__}\n")
