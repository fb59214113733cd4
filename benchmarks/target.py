"""Where suites run: at the scheduler that DASK_SCHEDULER names, or on a small cluster inside this process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dask
import distributed
from distributed.comm.core import connect as open_comm
from distributed.security import Security

from . import remote, shipping

ADDRESS = "DASK_SCHEDULER"
LABEL = "OPENEO_BENCHMARKS_LABEL"  # given by whoever runs on several clusters
TAG = "OPENEO_BENCHMARKS_TARGET"  # what results are stored under: the label, and the size if that is special
SIZE = "OPENEO_BENCHMARKS_SIZE"
CHECKED = "OPENEO_BENCHMARKS_CHECKED"
EMBEDDED = "embedded"
EXTERNAL = "external"
PACKAGE = "openeo_processes_dask"
TLS = "DASK_DISTRIBUTED__COMM__TLS__"  # how the names of dask's variables on it begin
PATIENCE = 4.0  # seconds until an address that nobody answers at is given up
PATIENCE_FOR_WORKERS = 20.0

# No dashboard, and any free port for the server that dask starts all the same: with the usual one it warns when
# there are two clusters on a machine.
QUIET: dict[str, Any] = {
    "dashboard_address": None,
    "scheduler_kwargs": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
}

# What comes of reading another server's answer as lengths and pickles.
GIBBERISH = (EOFError, MemoryError, OverflowError, TypeError, AttributeError, KeyError, ImportError)


class TargetError(RuntimeError):
    """The target cannot be used: says which one, why, and what to do."""


@dataclass(frozen=True)
class Code:
    """What a process would run: the package's code by its hash, and the Python it would run in."""

    hash: str | None
    python: str
    stale: bool = False  # files were changed after the process had imported them


def address() -> str | None:
    """The address that DASK_SCHEDULER holds, if it holds one."""
    return os.environ.get(ADDRESS, "").strip() or None


def label() -> str:
    """A short name of the target, to store results under; never its address, which would be published.

    Raises
    ------
    TargetError
        If OPENEO_BENCHMARKS_TARGET holds anything but a short name.
    """
    return checked_label(os.environ.get(LABEL, "").strip() or (EXTERNAL if address() else EMBEDDED))


def checked_label(name: str) -> str:
    """The same name, if it can be one.

    Raises
    ------
    TargetError
        If it is anything but a short name.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", name):
        raise TargetError(
            f"a label ({LABEL}) is a name of at most 31 letters and digits, not {name!r}: it is published"
        )
    return name


def tag() -> str:
    """What results are stored under: numbers of other targets, or of other sizes, are another axis."""
    size = os.environ.get(SIZE, "default")
    return label() if size == "default" else f"{label()}_{size}"


def connect() -> distributed.Client:
    """The client of this process: the same at each call, and a new one in a forked process.

    Raises
    ------
    TargetError
        If nobody answers at the address, if no worker comes, or if workers would run other code than lies here.
    """
    _forget_address()
    atexit.unregister(close)
    atexit.register(close)  # in order, or a cluster that goes before its client complains of what it loses
    return _connected(os.getpid(), address())


def connected() -> bool:
    """Whether this process has a client already."""
    return _connected.cache_info().currsize > 0


@contextlib.contextmanager
def session(threads_per_worker: int | None = None) -> Iterator[distributed.Client]:
    """A client of the target; processes that are started meanwhile use the same target.

    Where DASK_SCHEDULER is not set this starts a cluster of processes, which is one for all of them; how many threads
    its workers have is left to dask unless it is said.
    """
    with contextlib.ExitStack() as stack:
        name = label()
        embedded = address() is None
        where = address() or stack.enter_context(cluster_of_processes(threads_per_worker))
        stack.enter_context(environment({ADDRESS: where, LABEL: name}))
        stack.callback(close)
        client = connect()
        if embedded:
            client.register_plugin(remote.exact_sizes())
        stack.enter_context(environment({CHECKED: f"{local_code().hash} {where}"}))
        yield client


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables in the environment of this process, and of those that it starts, until the end."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def close() -> None:
    """Close the client of this process, and its cluster if that is embedded."""
    if connected():
        client = connect()
        cluster = client.cluster
        client.close()
        if cluster is not None:
            cluster.close()
    _connected.cache_clear()


def _forget_address() -> None:
    # Imported when it is needed: this module also reads the hash of a package that cannot be imported.
    from openeo_processes_dask import scheduling

    scheduling.forget_address()


@functools.lru_cache(maxsize=1)
def _connected(process: int, where: str | None) -> distributed.Client:
    if where is None:
        client = distributed.Client(_cluster_of_threads())
        client.register_plugin(remote.exact_sizes())
        return client
    client = open_client(where)
    try:
        check_code(client, where)
    except BaseException:
        client.close()
        raise
    return client


def open_client(where: str) -> distributed.Client:
    """A client of a scheduler that has a worker, whichever code that would run.

    Raises
    ------
    TargetError
        If nobody answers at the address, or no worker comes.
    """
    reach(where)
    client = distributed.Client(where, timeout=PATIENCE)
    try:
        wait_for_worker(client, where)
    except BaseException:
        client.close()
        raise
    return client


def _cluster_of_threads() -> distributed.LocalCluster:
    """Two workers in this process: started in a moment, and enough of them that something may move between them."""
    threads = max(1, dask.system.CPU_COUNT // 2)
    # Each worker would take the memory of the whole process for its own, so none is given a limit.
    return distributed.LocalCluster(processes=False, n_workers=2, threads_per_worker=threads, memory_limit=0, **QUIET)


@contextlib.contextmanager
def cluster_of_processes(threads_per_worker: int | None = None) -> Iterator[str]:
    """The address of a cluster of worker processes on this machine, which is closed at the end."""
    _forget_address()
    # Workers that end while they speak to their scheduler say so at length; what matters of them a run notes itself.
    options = {"silence_logs": logging.CRITICAL, "threads_per_worker": threads_per_worker, **QUIET}
    with distributed.LocalCluster(processes=True, host="127.0.0.1", **options) as cluster:
        yield cluster.scheduler_address


def reach(where: str) -> None:
    """Find a scheduler at an address.

    Raises
    ------
    TargetError
        If nothing answers there in a few seconds, or something that is no scheduler.
    """
    # A Client that fails to connect needs ten more seconds to close itself, so a bare connection comes first.
    try:
        # In a thread, since a notebook has an event loop of its own running in this one.
        with ThreadPoolExecutor(1) as elsewhere:
            identity = elsewhere.submit(asyncio.run, asyncio.wait_for(_identity(where), PATIENCE + 1)).result()
    except (*GIBBERISH, OSError, ValueError) as error:
        reason = "what answers there is something else" if isinstance(error, GIBBERISH) else str(error)
        if where.startswith("tls://") and isinstance(error, TypeError):
            reason = "dask was not told a certificate to show there"
        reason = reason or f"no word in {PATIENCE:.0f} s"
        raise TargetError(f"no scheduler answers at {where} ({reason}): {_remedy(where)}") from None
    if not str(identity.get("type", "")).endswith("Scheduler"):
        raise TargetError(
            f"{where} is no scheduler but a {identity.get('type')}: {ADDRESS} wants a scheduler's address"
        )


def _remedy(where: str) -> str:
    """What to look at where nobody answers; with TLS it is mostly who one says that one is."""
    if where.startswith("tls://"):
        needed = ", ".join(f"{TLS}{name}" for name in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY"))
        return f"start one, or look at the certificate that dask is told in {needed}"
    return f"start one, take tls:// if that is what it speaks, or unset {ADDRESS}"


async def _identity(where: str) -> dict[str, Any]:
    comm = await open_comm(where, timeout=PATIENCE, **Security().get_connection_args("client"))
    try:
        await comm.write({"op": "identity", "reply": True})
        answer = await comm.read()
    finally:
        comm.abort()
    return answer if isinstance(answer, dict) else {}


def wait_for_worker(client: distributed.Client, where: str) -> None:
    """Wait until the scheduler has a worker.

    Raises
    ------
    TargetError
        If none comes.
    """
    try:
        client.wait_for_workers(1, timeout=PATIENCE_FOR_WORKERS)
    except TimeoutError:
        raise TargetError(
            f"the scheduler at {where} has had no worker for {PATIENCE_FOR_WORKERS:.0f} s:"
            f" start one with `dask worker {where}`"
        ) from None


def check_code(client: distributed.Client, where: str) -> None:
    """Compare the package's code here with that on the scheduler and on each worker.

    Raises
    ------
    TargetError
        If one of them would run other code: a number measured there would not be this code's.
    """
    here = local_code()
    if os.environ.get(CHECKED) == f"{here.hash} {where}":  # by the process that started this one
        return
    ship_where_wanted(client)
    for who, code in remote_code(client).items():
        if problem := difference(code, here):
            raise TargetError(f"{who} {problem}")


def ship_where_wanted(client: distributed.Client) -> None:
    """Upload this package, if `--ship` says so, where somebody cannot import it."""
    code = local_code().hash
    if shipping.wanted() and code and any(there.hash is None for there in remote_code(client).values()):
        shipping.ship(client, PACKAGE, code)


def remote_code(client: distributed.Client) -> dict[str, Code]:
    """The code that the scheduler and each worker would run."""
    found = {"the scheduler": client.run_on_scheduler(code_reader())}
    found |= {f"worker {name}": code for name, code in client.run(code_reader()).items()}
    return {who: Code(**code) for who, code in found.items()}


def difference(there: Code, here: Code) -> str | None:
    """What makes a number measured there another code's than that which lies here, and the remedy."""
    if there.hash is None:
        return f"cannot import {PACKAGE}: install this checkout there and start it again, or let --ship upload it"
    if there.python != here.python:
        return f"runs Python {there.python}, here it is {here.python}: they must be the same"
    if there.hash != here.hash:
        return (
            f"runs other code of {PACKAGE} ({there.hash}) than lies here ({here.hash}):"
            " install this checkout there, and start it again"
        )
    if there.stale:
        return f"imported {PACKAGE} before its files were changed: start it again"
    return None


def local_code() -> Code:
    """The code that this process would run."""
    return Code(**code_reader()())


def code_reader() -> Callable[[], dict[str, Any]]:
    """A function for schedulers and workers that says which code they would run.

    Remote workers do not have this package of benchmarks. A function inside a function cannot be found by name and
    so is pickled with its code.
    """

    def read() -> dict[str, Any]:
        import hashlib
        import importlib.util
        import pathlib
        import platform
        import sys

        import psutil

        name = "openeo_processes_dask"
        python = ".".join(platform.python_version_tuple()[:2])
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            return {"hash": None, "python": python}
        folder = pathlib.Path(next(iter(found.submodule_search_locations)))
        files = sorted(folder.rglob("*.py"))
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        newest = max(file.stat().st_mtime for file in files)
        imported = any(module.startswith(name + ".") for module in sys.modules)
        clocks = 5.0  # seconds by which those of a process and of a file system may differ
        stale = imported and newest > psutil.Process().create_time() + clocks
        return {"hash": digest.hexdigest()[:12], "python": python, "stale": stale}

    return read
