"""Hold more on a worker than it keeps in memory, so that it must spill; the values must be right all the same."""

from __future__ import annotations

import os
import sys

import distributed
import numpy as np

SIZE = 10_000_000  # bytes of each block
SHARE = 0.62  # of the memory: it spills at 0.6 and pauses at 0.8, and its modules take 0.15

if __name__ == "__main__":

    def block(number: int) -> np.ndarray:
        return np.full(SIZE, number % 251, dtype="uint8")

    def total(values: np.ndarray) -> int:
        return int(values.sum(dtype="int64"))

    with distributed.Client(os.environ["DASK_SCHEDULER"], timeout=20) as client:
        address, worker = sorted(client.scheduler_info(n_workers=-1)["workers"].items())[0]
        count = int(SHARE * worker["memory_limit"] / SIZE)
        blocks = client.map(block, range(count), workers=[address], pure=False)
        distributed.wait(blocks, timeout=120)
        found = client.gather(client.map(total, blocks, pure=False))
        assert found == [SIZE * (number % 251) for number in range(count)]
        sys.stdout.write(f"right: {count} blocks of {SIZE} bytes\n")
