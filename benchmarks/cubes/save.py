"""Benchmarks of process_implementations.cubes.save."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from openeo_processes_dask.process_implementations.cubes.load import load_collection
from openeo_processes_dask.process_implementations.cubes.save import save_result

from ..suite import Size, Suite


class SaveResult(Suite):
    """Writing computes: what is timed is the whole way from the workers' memory to complete files."""

    measures = (save_result,)
    params = (["GTiff", "COG", "netCDF", "Zarr"],)
    param_names = ("format",)
    sizes = {
        "default": Size((2, 4, 256, 256), (1, 4, 128, 128)),  # 2 MB in 8 chunks: compressing takes its time
        "smallest": Size((2, 2, 32, 32), (1, 2, 16, 16)),
    }

    def inputs(self, format: str) -> None:
        self.cube = self.input()
        self.folder = Path(tempfile.mkdtemp(prefix="openeo-benchmarks-"))

    def build(self, format: str) -> Any:
        return save_result(self.cube, format, {"path": str(self.folder / "result"), "overwrite": True})

    def teardown(self, format: str) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def check(self, format: str) -> None:
        """Read back what was saved."""
        self.prepare = lambda cube: cube
        self.inputs(format)
        try:
            self.build(format)
            (saved, *more) = self.folder.iterdir()
            read = load_collection(str(self.folder if more else saved), None, None)
            np.testing.assert_array_equal(read.compute(), self.cube.compute())
        finally:
            self.teardown(format)
