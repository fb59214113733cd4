"""The notebooks of examples/ run as they stand, on the embedded cluster, and are stored without what they show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from benchmarks import examples, target

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PLOTS = {"1_first_steps": 0, "2_ndvi_composite": 1, "3_scaling": 2}


def execute(notebook: Path, output: Path, folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook in a kernel of its own, on what the environment says, and give it with its outputs."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    own = {"PYTHONPATH": paths, examples.SCENES: str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "--timeout=240", f"--output={output}", str(notebook)],
        env={k: v for k, v in os.environ.items() if k != target.ADDRESS} | own,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return nbformat.read(output, as_version=4)


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(PLOTS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(notebook: Path) -> None:
    stored = nbformat.read(notebook, as_version=4)
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert len(code) >= 4
    assert [cell.outputs for cell in code] == [[] for _ in code]
    assert {cell.execution_count for cell in code} == {None}
    assert stored.cells[0].source.startswith("# ")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_the_embedded_cluster(notebook: Path, tmp_path: Path) -> None:
    done = execute(notebook, tmp_path / notebook.name, tmp_path / "scenes")
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    said = {stream: "".join(o.text for o in outputs if o.get("name") == stream) for stream in ("stdout", "stderr")}
    assert "target: embedded" in said["stdout"]
    assert said["stderr"] in ("", "writing the scene of 512 pixels …\n")  # and no warning
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PLOTS[notebook.stem]
