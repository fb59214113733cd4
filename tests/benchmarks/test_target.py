"""One variable says where suites run; what cannot be used is refused in one sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import distributed
import pytest

from benchmarks import doctor, examples, target
from benchmarks.cubes.indices import Ndvi
from openeo_processes_dask import scheduling
from tests.clusters import NOT_HERE

ROOT = Path(__file__).parents[2]
WITHIN = 10.0  # seconds


def command_line(*arguments: str, address: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != target.ADDRESS} | variables
    if address:
        environment[target.ADDRESS] = address
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(params=[b"", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"], ids=["silent", "web"])
def another_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that takes connections and is no scheduler."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    ended = threading.Event()

    def serve() -> None:
        taken = []
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            taken.append(connection)
            if request.param:
                connection.sendall(request.param)
        for connection in taken:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    ended.set()
    thread.join()
    server.close()


# --- unusable addresses


def test_an_unreachable_address_is_refused_by_name_in_time(closed_port):
    began = time.monotonic()
    answer = command_line("workflows", address=closed_port)
    assert time.monotonic() - began < WITHIN
    assert answer.returncode == 2
    assert closed_port in answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_server_that_is_no_scheduler_is_refused_by_name_in_time(another_server, monkeypatch):
    monkeypatch.setenv(target.ADDRESS, another_server)
    began = time.monotonic()
    with pytest.raises(target.TargetError, match=another_server):
        target.connect()
    assert time.monotonic() - began < WITHIN
    assert not target.connected()


@pytest.mark.parametrize("address", ["127.0.0.1", "nonsense://127.0.0.1:8786", "tcp://127.0.0.1:0"])
def test_what_is_no_address_is_refused_by_name(address, monkeypatch):
    monkeypatch.setenv(target.ADDRESS, address)
    with pytest.raises(target.TargetError, match=address):
        target.connect()


def test_a_scheduler_without_workers_is_refused(monkeypatch):
    monkeypatch.setattr(target, "PATIENCE_FOR_WORKERS", 0.5)
    with distributed.LocalCluster(n_workers=0, processes=True, host="127.0.0.1", **target.QUIET) as cluster:
        monkeypatch.setenv(target.ADDRESS, cluster.scheduler_address)
        with pytest.raises(target.TargetError, match=f"dask worker {cluster.scheduler_address}"):
            target.connect()


# --- other code


def test_other_code_on_the_workers_is_refused_with_the_remedy(external_cluster, monkeypatch):
    monkeypatch.setenv(target.ADDRESS, external_cluster)
    monkeypatch.setattr(target, "local_code", lambda: target.Code("0123456789ab", "{}.{}".format(*sys.version_info)))
    with pytest.raises(target.TargetError, match=r"0123456789ab.*install this checkout there"):
        target.connect()


def test_what_makes_code_another_is_told():
    here = target.local_code()
    assert here.hash
    assert target.difference(here, here) is None
    assert "cannot import" in str(target.difference(target.Code(None, here.python), here))
    assert "Python 2.7" in str(target.difference(target.Code(here.hash, "2.7"), here))
    assert "start it again" in str(target.difference(target.Code(here.hash, here.python, stale=True), here))


def test_the_hash_of_the_code_changes_with_a_file(monkeypatch, tmp_path):
    package = tmp_path / target.PACKAGE
    package.mkdir()
    package.joinpath("__init__.py").write_text("a = 1\n")
    read = "import sys; sys.path.insert(0, {!r}); from benchmarks.target import local_code; print(local_code().hash)"

    def code() -> str:
        done = subprocess.run(
            [sys.executable, "-c", read.format(str(tmp_path))], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    before = code()
    assert before == code() != target.local_code().hash
    package.joinpath("__init__.py").write_text("a = 2\n")
    assert before != code()


# --- labels


def test_results_are_stored_under_a_label_and_never_under_an_address(monkeypatch):
    monkeypatch.delenv(target.ADDRESS, raising=False)
    assert target.tag() == "embedded"
    monkeypatch.setenv(target.ADDRESS, "tcp://10.0.0.1:8786")
    assert target.tag() == "external"
    monkeypatch.setenv(target.LABEL, "prod")
    monkeypatch.setenv(target.SIZE, "smallest")
    assert target.tag() == "prod_smallest"
    monkeypatch.setenv(target.LABEL, "tcp://10.0.0.1:8786")
    with pytest.raises(target.TargetError, match="it is published"):
        target.tag()


# --- usable targets


def test_importing_the_suites_starts_neither_client_nor_thread():
    code = (
        "import threading; from benchmarks.suite import suites; from benchmarks.target import connected; suites();"
        "print(threading.active_count(), connected())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1", "False"], done.stderr


def test_without_an_address_a_cluster_is_embedded_once(embedded):
    assert target.connect() is embedded
    assert all(address.startswith("inproc:") for address in embedded.scheduler_info(n_workers=-1)["workers"])
    assert len(embedded.nthreads()) == 2


def test_with_an_address_exactly_that_scheduler_is_used(external, external_cluster):
    assert external.scheduler.address == external_cluster
    assert len(external.nthreads()) == 2


def test_the_address_is_not_taken_for_a_kind_of_scheduler(monkeypatch):
    with dask.config.set(scheduler="tcp://127.0.0.1:8786"):
        scheduling.forget_address()
        assert dask.array.ones(3).sum().compute() == 3


def test_plain_code_computes_although_an_address_is_set(closed_port):
    code = "import openeo_processes_dask.process_implementations, dask.array; print(dask.array.ones(3).sum().compute())"
    environment = os.environ | {target.ADDRESS: closed_port}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["3.0"], done.stderr


def test_suites_run_where_these_benchmarks_are_not_installed(external):
    def installed() -> str:
        try:
            import benchmarks
        except ModuleNotFoundError as error:
            return str(error)
        return benchmarks.__name__

    assert set(external.run(installed).values()) == {NOT_HERE}
    suite = Ndvi()
    suite.size = "smallest"
    run = suite.run()
    assert run.eager_tasks == 0
    assert run.peak_worker_memory > 0


def test_the_workflows_run_on_separate_processes_and_again(external_cluster):
    for _ in range(2):  # what an earlier run left is in nobody's way
        answer = command_line("workflows", "--size", "smallest", address=external_cluster)
        assert answer.returncode == 0, answer.stderr
    assert "target: external_smallest, 2 workers with 2 threads in all" in answer.stdout
    assert all(examples.document(name)["summary"] in answer.stdout for name in examples.names())


# --- doctor


def test_the_doctor_says_what_is_connected_and_whether_it_is_valid(external_cluster):
    answer = command_line("doctor", address=external_cluster)
    assert external_cluster in answer.stdout
    assert str(target.local_code().hash) in answer.stdout
    # others may be at work on this machine, which the doctor rightly says
    problems = [line for line in answer.stdout.splitlines() if line.startswith("problem:")]
    assert all("busy" in problem or "other client" in problem for problem in problems), answer.stdout
    assert answer.returncode == (1 if problems else 0)


def test_the_doctor_finds_other_code(external, monkeypatch, capsys):
    monkeypatch.setattr(target, "local_code", lambda: target.Code("0123456789ab", "{}.{}".format(*sys.version_info)))
    assert doctor.doctor() == 1
    told = capsys.readouterr().out
    assert "install this checkout there" in told
    assert "NOT be valid" in told
