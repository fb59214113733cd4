"""asv itself works on the suites: check, run, publish, on any target, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from benchmarks import target
from benchmarks.suite import suites

ROOT = Path(__file__).parents[2]
SUITE = "cubes.indices.Ndvi"
TINY = f"{SUITE}.(time_build|time_compute|track_tasks|track_bytes_moved)"


class Asv:
    """asv on these suites, with a home and with results of its own."""

    def __init__(self, folder: Path, root: Path = ROOT):
        self.folder, self.root = folder, root
        lines = (root / "asv.conf.json").read_text().splitlines()
        settings = json.loads("".join(line for line in lines if "//" not in line))
        settings["repo"] = str(root)
        settings["benchmark_dir"] = str(root / "benchmarks")
        (folder / "asv.conf.json").write_text(json.dumps(settings))
        assert self("machine", "--yes").returncode == 0

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        # asv adds the folder that it runs in to where it looks for plugins, and here that is not the checkout
        paths = {"PYTHONPATH": str(self.root), "ASV_PYTHONPATH": str(self.root), "HOME": str(self.folder)}
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


@pytest.fixture(scope="module")
def _checkout() -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, timeout=60).returncode:
        pytest.skip("asv keeps results by commit, and this is no checkout with one")


@pytest.fixture
def asv(_checkout: None, tmp_path: Path) -> Asv:
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


class Clone:
    """The code as it lies here in a repository of its own, where commits can be made."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.git("clone", "--quiet", "--shared", str(ROOT), str(folder), cwd=ROOT)
        for part in ("benchmarks", target.PACKAGE):
            shutil.rmtree(folder / part)
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "safe.directory=*")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=cwd or self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, says: str) -> str:
        """Commit what lies there and return what the commit is called."""
        self.git("commit", "--quiet", "--all", "--allow-empty", "--message", says)
        return self.git("rev-parse", "HEAD")


class Planted(NamedTuple):
    """asv on a repository of commits: the code as it is, with a plane brought into one chunk, and as it was before."""

    asv: Asv
    sound: str
    worse: str
    sound_again: str


@pytest.fixture(scope="module")
def planted(_checkout: None, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    sound = clone.commit("As it is")
    path = clone.folder / target.PACKAGE / "process_implementations" / "cubes" / "indices.py"
    here = "    cube = dimensions.as_cube(data)\n"
    assert path.read_text().count(here) == 1
    path.write_text(path.read_text().replace(here, f'{here}    cube = cube.chunk({{"x": -1, "y": -1}})\n'))
    worse = clone.commit("Collapse the plane into one chunk")
    clone.git("revert", "--no-edit", worse)
    return Planted(Asv(tmp_path_factory.mktemp("asv"), clone.folder), sound, worse, clone.git("rev-parse", "HEAD"))


def _mark(said: str) -> tuple[str, str]:
    """What a table of asv's says of the largest chunk: its mark, and the title of the table."""
    (line,) = [line for line in said.splitlines() if "track_largest_chunk" in line and "|" in line]
    return line.split("|")[1].strip(), said[: said.index(line)].rpartition("Benchmarks that ")[2]


def test_asv_compares_a_commit_with_a_regression_with_the_one_before(planted):
    measured = f"{SUITE}.(track_tasks|track_largest_chunk)"
    run = planted.asv("run", "-E", "commit", "--bench", measured, f"{planted.worse}~2..{planted.worse}")
    assert run.returncode == 0, run.stdout + run.stderr
    # Larger is worse, whichever way round the commits are.
    for commits, mark, section in (
        ((planted.sound, planted.worse), "+", "have got worse"),
        ((planted.worse, planted.sound), "-", "have improved"),
    ):
        answer = planted.asv("compare", "--split", *commits)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        found, above = _mark(answer.stdout)
        assert found == mark, answer.stdout
        assert section in above, answer.stdout
    benchmarks = json.loads((planted.asv.folder / ".asv" / "results" / "benchmarks.json").read_text())
    assert benchmarks[f"{SUITE}.track_largest_chunk"]["unit"] == "bytes"
    assert benchmarks[f"{SUITE}.track_tasks"]["unit"] == "tasks"


@pytest.mark.parametrize(
    ("old", "new", "status", "mark", "says"),
    [
        ("sound", "worse", 1, "+", "PERFORMANCE DECREASED"),
        ("worse", "sound_again", 0, "-", "PERFORMANCE INCREASED"),
        ("sound", "sound_again", 0, None, "BENCHMARKS NOT SIGNIFICANTLY CHANGED"),
    ],
)
def test_asv_continuous_fails_where_a_commit_is_worse_and_only_there(planted, old, new, status, mark, says):
    commits = [getattr(planted, name) for name in (old, new)]
    answer = planted.asv("continuous", "-E", "commit", "--bench", f"{SUITE}.track_largest_chunk", *commits)
    assert answer.returncode == status, answer.stdout + answer.stderr
    assert says in answer.stdout, answer.stdout
    if mark is None:
        assert "| Change" not in answer.stdout
    else:
        assert _mark(answer.stdout)[0] == mark, answer.stdout


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
