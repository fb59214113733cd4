"""Ships this checkout's package to a cluster that lacks it; workers that come later get it too."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import distributed

SHIP = "OPENEO_BENCHMARKS_SHIP"
EPOCH = (1980, 1, 1, 0, 0, 0)


def wanted() -> bool:
    """Whether the package is to be shipped: `--ship`, or the variable it sets for the processes of one run."""
    return os.environ.get(SHIP, "") == "1"


def ship(client: distributed.Client, package: str, code: str) -> None:
    """Give the package to the scheduler and to all workers, now and later, under the hash of its code."""
    client.run_on_scheduler(_unpacked(), content=packed(package), code=code)
    client.register_plugin(_worker_plugin(packed(package), code), name=f"{package}-{code}")


@functools.cache
def packed(package: str) -> bytes:
    """The package's files, as a zip of which the bytes follow from the files alone."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(next(iter(found.submodule_search_locations)))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(f"{package}/{path.relative_to(folder).as_posix()}", EPOCH)
                file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _worker_plugin(content: bytes, code: str) -> distributed.WorkerPlugin:
    """A plugin that unpacks on each worker. Workers do not have this file: the class travels as code."""

    class Shipped(distributed.WorkerPlugin):
        def __init__(self, unpack: Callable[..., None]):
            self.unpack = unpack

        def setup(self, worker: Any) -> None:
            self.unpack(content, code)

    return Shipped(_unpacked())


def _unpacked() -> Callable[..., None]:
    def unpack(content: bytes, code: str) -> None:
        import atexit
        import importlib
        import io
        import os
        import pathlib
        import shutil
        import sys
        import tempfile
        import zipfile

        # Every process has a folder of its own, which goes with it, so that none sees half of another's.
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"openeo-shipped-{code}-"))
        zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
        for path in folder.rglob("*"):
            os.utime(path, (0, 0))  # older than any process: nothing was imported before it changed
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)

    return unpack
