"""Who reaches the cluster: its own network and this machine's loopback, and with TLS only who has a certificate."""

from __future__ import annotations

import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.backend import PREFIX, Backend, handed_over, started

PROBE = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); print('reached')"


@pytest.fixture(scope="module")
def secured(checkout: Path) -> Iterator[Backend]:
    """Give a mini-backend with the TLS override."""
    override = checkout / ".devcontainer" / "docker-compose.tls.yml"
    backend = Backend(checkout, "tls", files=[override])
    backend.run("./.devcontainer/make-authority", "2")
    handed_over(checkout / ".devcontainer" / "tls")
    with started(backend) as running:
        yield running


def reach_from_elsewhere(backend: Backend, host: str, port: int) -> str:
    """Try to connect from a container on docker's default network."""
    command = ("docker", "run", "--rm", "--label", f"com.docker.compose.project={backend.project}", f"{PREFIX}-image")
    return backend.run(*command, "python3", "-c", PROBE, host, str(port), check=False)


def test_the_devcontainer_reaches_both(backend: Backend) -> None:
    for port in (8786, 8787):
        assert "reached" in backend.execute("python3", "-c", PROBE, "scheduler", str(port))


@pytest.mark.parametrize("port", [8786, 8787])
def test_nobody_on_another_network_reaches_the_cluster(backend: Backend, port: int) -> None:
    (scheduler,) = backend.containers("scheduler")
    said = reach_from_elsewhere(backend, backend.address(scheduler), port)
    assert "reached" not in said
    assert "Error" in said  # it did try
    (worker, _) = backend.containers("worker")
    assert "reached" not in reach_from_elsewhere(backend, backend.address(worker), port)


def test_what_is_published_is_on_the_loopback_alone(backend: Backend) -> None:
    (scheduler,) = backend.containers("scheduler")
    gateway = backend.address(scheduler, "Gateway")  # this machine, as the containers see it
    for port in (backend.dashboard, backend.jupyter):
        socket.create_connection(("127.0.0.1", port), 3).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((gateway, port), 3)
        assert "reached" not in reach_from_elsewhere(backend, gateway, port)
    names = backend.run("docker", "ps", "--filter", f"name={backend.project}", "--format", "{{.Ports}}")
    assert "0.0.0.0" not in names
    assert "[::]" not in names


def greeting(backend: Backend, *, certificate: Path | None = None, encrypted: bool = True) -> bytes:
    """What a scheduler says to a client with this certificate, before anything else: dask greets first."""
    with socket.create_connection(("127.0.0.1", backend.secured), 5) as plain:
        if not encrypted:
            return plain.recv(100)
        context = ssl.create_default_context(cafile=backend.checkout / ".devcontainer" / "tls" / "authority.pem")
        context.check_hostname = False
        if certificate:
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        with context.wrap_socket(plain) as secure:
            return secure.recv(100)


def test_with_a_certificate_the_cluster_works(secured: Backend) -> None:
    found = secured.facts("ask", "hosts")
    assert found["tasks"]
    assert all(worker["address"].startswith("tls://") for worker in secured.facts("ask", "workers"))
    assert greeting(secured, certificate=secured.checkout / ".devcontainer" / "tls" / "client.pem")


def test_without_a_certificate_nobody_gets_a_word(secured: Backend) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        greeting(secured)


def test_a_certificate_of_another_authority_is_refused(secured: Backend, tmp_path: Path) -> None:
    script = shutil.copy2(secured.checkout / ".devcontainer" / "make-authority", tmp_path)
    secured.run(str(script), "2")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        greeting(secured, certificate=tmp_path / "tls" / "client.pem")


def test_a_client_that_speaks_no_tls_is_refused(secured: Backend) -> None:
    began = time.monotonic()
    said = secured.execute(
        "env", "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=false", "DASK_SCHEDULER=tcp://scheduler:8786",
        "bash", "-c", "python3 -m benchmarks doctor || echo refused",
    )  # fmt: skip
    assert "refused" in said
    assert "no scheduler answers at tcp://scheduler:8786" in said
    assert time.monotonic() - began < 30


def test_no_key_of_the_authority_is_left(secured: Backend) -> None:
    folder = secured.checkout / ".devcontainer" / "tls"
    assert sorted(path.name for path in folder.iterdir()) == [
        "authority.pem",
        "client.key",
        "client.pem",
        "cluster.key",
        "cluster.pem",
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    assert "tls" not in secured.execute(
        "git", "status", "--porcelain", "--untracked-files=all", "--", ".devcontainer/tls"
    )
