"""A mini-backend of the tests' own: a copy of this checkout, and containers that no other use of the machine meets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "openeo-test"
COMPOSE = ("docker", "compose", "-f", "./.devcontainer/docker-compose.yml")
INSIDE = "/workspaces/openeo-processes-dask"
STRANGER = 1234  # who owns the copy where the tests run as root: most users are somebody else
PATIENCE = 300.0  # seconds for anything but building an image

times: dict[str, float] = {}  # seconds of what was done, for the report at the end
report: list[str] = []  # what else it shall say


class Backend:
    """The containers of one compose project, and the checkout that they run."""

    def __init__(self, checkout: Path, purpose: str, *, files: Sequence[Path] = (), **variables: str):
        self.checkout = checkout
        self.project = f"{PREFIX}-{os.getpid()}-{purpose}"
        self.container = f"{self.project}-devcontainer"
        self.dashboard, self.jupyter, self.secured = free_ports(3)
        self.environment = clean_environment() | {
            "COMPOSE_PROJECT_NAME": self.project,
            "DEVCONTAINER_NAME": self.container,
            "DEVCONTAINER_IMAGE": f"{PREFIX}-image",
            "DASHBOARD_PORT": str(self.dashboard),
            "JUPYTER_PORT": str(self.jupyter),
            "SCHEDULER_PORT": str(self.secured),
            **variables,
        }
        self.files = [part for file in files for part in ("-f", str(file))]

    def run(self, *command: str, timeout: float = PATIENCE, check: bool = True) -> str:
        """Run a command on the host, in the checkout, and give what it printed.

        Raises
        ------
        RuntimeError
            If it fails, or does not end in time.
        """
        try:
            done = subprocess.run(
                command,
                cwd=self.checkout,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:  # what it said until then tells how far it came
            said = (error.output or b"").decode(errors="replace")
            raise RuntimeError(f"{' '.join(command)} did not end in {timeout:.0f} s:\n{said[-16_000:]}") from None
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout

    def compose(self, *arguments: str, timeout: float = PATIENCE) -> str:
        return self.run(*COMPOSE, *self.files, *arguments, timeout=timeout)

    def build(self) -> None:
        """Build the image that all these projects use.

        Compose labels an image with the project that built it: as projects of their own they would each make another
        image of this name, and `up` would start whatever runs on the one before anew, in the middle of its work.
        """
        self.compose("-p", PREFIX, "build", timeout=PATIENCE + 600)

    def up(self, workers: int = 1) -> None:
        """Start everything and wait until it is healthy."""
        self.compose("up", "-d", "--scale", f"worker={workers}", timeout=PATIENCE + 600)

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "3")

    def execute(self, *command: str, timeout: float = PATIENCE, **variables: str) -> str:
        """Run a command in the devcontainer."""
        return self.run(*self.in_container(*command, **variables), timeout=timeout)

    def python(
        self, module: str, *arguments: str, timeout: float = PATIENCE, embedded: bool = False, **variables: str
    ) -> str:
        """Run a module of tests/cluster/inside in the devcontainer, on the compose cluster or on the embedded one."""
        where = ("env", "-u", "DASK_SCHEDULER") if embedded else ()
        command = (*where, "python3", "-m", f"tests.cluster.inside.{module}", *arguments)
        return self.execute(*command, timeout=timeout, **variables)

    def facts(self, module: str, *arguments: str, timeout: float = PATIENCE, embedded: bool = False) -> Any:
        """The same, if the last line that it prints is JSON."""
        return json.loads(self.python(module, *arguments, timeout=timeout, embedded=embedded).splitlines()[-1])

    def counts(self) -> dict[str, int]:
        """What the scheduler counts, as its dashboard says: workers, tasks, clients."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.dashboard}/json/counts.json", timeout=10) as answer:
            return json.load(answer)

    def in_container(self, *command: str, **variables: str) -> list[str]:
        settings = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        return ["docker", "exec", *settings, self.container, *command]

    def containers(self, service: str) -> list[str]:
        """The names of the containers of a service that run."""
        return sorted(self.compose("ps", service, "--format", "{{.Name}}").split())

    def address(self, container: str, whose: str = "IPAddress") -> str:
        """The address of a container within the cluster's network, or of the network's gateway."""
        template = f"{{{{range .NetworkSettings.Networks}}}}{{{{.{whose}}}}}{{{{end}}}}"
        return self.run("docker", "inspect", "--format", template, container).strip()


@contextlib.contextmanager
def started(backend: Backend, workers: int = 1) -> Iterator[Backend]:
    """A backend from `up` to `down`, whatever happens in between."""
    try:
        with timed(f"up, {workers} workers"):
            backend.build()  # an image that is there may be older than what it is of
            backend.up(workers)
        yield backend
    finally:
        backend.down()


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Note how long something takes."""
    began = time.monotonic()
    yield
    times[what] = time.monotonic() - began


def copy_of_the_checkout(folder: Path) -> Path:
    """A clone with the files as they lie here, committed or not, so that tests may edit them."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True, timeout=120)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, copy = ROOT / name, folder / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
        else:
            copy.unlink(missing_ok=True)
    return handed_over(folder)


def handed_over(folder: Path) -> Path:
    """Give a folder to whom the copy of the checkout belongs, with all that is in it."""
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    return folder


def of_others(folder: Path) -> list[str]:
    """What in a folder does not belong to its owner."""
    owner = folder.stat()
    kept = [(path, path.lstat()) for path in folder.rglob("*")]
    return [str(path) for path, its in kept if (its.st_uid, its.st_gid) != (owner.st_uid, owner.st_gid)]


def why_not() -> str | None:
    """Why docker cannot be had here, if it cannot."""
    for tool in ("docker", "git"):
        if shutil.which(tool) is None:
            return f"there is no {tool} here"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode:
            return f"`{' '.join(command)}` fails: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
    return None


def sweep() -> None:
    """Remove what test runs left that were killed before they could do so."""
    for kind, name in (("container", "{{.Names}}"), ("network", "{{.Name}}"), ("volume", "{{.Name}}")):
        every = ["--all"] if kind == "container" else []
        label = '{{.Label "com.docker.compose.project"}}'
        listed = _docker(kind, "ls", *every, "--format", f"{name} {label}")
        for line in listed.splitlines():
            thing, _, project = line.partition(" ")
            owned = re.match(rf"{PREFIX}-(\d+)-", project)  # another name is somebody else's
            if owned and not _is_alive(int(owned[1])):
                _docker(kind, "rm", *(["--force", "--volumes"] if kind == "container" else []), thing)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in servers]


def clean_environment() -> dict[str, str]:
    """The environment without what would change where or how a cluster runs."""
    own = ("DASK_", "OPENEO_", "COMPOSE_", "DEVCONTAINER_", "WORKER_", "SCHEDULER_", "PYTHONPATH")
    named = ("DASHBOARD_PORT", "JUPYTER_PORT")
    return {k: v for k, v in os.environ.items() if not k.startswith(own) and k not in named}


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


def _is_alive(process: int) -> bool:
    return Path("/proc", str(process)).exists()
