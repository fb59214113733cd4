"""What the tests of loading and saving share: a cluster whose workers are other processes, and a server of files."""

from __future__ import annotations

import functools
import http.server
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest

from tests.serving import served


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """Give a client of a cluster of one other process with two threads; it is nobody's default."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(params=["threads", "cluster"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let dask compute in threads, then in another process."""
    scheduler = request.getfixturevalue("client") if request.param == "cluster" else "threads"
    with dask.config.set(scheduler=scheduler):
        yield request.param


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files and parts of them, and notes what it has sent."""

    sent: dict[str, int]  # bytes by name of file; queries count as such

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if "?" in self.path:
            self.sent[self.path.partition("?")[2]] = 0
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        wanted = self.headers.get("Range")
        if wanted is None:
            self.send_response(200)
            part = content
        else:
            first, last = wanted.removeprefix("bytes=").split("-")
            part = content[int(first) : int(last) + 1 if last else None]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.sent[path.name] = self.sent.get(path.name, 0) + len(part)
        self.wfile.write(part)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Serve the temporary folder of a test; give the address and the bytes sent of each file."""
    sent: dict[str, int] = {}
    handler = functools.partial(type("Noting", (Handler,), {"sent": sent}), directory=str(tmp_path))
    with served(handler) as address:
        yield address, sent
