"""Cubes of ten times a worker's memory: whether they pass through each suite on one worker with that limit."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import dask.array as da
import dask.threaded
import distributed
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.utils import parse_bytes

from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.vocabulary import Scaling

from . import inputs, metrics, remote, store
from .suite import Size, Suite, suites
from .terminal import say, seconds, size, table

TIMES = 10
CHUNK = (6, 4, 192, 192)  # of float32: 3.4 MiB
ROOM = 128 * 2**20  # bytes beside what the worker has imported
PATIENCE = 900.0  # seconds for a case, which says nothing of how fast it is
LOCAL: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
SIZE = "bounded"
COLUMNS = ("case", "cube", "spilled", "peak", "seconds", "")
RESULT = store.ROOT / "results" / "bounded.md"
OF_FILES = ("cubes.load", "cubes.save", "cubes.vector")  # whose cubes are as large as their files
# These bring all dates together; of the processes on windows the one whose windows the caller lets see all of them.
WHOLE = ("cubes.apply.ApplyNeighborhood", "cubes.curves.FitCurve", "cubes.resample.ResampleCubeTemporal")
# Up to where a worker keeps results, and where it begins to spill and pauses: shares of what is left beside modules.
SHARES = {"target": 0.6, "spill": 0.7, "pause": 0.85}


class Passed(NamedTuple):
    """How a cube passed: its bytes, those that were spilled, the worker's most memory, and whether the result is right.

    It is held to what this process computes of its last block, in which rims and edges of the cube lie.
    """

    case: str
    bytes: float = math.nan
    spilled: float = math.nan
    peak: float = math.nan
    seconds: float = math.nan
    right: bool = True
    error: str = ""

    def bad(self, limit: float, may_spill: bool) -> str:
        """What of it breaks the promise; nothing if it keeps it."""
        if self.error:
            return self.error
        if not self.right:
            return "the result is another one than in this process"
        if self.spilled and not may_spill:
            return f"{size(self.spilled)} were spilled"
        return f"{size(self.peak)} were held" if self.peak > limit else ""


@contextlib.contextmanager
def one_worker(limit: int = 0) -> Iterator[distributed.Client]:
    """Give the client of one worker of one thread, a process of its own; without a limit it is this machine's."""
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(**options, memory_limit=limit or "auto", **LOCAL) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def cube_of(total: float, chunks: tuple[int, ...] = CHUNK) -> Size:
    """A cube of at least so many bytes in equal chunks, four along time and as many along y as along x."""
    one = 4 * math.prod(chunks)
    across = math.ceil(math.sqrt(total / one / 4))
    counts = (4, 1, across, across)
    return Size(tuple(n * c for n, c in zip(counts, chunks, strict=True)), chunks)


def made_there(cube: xr.DataArray) -> xr.DataArray:
    """The cube with blocks that the task which needs them makes itself, and that take as much memory as they should."""
    block = functools.partial(np.full, fill_value=1, dtype=cube.dtype)  # of numpy: this package workers may lack
    shapes = itertools.product(*cube.data.chunks)
    blocks = itertools.product(*map(range, cube.data.numblocks))
    name = f"made-{tokenize(cube.data.name)}"
    layer = {(name, *index): (block, shape) for index, shape in zip(blocks, shapes, strict=True)}
    return cube.copy(data=da.Array(layer, name, cube.data.chunks, meta=cube.data._meta))


def cases(patterns: Sequence[str] = ()) -> list[tuple[str, tuple[Any, ...]]]:
    """The cases of all suites on cubes, or of those whose name contains one of the patterns."""
    return [
        (name, case)
        for name, suite in suites().items()
        if name.startswith(("cubes.", "udf.")) and not name.startswith(OF_FILES)
        if not patterns or any(pattern in name for pattern in patterns)
        for case in suite.cases()
    ]


def passed(client: distributed.Client, name: str, case: tuple[Any, ...], cube: Size) -> Passed:
    """Let a cube pass through a suite on a worker, and out of it block by block, as into a file."""
    kind = suites()[name]
    suite: Suite = kind()
    suite.sizes = {**kind.sizes, SIZE: cube}  # type: ignore[misc]
    suite.size, suite.prepare = SIZE, made_there
    title, given = f"{name}({', '.join(map(repr, case))})", 4.0 * math.prod(cube.shape)
    found: dict[Any, Any] = {}
    stream: list[dict[Any, Any]] = []

    def work() -> None:
        with client.as_current():  # on which a process that needs values at once computes them
            suite.inputs(*case)
            stream.append(inputs.streamed(suite.build(*case)))
        found.update(_taken(client, *stream))

    try:
        client.run(remote.give_back())  # what the case before has freed
        run = metrics.measure(client, lambda: None, work)
    except (TimeoutError, distributed.KilledWorker, MemoryError, OSError) as error:  # OSError: it was ended meanwhile
        return Passed(title, given, error=f"{type(error).__name__}: {error}")
    lost = run.flags.get("lost-workers", "")
    last = list(found)[-1:]
    right = all(np.array_equal(found[key], _computed_here(stream[0], key), equal_nan=True) for key in last)
    return Passed(title, given, run.bytes_spilled, run.peak_worker_memory, run.compute_seconds, right, lost)


def _computed_here(graph: dict[Any, Any], key: Any) -> Any:
    return dask.threaded.get(graph, key, num_workers=1)


def _taken(client: distributed.Client, graph: dict[Any, Any]) -> dict[Any, Any]:
    """The results of what in a graph nothing else needs, each let go on the worker as soon as it is here."""
    keys = inputs.ends(graph)
    futures = client.get(graph, keys, sync=False)
    found = {}
    for future in distributed.as_completed(futures, timeout=PATIENCE, loop=client.loop):
        found[future.key] = future.result()
        future.release()
    return {key: found[key] for key in keys}


def narrowed(client: distributed.Client, chosen: Sequence[tuple[str, tuple[Any, ...]]]) -> int:
    """Leave a worker so much room beside what it has imported and compiled for some cases, and say how much that is.

    A few chunks have passed through each case then. A single one would not do: without neighbours there are other
    tasks, and small planes are not worth compiling for. A worker that had been started with a small limit would not
    do either: what compiling takes is told only by the one that compiled.

    Raises
    ------
    RuntimeError
        If a few chunks do not pass even without a limit.
    """
    few = Size((2 * CHUNK[0], CHUNK[1], 2 * CHUNK[2], 2 * CHUNK[3]), CHUNK)
    for name, case in chosen:
        one = passed(client, name, case, few)
        if one.error:
            raise RuntimeError(f"{one.case}: not even a few chunks pass: {one.error}")
    client.run(remote.give_back())
    client.run(remote.forget_peak())
    taken = int(max(client.run(remote.peak()).values()))
    client.run(remote.narrow(), limit=taken + ROOM, held=taken, shares=SHARES)
    client.run(remote.end_above(), limit=taken + ROOM, nanny=True)
    return taken


def may_spill(name: str, case: tuple[Any, ...]) -> bool:
    """Whether a case may: its process brings a whole dimension together, or its reducer needs that."""
    shuffles = any(DECLARED[id_].scaling is Scaling.SHUFFLE for id_ in suites()[name].ids())
    return shuffles or name in WHOLE or "median" in case


def bounded(patterns: Sequence[str], memory: str | None = None) -> int:
    """Let a cube of ten times a worker's memory pass through each suite on one worker with that limit.

    Without a limit it is what its modules take and 128 MiB; the cube then has ten times these 128 MiB.
    """
    chosen = cases(patterns)
    limit = int(parse_bytes(memory)) if memory else 0
    cube = cube_of(TIMES * (limit or ROOM))
    say(f"{size(4 * math.prod(cube.shape))} in chunks of {size(4 * math.prod(cube.chunks))}")
    found = []
    with contextlib.ExitStack() as stack:
        client: distributed.Client | None = None
        taken = 0
        for number, (name, case) in enumerate(chosen, 1):
            if client is None:  # the first, or the one before was lost or is still busy
                client = stack.enter_context(one_worker(limit))
                taken = 0 if memory else narrowed(client, chosen)
                told = f", of which it holds {size(taken)} anyway" if taken else ""
                say(f"one worker of {size(limit or taken + ROOM)}{told}")
            one = passed(client, name, case, cube)
            bad = one.bad(limit or taken + ROOM, may_spill(name, case))
            say(f"{number}/{len(chosen)}  {'  '.join(_row(one, bad))}")
            sys.stdout.flush()
            found.append((one, bad))
            store.append(_record(one, name, case, limit or taken + ROOM, taken, bad))
            if one.error:
                stack.close()
                client = None
    table(COLUMNS, [_row(*one) for one in found])
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(_row(*one) for one in found)]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
    say(f"{RESULT} has the same table")
    return int(any(bad for _, bad in found))


def _row(one: Passed, bad: str) -> tuple[str, ...]:
    return one.case, size(one.bytes), size(one.spilled), size(one.peak), seconds(one.seconds), bad or "passed"


def _record(one: Passed, name: str, case: tuple[Any, ...], limit: int, taken: int, bad: str) -> store.Record:
    samples = {} if one.error else {"bytes_spilled": [one.spilled], "peak_worker_memory": [one.peak]}
    params = dict(zip(suites()[name].param_names, case, strict=True))
    told = {"limit": limit, "modules": taken, "bytes": one.bytes}
    return store.record("bounded", name, params, samples, size=SIZE, settings=told, error=bad or None)
