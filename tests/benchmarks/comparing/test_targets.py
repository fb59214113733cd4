"""Two targets side by side: the same mechanism as for a peer, on clusters."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import store, target
from benchmarks.comparing import command, environments
from benchmarks.comparing.sides import SideError, closing

ROOT = Path(__file__).parents[3]


def compare(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "compare", *arguments, "--size", "smallest"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != target.ADDRESS} | variables,
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_two_targets_are_compared_in_turns_and_only_their_labels_kept(external_cluster, tmp_path):
    records = tmp_path / "records.jsonl"
    chosen = ("--bench", "ReduceDimensionAcrossChunks, median", "--rounds", "3")
    answer = compare("embedded", f"second={external_cluster}", *chosen, **{store.PLACE: str(records)})
    assert answer.returncode == 0, answer.stderr
    assert "target: 2 threads in 2 workers (second)" in answer.stdout
    assert "(embedded)" in answer.stdout
    (record,) = store.records(records, kind="comparison")
    assert {side: told["name"] for side, told in record["sides"].items()} == {
        "own": "second",
        "other": "embedded",
        "null": "second",
    }
    assert not any(told["error"] or told["wrong"] for told in record["sides"].values())
    assert {len(record["samples"][f"{side}.compute_seconds"]) for side in record["sides"]} == {3}
    assert record["ratio"]["low"] <= record["ratio"]["value"] <= record["ratio"]["high"]
    assert record["null_ratio"]
    pages = [ROOT / "results" / name for name in ("compare-embedded.md", "compare-second-embedded.html")]
    written = [records.read_text(), *(page.read_text() for page in pages)]
    for page in pages:
        page.unlink()
    assert not any(external_cluster.removeprefix("tcp://") in text for text in written)


def test_a_target_that_nobody_answers_at_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    answer = compare("embedded", closed, "--bench", "indices.Ndvi")
    assert answer.returncode == 2
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith("SideError: cannot be started: TargetError: no scheduler answers at")
    assert closed in line


def test_an_embedded_target_ends_with_its_workers():
    side = environments.on_target("embedded")
    with closing(side):
        assert side.ask(120, job="about")["workers"] >= 1
        assert side.process is not None
        family = psutil.Process(side.process.pid).children(recursive=True)
        assert family
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("embedded", "HEAD"), "two of a kind"),
        (("tcp://127.0.0.1:1", "tcp://127.0.0.1:2"), "both targets are called external"),
    ],
)
def test_two_that_cannot_be_told_apart_are_refused(names, said):
    with pytest.raises(SideError, match=said):
        command._sides(None, names)


def test_a_label_that_is_none_is_refused():
    with pytest.raises(target.TargetError, match=r"not '10\.0\.0\.1'"):
        environments.on_target("10.0.0.1=tcp://10.0.0.1:8786")
