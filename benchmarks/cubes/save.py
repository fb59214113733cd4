"""Benchmarks of process_implementations.cubes.save."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import dask
import numpy as np

from openeo_processes_dask.process_implementations.cubes.load import load_collection
from openeo_processes_dask.process_implementations.cubes.save import (
    export_collection,
    export_workspace,
    save_result,
    stac_modify,
)

from .. import scratch
from ..suite import Size, Suite

HERE = "synchronous"  # what was saved is read back by this process: the folder need not be one that the workers see


class _Writing(Suite):
    """A suite with a folder of its own, which is gone when it ends or begins anew."""

    folder: Path

    def forget(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)


class SaveResult(_Writing):
    """Writing computes: what is timed is the whole way from the workers' memory to complete files."""

    measures = (save_result,)
    params = (["GTiff", "COG", "netCDF", "Zarr"],)
    param_names = ("format",)
    sizes = {
        "default": Size((2, 4, 256, 256), (1, 4, 128, 128)),  # 2 MB in 8 chunks: compressing takes its time
        "smallest": Size((2, 2, 32, 32), (1, 2, 16, 16)),
    }

    def inputs(self, format: str) -> None:
        self.forget()
        self.cube = self.input()
        self.folder = scratch.folder()

    def build(self, format: str) -> Any:
        return save_result(self.cube, format, {"path": str(self.folder / "result"), "overwrite": True})

    def teardown(self, format: str) -> None:
        self.forget()

    def check(self, format: str) -> None:
        """Read back what was saved."""
        self.prepare = lambda cube: cube
        self.inputs(format)
        try:
            self.build(format)
            saved, *more = (path for path in self.folder.iterdir() if not path.name.endswith(".stac.json"))
            read = load_collection(str(self.folder if more else saved), None, None)
            np.testing.assert_array_equal(read.compute(scheduler=HERE), self.cube.compute())
        finally:
            self.teardown(format)


class _Exported(_Writing):
    """A result of two dates that was saved, to be copied somewhere else."""

    sizes = SaveResult.sizes

    def inputs(self) -> None:
        self.forget()
        self.cube = self.input()
        self.folder = scratch.folder()
        for name in ("results", "target/there"):
            (self.folder / name).mkdir(parents=True)
        self.saved = save_result(self.cube, "GTiff", {"path": str(self.folder / "results" / "a")})
        self.numbers = itertools.count()

    def teardown(self) -> None:
        self.forget()

    def check(self) -> None:
        """Read back what was copied."""
        self.prepare = lambda cube: cube
        self.inputs()
        try:
            self.build()
            (path,) = (self.folder / "target").rglob("collection.json")
            read = load_collection(str(path.parent), None, None)
            np.testing.assert_array_equal(read.compute(scheduler=HERE), self.cube.compute())
        finally:
            self.teardown()


class ExportWorkspace(_Exported):
    measures = (export_workspace,)

    def build(self) -> Any:
        roots = {"openeo.workspaces": str(self.folder / "target"), "openeo.results": str(self.folder / "results")}
        with dask.config.set(roots):
            return export_workspace(self.saved, "there", f"a{next(self.numbers)}")


class ExportCollection(_Exported):
    measures = (export_collection,)

    def build(self) -> Any:
        roots = {"openeo.collections": str(self.folder / "target"), "openeo.results": str(self.folder / "results")}
        with dask.config.set(roots):
            return export_collection(self.saved, f"a{next(self.numbers)}")


class StacModify(Suite):
    """A Collection of a thousand links."""

    measures = (stac_modify,)

    def inputs(self) -> None:
        links = [{"rel": "item", "href": f"./{i}.json"} for i in range(1000)]
        self.given = {"type": "Collection", "id": "a", "title": "b", "links": links}

    def build(self) -> Any:
        return stac_modify(self.given, {"title": None, "keywords": ["c"]})

    def check(self) -> None:
        self.inputs()
        made = self.build()
        assert made == {"type": "Collection", "id": "a", "keywords": ["c"], "links": self.given["links"]}
