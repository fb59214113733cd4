"""Strong scaling on the cluster of DASK_SCHEDULER: fixed work on some of its workers, in interleaved rounds, as JSON.

What is measured: equal tasks that only use the processor, and processes that keep blocks where they are, bring partial
results together, or bring the values themselves together.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import distributed
import numpy as np

from benchmarks import inputs, target
from benchmarks.scenes import synthetic
from openeo_processes_dask.process_implementations import ndvi, reduce_dimension

BLOCKS = 32
SHAPE, CHUNKS = (32, 2, 256, 256), (4, 2, 128, 128)  # 32 blocks of half a megabyte, 8 of them over time
TIMEOUT = 240


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    asked = parser.parse_args()
    client = target.connect()
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    for work in asked.work:
        WORK[work](client, workers)  # imports and compiles what there is
    found = []
    for round_ in range(asked.rounds):
        cases = [(work, count) for work in asked.work for count in asked.workers]
        random.Random(round_).shuffle(cases)
        for work, count in cases:
            found.append({"work": work, "workers": count, "round": round_, **WORK[work](client, workers[:count])})
    sys.stdout.write(json.dumps(found) + "\n")
    target.close()


def burn(client: distributed.Client, workers: list[str]) -> dict[str, Any]:
    """Equal tasks of a tenth of a second of a whole processor."""

    def turn(number: int) -> tuple[str, int]:
        total = 0
        for value in range(1_500_000):
            total += value * number
        return socket.gethostname(), total

    began = time.perf_counter()
    tasks = client.map(turn, range(BLOCKS), workers=workers, allow_other_workers=False, pure=False)
    done = client.gather(tasks)
    seconds = time.perf_counter() - began
    right = [total for _, total in done] == [1_500_000 * 1_499_999 // 2 * number for number in range(BLOCKS)]
    return {"seconds": seconds, "hosts": len({host for host, _ in done}), "moved": 0, "right": right}


def process(build: Callable[[Any], Any]) -> Callable[[distributed.Client, list[str]], dict[str, Any]]:
    """A process on a cube that lies in the memory of the workers, in equal shares of neighbours."""

    def run(client: distributed.Client, workers: list[str]) -> dict[str, Any]:
        cube = synthetic(SHAPE, CHUNKS, salt=uuid.uuid4().hex)
        held = client.persist(cube, workers=workers, allow_other_workers=False)
        distributed.wait(distributed.futures_of(held), timeout=TIMEOUT)
        result = build(held)
        before = moved(client)
        began = time.perf_counter()
        kept = client.persist(result, workers=workers, allow_other_workers=False)
        distributed.wait(distributed.futures_of(kept), timeout=TIMEOUT)
        seconds = time.perf_counter() - began
        sent = moved(client) - before
        hosts = {host for places in client.who_has(distributed.futures_of(kept)).values() for host in places}
        wanted = build(inputs.loaded(cube))
        np.testing.assert_allclose(kept.compute(), wanted, rtol=1e-5, atol=1e-6)
        return {
            "seconds": seconds,
            "hosts": len(hosts),
            "moved": sent,
            "right": True,
            "cube": cube.nbytes,
        }

    return run


def moved(client: distributed.Client) -> int:
    """Bytes that workers have sent to others so far."""

    def read(dask_worker: Any) -> int:
        return dask_worker.transfer_outgoing_bytes_total

    return sum(client.run(read).values())


WORK: dict[str, Callable[[distributed.Client, list[str]], dict[str, Any]]] = {
    "burn": burn,
    "ndvi": process(lambda cube: ndvi(cube, nir="B03", red="B02")),
    "mean over time": process(lambda cube: reduce_dimension(cube, "mean", "t")),
    "median over time": process(lambda cube: reduce_dimension(cube, "median", "t")),
}

if __name__ == "__main__":
    main()
