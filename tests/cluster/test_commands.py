"""Each command that the mini-backend promises, word for word and in the order of a day's work."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.backend import INSIDE, Backend, of_others, report, timed

COMPOSE = "docker compose -f ./.devcontainer/docker-compose.yml"
CLI = "npx --yes @devcontainers/cli@0.89.0"
OWN = ("COMPOSE_PROJECT_NAME", "DEVCONTAINER_NAME", "DEVCONTAINER_IMAGE", "DASHBOARD_PORT", "JUPYTER_PORT")
SUITE = 3600  # seconds; it took 2,264 beside six other jobs on two processors
ONE_SUITE = "cubes.indices.Ndvi"


@pytest.fixture(scope="module")
def backend(checkout: Path) -> Iterator[Backend]:
    """Give the project with its own names and ports, unless somebody uses them on this machine."""
    backend = Backend(checkout, "commands")
    if _defaults_are_free():
        for name in OWN:
            del backend.environment[name]
        backend.project, backend.container = "openeo", "openeo-devcontainer"
        backend.dashboard, backend.jupyter = 8787, 8888
    report.append(f"commands: project {backend.project}, dashboard on {backend.dashboard}")
    try:
        yield backend
    finally:
        backend.down()


def _defaults_are_free() -> bool:
    listed = subprocess.run(
        ["docker", "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True, timeout=60
    )
    if any(name.startswith("openeo-") and not name.startswith("openeo-test-") for name in listed.stdout.split()):
        return False
    try:
        for port in (8787, 8888):
            socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def say(backend: Backend, line: str, timeout: float = 600, **variables: str) -> str:
    """Run a line as one types it on the host."""
    line = line.replace("openeo-devcontainer", backend.container)
    line = line.replace("localhost:8787", f"localhost:{backend.dashboard}")
    with timed(line):
        return backend.run("bash", "-c", line, timeout=timeout)


def type_into_shell(backend: Backend, *lines: str, timeout: float = 120) -> str:
    """Open `docker exec -it openeo-devcontainer /bin/bash` on a terminal, type lines, and give what it showed."""
    ours, theirs = pty.openpty()
    command = ["docker", "exec", "-it", backend.container, "/bin/bash"]
    shell = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=backend.checkout)
    os.close(theirs)
    try:
        os.write(ours, ("\n".join([*lines, "exit"]) + "\n").encode())
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        shell.wait(timeout)
    finally:
        shell.kill()
        shell.wait(30)
        os.close(ours)
    assert shell.returncode == 0, shown.decode()
    return shown.decode()


def finished(backend: Backend) -> int:
    """How many tasks the compose cluster has finished."""
    return int(backend.python("ask", "finished").split()[0])


def test_build_no_cache(backend: Backend) -> None:
    image = backend.environment.get("DEVCONTAINER_IMAGE", "openeo-devcontainer")
    replaced = backend.run("docker", "image", "ls", "--quiet", image).split()
    say(backend, f"{COMPOSE} build --no-cache", timeout=1200)
    for old in replaced:  # it has lost its name; where another name or a container holds it, it stays
        backend.run("docker", "image", "rm", old, check=False)
    began = time.monotonic()
    say(backend, f"{COMPOSE} build")
    assert time.monotonic() - began < 30  # from the cache


def test_up_brings_three_healthy_containers(backend: Backend) -> None:
    say(backend, f"{COMPOSE} up -d")
    states = [json.loads(line) for line in backend.compose("ps", "--format", "json").splitlines()]
    assert {state["Service"]: state["State"] for state in states} == dict.fromkeys(
        ("scheduler", "worker", "devcontainer"), "running"
    )
    assert {state["Service"]: state["Health"] for state in states if state["Health"]} == {
        "scheduler": "healthy",
        "worker": "healthy",
    }
    assert backend.container in {state["Name"] for state in states}


def test_a_shell_has_all_that_is_needed(backend: Backend) -> None:
    shown = type_into_shell(
        backend,
        'poetry run python -c \'import dask, rasterio, mypy; print("depen" + "dencies")\'',
        "git --version && asv --version && jupyter lab --version | sed s/^/lab-/",
        "echo $DASK_SCHEDULER",
        "touch made-in-the-shell",
    )
    for part in ("dependencies", "git version", "lab-4", "tcp://scheduler:8786"):
        assert part in shown
    assert "built of another" not in shown
    made = backend.checkout / "made-in-the-shell"
    assert made.stat().st_uid == backend.checkout.stat().st_uid
    assert made.stat().st_gid == backend.checkout.stat().st_gid
    made.unlink()


def test_a_shell_says_that_the_image_is_stale(backend: Backend) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        file = backend.checkout / name
        before = file.read_bytes()
        file.write_bytes(before + b"# something newer")
        try:
            shown = type_into_shell(backend, "true")
        finally:
            file.write_bytes(before)
        assert f"built of another {name}" in shown
        assert "make cluster-up" in shown


def test_a_port_that_is_taken_is_named_with_what_to_do(backend: Backend) -> None:
    second = Backend(backend.checkout, "second", DASHBOARD_PORT=str(backend.dashboard))
    second.environment["DEVCONTAINER_IMAGE"] = backend.environment.get("DEVCONTAINER_IMAGE", "openeo-devcontainer")
    try:
        with pytest.raises(RuntimeError, match="make cluster-up DASHBOARD_PORT=") as caught:
            second.run("make", "cluster-up")
        assert f"{backend.dashboard} failed: port is already allocated" in str(caught.value)
    finally:
        second.down()


def test_without_docker_make_says_what_is_needed(backend: Backend) -> None:
    make = shutil.which("make")
    assert make
    with pytest.raises(RuntimeError, match="needs docker with compose"):
        backend.run("env", "PATH=/nowhere", make, "cluster-up")


def test_nothing_runs_as_root_that_need_not(backend: Backend) -> None:
    """A server keeps no capability, and has the ids of whoever owns the checkout."""
    owner = backend.checkout.stat().st_uid
    assert owner != 0
    assert backend.execute("id", "-u").strip() == str(owner)
    status = "for p in /proc/[0-9]*; do grep -qs dask $p/cmdline && grep -hE '^(Uid|CapBnd|NoNewPrivs)' $p/status; done"
    for service in ("scheduler", "worker"):
        (container,) = backend.containers(service)
        # the shell that asks is root's own, so that only the servers count: they have no right to gain any
        lines = backend.run("docker", "exec", container, "bash", "-c", status, check=False).splitlines()
        kept = [line for line in lines if line.startswith("CapBnd")]
        assert kept.count("CapBnd:\t0000000000000000") >= 1
        assert f"Uid:\t{owner}\t{owner}\t{owner}\t{owner}" in lines


def test_the_dashboard_is_on_the_host(backend: Backend) -> None:
    page = say(backend, "curl --fail --silent --show-error --location http://localhost:8787")
    assert "Dask" in page


def test_python_m_benchmarks_runs_on_the_compose_worker(backend: Backend) -> None:
    before = finished(backend)
    shown = say(backend, "docker exec openeo-devcontainer poetry run python -m benchmarks workflows --size smallest")
    assert "target: compose_smallest, 1 workers with 1 threads in all" in shown
    assert finished(backend) > before + 50
    assert "A number measured here would be" in backend.run(
        *backend.in_container("python3", "-m", "benchmarks", "doctor"), check=False
    )


def test_asv_runs_on_the_compose_worker(backend: Backend) -> None:
    before = finished(backend)
    line = (
        f"docker exec -e OPENEO_BENCHMARKS_SIZE=smallest openeo-devcontainer asv run --bench '{ONE_SUITE}.time_compute'"
    )
    say(backend, line)
    assert finished(backend) > before
    results = list((backend.checkout / ".asv" / "results").glob("openeo-devcontainer/*compose_smallest*.json"))
    assert results
    assert results[0].stat().st_uid == backend.checkout.stat().st_uid


def test_pytest_benchmark_runs_on_the_compose_worker(backend: Backend) -> None:
    before = finished(backend)
    suites = "tests/benchmarks/test_suites.py -q -k 'Ndvi and indices'"
    line = f"docker exec openeo-devcontainer pytest --benchmark-only {suites}"
    assert "passed" in say(backend, line)
    assert finished(backend) > before


def test_jupyter_opens_the_notebooks(backend: Backend) -> None:
    token = "a-token-of-this-test"
    backend.run(
        "docker", "exec", "-d", "-e", f"JUPYTER_TOKEN={token}", backend.container, "jupyter", "lab", "--no-browser"
    )
    request = f"http://localhost:{backend.jupyter}/api/contents/examples?token={token}"
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                names = {entry["name"] for entry in json.load(answer)["content"]}
            break
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    assert len([name for name in names if name.endswith(".ipynb")]) >= 3


@pytest.mark.timeout(SUITE + 60)
def test_the_suite_passes_in_the_shell(backend: Backend) -> None:
    """By `make cluster-suite` and not by `make cluster-test`: it takes longer than all others together."""
    before = finished(backend)
    shown = say(backend, "docker exec openeo-devcontainer poetry run python -m pytest", timeout=SUITE)
    report.append(f"in the devcontainer: {shown.strip().splitlines()[-1]}")
    assert finished(backend) > before + 200


def test_four_workers(backend: Backend) -> None:
    say(backend, f"{COMPOSE} up -d --scale worker=4")
    workers = backend.facts("ask", "workers")
    assert len(workers) == 4
    assert {worker["threads"] for worker in workers} == {1}
    assert all(0 < worker["memory"] <= 2 * 1024**3 for worker in workers)


def test_vs_code_opens_the_folder_in_the_container(backend: Backend) -> None:
    folder = f"--workspace-folder {backend.checkout}"
    read = json.loads(say(backend, f"{CLI} read-configuration {folder} 2>/dev/null"))["configuration"]
    assert read["service"] == "devcontainer"
    assert read["workspaceFolder"] == INSIDE
    # the container that is there was not started by the tool, which would then not find it again
    up = json.loads(say(backend, f"{CLI} up --remove-existing-container {folder} 2>/dev/null").strip().splitlines()[-1])
    assert up["outcome"] == "success"
    assert up["remoteUser"] == "dev"
    inside = say(backend, f"{CLI} exec {folder} bash -c 'pwd; id -u; echo $DASK_SCHEDULER' 2>/dev/null")
    assert inside.split() == [INSIDE, str(backend.checkout.stat().st_uid), "tcp://scheduler:8786"]
    assert backend.facts("ask", "workers")


def test_all_that_was_written_belongs_to_the_owner_of_the_checkout(backend: Backend) -> None:
    """After shells, asv, pytest, Jupyter and VS Code's tool."""
    assert of_others(backend.checkout) == []


def test_down_leaves_nothing(backend: Backend) -> None:
    say(backend, f"{COMPOSE} down")
    project = f"label=com.docker.compose.project={backend.project}"
    for kind in ("container", "network", "volume"):
        every = ["--all"] if kind == "container" else []
        assert backend.run("docker", kind, "ls", *every, "--quiet", "--filter", project) == ""
