"""The distinct values of the process `absolute` on a cube of minus ones, computed by the workers, as JSON."""

from __future__ import annotations

import json
import sys

import dask.array as da
import distributed
import numpy as np

from benchmarks import target
from openeo_processes_dask.process_implementations import absolute

if __name__ == "__main__":
    where = str(target.address())
    client = distributed.Client(where, timeout=20) if "--whichever-code" in sys.argv else target.connect()
    ones = -da.ones((8, 8), chunks=4)
    sys.stdout.write(json.dumps(np.unique(absolute(ones).compute()).tolist()) + "\n")
    client.close()
