"""Run workflows on a mini-backend for a while and break it at random: python -m tests.cluster.soak --minutes 15.

Every result must be right, or the error one that a fault explains, with nothing half-written; and neither scheduler
nor workers may grow. Not part of the tests, since it takes as long as it is told to.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.backend import Backend, copy_of_the_checkout, started, sweep, why_not
from tests.cluster.workflows import WORKFLOWS, running, same

HERE = Path(__file__).parent
WORKERS = 3
GROWTH = 1.3  # times the memory of the first third, at most, in the last third


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if problem := why_not():
        raise SystemExit(problem)
    sweep()
    with tempfile.TemporaryDirectory() as folder:
        checkout = copy_of_the_checkout(Path(folder, "openeo-processes-dask"))
        with started(Backend(checkout, "soak", files=[HERE / "faults.yml"]), WORKERS) as backend:
            return soak(backend, asked.minutes * 60, random.Random(asked.seed))


def soak(backend: Backend, seconds: float, chance: random.Random) -> int:
    began = time.monotonic()
    outcomes: dict[str, int] = {}
    memory: dict[str, list[int]] = {"scheduler": [], "worker": []}
    while time.monotonic() - began < seconds:
        fault = chance.choice([nothing, nothing, kill_a_worker, restart_a_worker, restart_the_scheduler])
        workflow = chance.choice(WORKFLOWS)
        with running(backend, workflow) as run:
            run.wait_for_tasks(chance.randrange(1, 4))
            fault(backend, chance)
            end = run.end()
        if "result" in end:
            assert "2 equal" in same(run), end
        else:
            assert fault is restart_the_scheduler, (end, run.other[-20:])  # a lost worker is made up for
            assert run.left() == [], run.left()
        how = f"{fault.__name__}: {'right result' if 'result' in end else end.get('error', 'no word')}"
        outcomes[how] = outcomes.get(how, 0) + 1
        backend.up(WORKERS)
        for service, seen in memory.items():
            seen.append(largest(backend, service))
        held = ", ".join(f"{service} {seen[-1] / 1e6:.0f} MB" for service, seen in memory.items())
        say(f"{time.monotonic() - began:6.0f} s  {workflow}, {how}; {held}")
    third = max(len(memory["worker"]) // 3, 1)
    grown = {
        service: {"first": statistics.median(seen[:third]), "last": statistics.median(seen[-third:])}
        for service, seen in memory.items()
    }
    say(json.dumps({"runs": len(memory["worker"]), "outcomes": outcomes, "bytes": grown}, indent=1))
    return 0 if all(held["last"] <= GROWTH * held["first"] for held in grown.values()) else 1


def nothing(backend: Backend, chance: random.Random) -> None: ...


def kill_a_worker(backend: Backend, chance: random.Random) -> None:
    backend.run("docker", "kill", chance.choice(backend.containers("worker")))


def restart_a_worker(backend: Backend, chance: random.Random) -> None:
    backend.run("docker", "restart", "--time", "0", chance.choice(backend.containers("worker")))


def restart_the_scheduler(backend: Backend, chance: random.Random) -> None:
    backend.run("docker", "restart", "--time", "1", *backend.containers("scheduler"))


def largest(backend: Backend, service: str) -> int:
    """Bytes that the largest process of a service holds, of all its containers."""
    status = "awk '/VmRSS/ {print $2}' /proc/[0-9]*/status 2>/dev/null || true"  # processes may end meanwhile
    found = [backend.run("docker", "exec", name, "bash", "-c", status) for name in backend.containers(service)]
    return max(int(kilobytes) for one in found for kilobytes in one.split()) * 1024


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
