"""Strong scaling on the cluster of DASK_SCHEDULER: fixed work on some of its workers, in interleaved rounds.

Prints a record of a sweep as JSON for each kind of work: equal tasks that only use the processor, and processes that
keep blocks where they are, bring partial results together, or bring the values themselves together.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import random
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import distributed
import numpy as np
import xarray as xr

from benchmarks import inputs, metrics, store, target
from benchmarks.scaling import crew
from benchmarks.scaling.curves import Curve
from benchmarks.scaling.subjects import STRONG
from benchmarks.scaling.sweep import judged
from benchmarks.scenes import synthetic
from openeo_processes_dask.process_implementations import ndvi, reduce_dimension

BURN = "equal tasks"
TASKS, STEPS = 32, 600_000
# 64 blocks of a megabyte, of which 4 hold all dates of a pixel: shares of neighbours put them on as many workers.
SHAPE, CHUNKS = (128, 2, 256, 256), (32, 2, 64, 64)
OWN, SHARED = (128, 2, 64, 64), (128, 2, 128, 128)  # to warm up: small blocks would come to no compiled loop
ITEM = 4  # bytes of a value
TIMEOUT = 240

Build = Callable[[Any], Any]
PROCESSES: dict[str, Build] = {
    "ndvi": lambda cube: ndvi(cube, nir="B03", red="B02"),
    "mean over time": lambda cube: reduce_dimension(cube, "mean", "t"),
    "median over time": lambda cube: reduce_dimension(cube, "median", "t"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", nargs="+", choices=[BURN, *PROCESSES], default=[BURN, *PROCESSES])
    parser.add_argument("--times", type=int, default=2, help="that each run of a process does the work")
    parser.add_argument("--label", default="compose")
    asked = parser.parse_args()
    client = target.connect()
    workers = sorted(metrics.workers(client))
    warm_up(client, workers, asked.work)
    found: dict[str, list[dict[str, Any]]] = {work: [] for work in asked.work}
    shuffle = random.Random(0)
    for round_ in range(asked.rounds):
        for count in shuffle.sample(asked.workers, len(asked.workers)):
            works = shuffle.sample(asked.work, len(asked.work))
            held = inputs.Held(client, workers[:count])
            for work in works:
                samples = burn(client, workers[:count]) if work == BURN else run(client, held, work, asked.times)
                found[work].append(point(work, count, round_, samples, asked.times))
    records = [
        record(client, f"{asked.label}, {work}", of, asked.rounds, 1 if work == BURN else asked.times)
        for work, of in found.items()
    ]
    sys.stdout.write(json.dumps(records) + "\n")
    target.close()


def warm_up(client: distributed.Client, workers: list[str], works: list[str]) -> None:
    """Let each worker import what there is, at the same time, and connect them with each other."""
    for work in works:
        if work != BURN:
            wanted(work)  # compiled here by a whole processor, into the checkout that all of them see
    burn(client, workers)
    chosen = [PROCESSES[work] for work in works if work != BURN]
    small = [
        client.persist(build(synthetic(OWN, CHUNKS, salt=worker)), workers=[worker], allow_other_workers=False)
        for worker in workers
        for build in chosen
    ]
    distributed.wait(distributed.futures_of(small), timeout=TIMEOUT)
    together = inputs.Held(client, workers)
    for build in chosen:
        client.persist(build(together(synthetic(SHARED, CHUNKS)))).load()


def point(work: str, count: int, round_: int, samples: dict[str, float], times: int) -> dict[str, Any]:
    """A run, as records of sweeps have it."""
    chunks = TASKS if work == BURN else times * math.prod(-(-n // m) for n, m in zip(SHAPE, CHUNKS, strict=True))
    size = 0 if work == BURN else times * math.prod(SHAPE) * ITEM
    about: dict[str, Any] = {"restricted": True, "round": round_, "probe": "", "bytes": size, "chunks": chunks}
    return {"threads": count, "workers": count, "samples": samples, **about}


def burn(client: distributed.Client, workers: list[str]) -> dict[str, float]:
    """Equal tasks of some hundredths of a second of a whole processor."""

    def turn(number: int) -> tuple[str, int]:
        total = 0
        for value in range(STEPS):
            total += value * number
        return socket.gethostname(), total

    began = time.perf_counter()
    tasks = client.map(turn, range(TASKS), workers=workers, allow_other_workers=False, pure=False)
    done = client.gather(tasks)
    seconds = time.perf_counter() - began
    assert [total for _, total in done] == [STEPS * (STEPS - 1) // 2 * number for number in range(TASKS)]
    return {"compute_seconds": seconds, "bytes_moved": 0, "hosts": len({host for host, _ in done})}


def run(client: distributed.Client, held: inputs.Held, work: str, times: int) -> dict[str, float]:
    """Run a process on blocks that lie in the memory of workers, so many times in one go, each under other names."""
    results = [PROCESSES[work](held(synthetic(SHAPE, CHUNKS))) for _ in range(times)]
    before = moved(client)
    began = time.perf_counter()
    kept = client.persist(results, workers=held.workers, allow_other_workers=False)
    distributed.wait(distributed.futures_of(kept), timeout=TIMEOUT)
    seconds = time.perf_counter() - began
    sent = moved(client) - before
    hosts = {host for places in client.who_has(distributed.futures_of(kept)).values() for host in places}
    assert hosts <= set(held.workers)  # none but those that were asked for
    np.testing.assert_allclose(fetched(client, kept[-1]), wanted(work), rtol=1e-5, atol=1e-6)
    return {"compute_seconds": seconds, "bytes_moved": sent, "hosts": len(hosts)}


def fetched(client: distributed.Client, cube: xr.DataArray) -> xr.DataArray:
    """A cube of the workers' memory here; to compute it would first bring all of it to one of them."""
    futures = {future.key: future for future in distributed.futures_of(cube)}
    blocks: dict[Any, Any] = client.gather(futures)
    here = da.Array(blocks, cube.data.name, cube.data.chunks, meta=cube.data._meta)
    return inputs.loaded(cube.copy(data=here))


@functools.cache
def wanted(work: str) -> xr.DataArray:
    """What numpy makes of the same cube here."""
    result: xr.DataArray = PROCESSES[work](inputs.loaded(synthetic(SHAPE, CHUNKS)))
    return result


def moved(client: distributed.Client) -> int:
    """Bytes that workers have sent to others so far."""

    def read(dask_worker: Any) -> int:
        return dask_worker.transfer_outgoing_bytes_total

    return sum(client.run(read).values())


def record(client: distributed.Client, label: str, of: list[dict[str, Any]], rounds: int, times: int) -> store.Record:
    """What `python -m benchmarks report` reads of a sweep."""
    made = store.record(
        "sweep",
        settings={"title": "fixed work on containers", "mode": STRONG, "rounds": rounds, "times": times},
        points=of,
        growth=[],
        crew=crew.crew(client).facts(),
        size="swept",
    )
    made["target"] = {"label": label}
    made["flags"] = dict(judged(Curve(made)))
    return made


if __name__ == "__main__":
    main()
