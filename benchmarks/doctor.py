"""What is connected, and whether a number measured there would mean something: one screen."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import distributed

from . import metrics, target
from .terminal import heading, say, seconds, size, table

BUSY = 25.0  # per cent of a worker's processor while nothing of ours runs
COMPARED = ("python", "dask", "distributed", "numpy", "msgpack", "cloudpickle")
PINGS = 20


def doctor() -> int:
    """Say what is connected; the status is 0 where measurements are valid."""
    where = target.address()
    if where is None:
        with target.session() as client:
            return _examine(client, None)
    client = target.open_client(where)
    try:
        target.ship_where_wanted(client)
        return _examine(client, where)
    finally:
        client.close()


def say_where(client: distributed.Client) -> None:
    """One line on the target."""
    workers = metrics.workers(client)
    threads = sum(worker["nthreads"] for worker in workers.values())
    memory = sum(worker["memory_limit"] for worker in workers.values())
    limit = f", {size(memory)} of memory" if memory else ""
    say(f"target: {target.tag()}, {len(workers)} workers with {threads} threads in all{limit}")


def facts(client: distributed.Client) -> dict[str, Any]:
    """What a record says of the target: its label and what it consists of, and no address."""
    workers = list(metrics.workers(client).values())
    return {
        "label": target.label(),
        "workers": len(workers),
        "threads": [worker["nthreads"] for worker in workers],
        "memory": [worker["memory_limit"] for worker in workers],
        "nannies": sum(bool(worker["nanny"]) for worker in workers),
        "hosts": len({worker["host"] for worker in workers}),
        "processes": metrics.workers_are_processes(client),
    }


def _examine(client: distributed.Client, where: str | None) -> int:
    heading(f"Target {target.tag()}: {where or f'embedded, since {target.ADDRESS} is not set'}")
    _versions(client)
    _workers(client)
    _others(client)
    found, remarks = list(problems(client)), list(_remarks(client))
    for remark in remarks:
        say(f"note: {remark}")
    for problem in found:
        say(f"problem: {problem}")
    say("\nA number measured here would " + ("NOT be valid." if found else "be valid."))
    return 1 if found else 0


def _versions(client: distributed.Client) -> None:
    found: dict[str, Any] = dict(client.get_versions())  # type: ignore[arg-type]
    codes = target.remote_code(client)
    here = target.local_code()
    workers = list(found["workers"].values())
    rows = [
        (
            name,
            *(_one([side]) for side in (_version(found["client"], name), _version(found["scheduler"], name))),
            _one([_version(worker, name) for worker in workers]),
        )
        for name in COMPARED
    ]
    of_workers = [code.hash or "missing" for who, code in codes.items() if who != "the scheduler"]
    rows.append(
        (
            f"code of {target.PACKAGE}",
            here.hash or "missing",
            codes["the scheduler"].hash or "missing",
            _one(of_workers),
        )
    )
    table(("", "here", "scheduler", "workers"), rows, left=4)


def _version(side: dict[str, Any], name: str) -> str:
    if name == "python":
        return str(side["host"]["python"]).rsplit(".", 2)[0]
    return str(side["packages"].get(name))


def _one(values: list[str]) -> str:
    """What all agree on, or the several."""
    return " / ".join(sorted(set(values)))


def _workers(client: distributed.Client) -> None:
    info = metrics.workers(client)
    rows = [
        (
            str(worker["name"]),
            str(worker["host"]) if platform.node() != worker["host"] else "here",
            str(worker["nthreads"]),
            size(worker["memory_limit"]) if worker["memory_limit"] else "no limit",
            "yes" if worker["nanny"] else "no",
            f"{worker['metrics']['cpu']:.0f} %",
        )
        for worker in info.values()
    ]
    say()
    table(("worker", "host", "threads", "memory", "nanny", "busy"), rows[:12], left=2)
    if len(rows) > 12:
        say(f"… {len(rows)} workers in all")


def _others(client: distributed.Client) -> None:
    times = []
    for _ in range(PINGS):
        began = time.perf_counter()
        client.run_on_scheduler(_nothing())
        times.append(time.perf_counter() - began)
    say(f"\nround trip: {seconds(statistics.median(times))}; other clients: {other_clients(client)}")


def problems(client: distributed.Client) -> Iterator[str]:
    """What makes every number wrong, in a sentence each."""
    here = target.local_code()
    for who, code in target.remote_code(client).items():
        if problem := target.difference(code, here):
            yield f"{who} {problem}"
    for address, worker in metrics.workers(client).items():
        if worker["metrics"]["cpu"] / worker["nthreads"] > BUSY:
            yield f"worker {address} is busy with something else: {worker['metrics']['cpu']:.0f} %"
    if others := other_clients(client):
        yield f"{others} other clients may use the workers at the same time"


def _remarks(client: distributed.Client) -> Iterator[str]:
    """What some numbers lack."""
    workers = metrics.workers(client).values()
    if not metrics.workers_are_processes(client):
        yield "workers are threads of this process: their memory cannot be told apart"
    if not all(worker["nanny"] for worker in workers):
        yield "workers without a nanny are gone for good when they run out of memory"
    if len({(worker["nthreads"], worker["memory_limit"]) for worker in workers}) > 1:
        yield "workers differ in threads or memory: a curve over their number means little"


def other_clients(client: distributed.Client) -> int:
    """How many clients the scheduler has beside this one."""
    return client.run_on_scheduler(_clients()) - 1


# Schedulers do not have this package. A function inside a function is pickled with its code.


def _nothing() -> Callable[[], None]:
    def nothing() -> None: ...

    return nothing


def _clients() -> Callable[..., int]:
    def count(dask_scheduler: Any) -> int:
        return sum(1 for name in dask_scheduler.clients if name.startswith("Client-"))

    return count
