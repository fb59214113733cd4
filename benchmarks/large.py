"""Graphs of cubes far larger than any memory: how long each suite takes to build its graph, and in how much memory."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import dask.base
from dask.utils import parse_bytes

from . import remote
from .suite import Size, Suite, suites
from .terminal import number, progress, say, seconds, size, table

CHUNK = (8, 4, 1024, 1024)  # of float32: 128 MiB
MOST_SECONDS = 30.0
MOST_BYTES = 2e9
PATIENCE = 300.0  # seconds until one that does not end is given up
LARGE = "large"
OF_FILES = "cubes.load"  # whose cubes are as large as their files


class Built(NamedTuple):
    """What building one graph took.

    Seconds are those of the processor, which other jobs do not lengthen; `bytes` is the peak beyond what the process
    held before, NaN where its system does not say.
    """

    case: str
    tasks: int = 0
    build: float = math.nan
    optimize: float = math.nan
    bytes: float = math.nan
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether it keeps the promise of a cube of 4 TiB."""
        much = self.bytes > MOST_BYTES  # not where a system does not tell its memory
        return not self.error and self.build <= MOST_SECONDS and not much


def cube_of(total: float) -> Size:
    """A cube of so many bytes, in equal chunks, of which there are about as many along time, y and x."""
    counts = [1, 1, 1, 1]
    one = 4 * math.prod(CHUNK)
    for axis in itertools.cycle((0, 3, 2)):
        if math.prod(counts) * one >= total:
            break
        counts[axis] *= 2
    return Size(tuple(n * c for n, c in zip(counts, CHUNK, strict=True)), CHUNK)


def large(total: str, patterns: Sequence[str]) -> int:
    """Build the graph of each suite on a cube of so many bytes, each in a process of its own; nothing is computed."""
    chosen = [
        (name, index, case)
        for name, suite in suites().items()
        if suite.lazy() and suite.sizes is Suite.sizes and not name.startswith(OF_FILES)
        if not patterns or any(pattern in name for pattern in patterns)
        for index, case in enumerate(suite.cases())
    ]
    cube = cube_of(parse_bytes(total))
    say(f"{size(4 * math.prod(cube.shape))} in chunks of {size(4 * math.prod(cube.chunks))}: {cube.shape}")
    found = []
    with progress("graphs") as step:
        for done, (name, index, case) in enumerate(chosen):
            step(done / len(chosen), name)
            found.append(_apart(name, index, total)._replace(case=f"{name}({', '.join(map(str, case))})"))
    table(("case", "tasks", "build", "optimize", "peak", "error"), [_row(one) for one in found])
    bad = [b.case for b in found if not b.good]
    limits = f"{MOST_SECONDS:.0f} s or {size(MOST_BYTES)}"
    say(f"\n{len(bad)} of {len(found)} take more than {limits}: {', '.join(bad) or 'none'}")
    return int(bool(bad))


def _row(built: Built) -> tuple[str, ...]:
    if built.error:
        return (built.case, "", "", "", "", built.error)
    return (built.case, number(built.tasks), *map(seconds, (built.build, built.optimize)), size(built.bytes), "")


def _apart(name: str, index: int, total: str) -> Built:
    command = [sys.executable, "-m", f"{__package__}.large", name, str(index), total]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return Built(name, error=f"not built in {PATIENCE:.0f} s")
    if done.returncode:
        return Built(name, error=(done.stderr.strip().splitlines() or ["ended without a word"])[-1][:120])
    return Built(**json.loads(done.stdout.splitlines()[-1]))


def build(name: str, index: int, total: str) -> Built:
    """Build one graph in this process and say what it took."""
    kind = suites()[name]
    kind.sizes = {**kind.sizes, LARGE: cube_of(parse_bytes(total))}
    suite = kind()
    suite.size = LARGE
    case = kind.cases()[index]
    suite.draw(*case)
    remote.forget_peak()()  # that of the process which started this one, or of drawing the inputs
    before, began = remote.peak()(), time.process_time()
    made = suite.build(*case)
    built = time.process_time()
    (optimized,) = dask.base.optimize(made)
    tasks = len(dict(optimized.__dask_graph__()))
    return Built(name, tasks, built - began, time.process_time() - built, remote.peak()() - before)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.stdout.write(json.dumps(build(sys.argv[1], int(sys.argv[2]), sys.argv[3])._asdict()) + "\n")
