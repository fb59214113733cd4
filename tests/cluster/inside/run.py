"""Run one of the three workflows on the cluster of DASK_SCHEDULER, or embedded, and tell how far it is.

Prints JSON, one object a line: the process, then the tasks finished so far, then the result or the error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import distributed

from benchmarks import examples, target
from openeo_processes_dask.exceptions import OpenEOException
from openeo_processes_dask.execution import execute


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("workflow", choices=examples.names())
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="suites")
    asked = parser.parse_args()
    say(process=os.getpid())
    scene = examples.scene(asked.size)
    client = target.connect()
    path = (asked.folder / f"{asked.workflow}{examples.SUFFIXES[asked.workflow]}").absolute()
    ended = threading.Event()
    threading.Thread(target=tell, args=(client, ended), daemon=True).start()
    began = time.monotonic()
    try:
        execute(examples.document(asked.workflow), examples.parameters(asked.workflow, scene, path))
    except (OSError, RuntimeError, OpenEOException, distributed.CancelledError) as error:  # what a lost cluster ends in
        say(error=type(error).__name__, message=str(error), seconds=time.monotonic() - began)
        return 1
    finally:
        ended.set()
    say(result=str(path), seconds=time.monotonic() - began)
    return 0


def tell(client: distributed.Client, ended: threading.Event) -> None:
    """Say how many tasks have been finished since the start, five times a second."""

    def count(dask_scheduler: Any) -> int:
        return sum(prefix.state_counts["memory"] for prefix in dask_scheduler.task_prefixes.values())

    before = client.run_on_scheduler(count)
    while not ended.wait(0.2):
        try:
            say(tasks=client.run_on_scheduler(count) - before)
        except OSError:  # the scheduler is gone, which the workflow will say
            return


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # a client whose scheduler is gone takes its time to say goodbye
