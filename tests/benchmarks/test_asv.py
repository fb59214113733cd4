"""asv itself works on the suites: check, run, publish, on any target, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import target
from benchmarks.suite import suites

ROOT = Path(__file__).parents[2]
SUITE = "cubes.indices.Ndvi"
TINY = f"{SUITE}.(time_build|time_compute|track_tasks|track_bytes_moved)"


class Asv:
    """asv on these suites, with a home and with results of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        lines = (ROOT / "asv.conf.json").read_text().splitlines()
        settings = json.loads("".join(line for line in lines if "//" not in line))
        settings["repo"] = str(ROOT)
        settings["benchmark_dir"] = str(ROOT / "benchmarks")
        (folder / "asv.conf.json").write_text(json.dumps(settings))
        assert self("machine", "--yes").returncode == 0

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        # asv adds the folder that it runs in to where it looks for plugins, and here that is not the checkout
        paths = {"PYTHONPATH": str(ROOT), "ASV_PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        inherited = {k: v for k, v in os.environ.items() if k != target.ADDRESS}
        return subprocess.run(
            [sys.executable, "-m", "asv", *arguments],
            cwd=self.folder,
            env={**inherited, target.SIZE: "smallest", **paths, **git, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )

    def results(self) -> dict[str, dict]:
        """What is stored, by the tag of the target."""
        found = {}
        for path in (self.folder / ".asv" / "results").glob("*/*.json"):
            if path.name != "machine.json":
                stored = json.loads(path.read_text())
                found[stored["env_vars"][target.TAG]] = stored["results"]
        return found


@pytest.fixture
def asv(tmp_path: Path) -> Asv:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, timeout=60).returncode:
        pytest.skip("asv keeps results by commit, and this is no checkout with one")
    return Asv(tmp_path)


def test_asv_finds_nothing_wrong_with_the_suites():
    answer = subprocess.run(
        [sys.executable, "-m", "asv", "check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stdout
    assert "No problems found" in answer.stdout


def test_asv_runs_and_publishes(asv):
    run = asv("run", "--bench", TINY, "--show-stderr")
    assert run.returncode == 0, run.stdout
    results = asv.results()
    assert set(results) == {"embedded_smallest"}
    metrics = {name.removeprefix(f"{SUITE}."): values[0][0] for name, values in results["embedded_smallest"].items()}
    assert set(metrics) == {"time_build", "time_compute", "track_tasks", "track_bytes_moved"}
    assert metrics["track_tasks"] == 8
    assert 0 < metrics["time_build"] < metrics["time_compute"] < 60

    publish = asv("publish")
    assert publish.returncode == 0, publish.stdout
    page = asv.folder / ".asv" / "html"
    assert (page / "index.html").exists()
    index = json.loads((page / "index.json").read_text())
    assert index["params"][f"env-{target.TAG}"] == ["embedded_smallest"]
    methods = {name.rpartition(".")[2] for name in json.loads((page / "index.json").read_text())["benchmarks"]}
    assert methods <= {name for name in dir(next(iter(suites().values()))) if name.startswith(("time_", "track_"))}
    assert {name.rpartition(".")[0] for name in index["benchmarks"]} == set(suites())


def test_results_of_another_target_lie_beside_those_of_the_first(asv, external_cluster):
    same = ("run", "--python=same", "--set-commit-hash", "HEAD", "--bench", f"{SUITE}.track_tasks")
    assert asv(*same).returncode == 0
    elsewhere = asv(*same, **{target.ADDRESS: external_cluster, target.LABEL: "elsewhere"})
    assert elsewhere.returncode == 0, elsewhere.stdout
    assert set(asv.results()) == {"embedded_smallest", "elsewhere_smallest"}
    stored = "".join(path.name + path.read_text() for path in (asv.folder / ".asv" / "results").rglob("*.json"))
    assert external_cluster.removeprefix("tcp://") not in stored


def test_ctrl_c_leaves_no_process_behind():
    command = [sys.executable, "-m", "benchmarks", "run", "--size", "smallest", "--bench", "Arithmetic"]
    environment = {k: v for k, v in os.environ.items() if k != target.ADDRESS}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("suites:"):
                break
        time.sleep(1)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3  # asv, and the workers
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []
