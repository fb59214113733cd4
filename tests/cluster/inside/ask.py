"""What the cluster of DASK_SCHEDULER says, as JSON: how many tasks it has finished, where tasks run, its workers."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

import distributed

from benchmarks import metrics, target


def finished(client: distributed.Client) -> int:
    """How many tasks have come to a result since the scheduler started."""

    def count(dask_scheduler: Any) -> int:
        return sum(prefix.state_counts["memory"] for prefix in dask_scheduler.task_prefixes.values())

    return client.run_on_scheduler(count)


def hosts(client: distributed.Client) -> dict[str, Any]:
    """Where this client runs, and where tasks do."""

    def host(number: int) -> str:
        return socket.gethostname()

    found = client.gather(client.map(host, range(40), pure=False))
    return {"here": socket.gethostname(), "tasks": sorted(set(found))}


def workers(client: distributed.Client) -> list[dict[str, Any]]:
    """The workers' addresses, threads and limits of memory."""
    found = metrics.workers(client)
    return [{"address": a, "threads": w["nthreads"], "memory": w["memory_limit"]} for a, w in found.items()]


def code(client: distributed.Client) -> dict[str, Any]:
    """The hashes of the package's code, and dask's versions, here and on each of the others."""
    versions: dict[str, Any] = dict(client.get_versions(check=True))
    others = {"scheduler": versions["scheduler"], **versions["workers"]}
    return {
        "here": target.local_code().hash,
        "there": {who: code.hash for who, code in target.remote_code(client).items()},
        "different": [who for who, one in others.items() if one["packages"] != versions["client"]["packages"]],
    }


if __name__ == "__main__":
    with distributed.Client(os.environ["DASK_SCHEDULER"], timeout=20) as asking:
        print(json.dumps({f.__name__: f for f in (finished, hosts, workers, code)}[sys.argv[1]](asking)))
