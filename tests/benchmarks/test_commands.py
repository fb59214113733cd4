"""Each command's help says what it does, and what it does is in the store and in asv's results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import store, target
from benchmarks.__main__ import main
from benchmarks.measures import MEASURES
from benchmarks.suite import Suite, asv_name
from tests.clusters import separate_processes

ROOT = Path(__file__).parents[2]
SAYS = {
    "run": ("--bench", "--rounds", "--ship", "--size"),
    "workflows": ("--ship",),
    "graph": ("--check", "--update"),
    "compare": ("--peer", "--rows", "--rounds", "SIDE", "embedded", "--size"),
    "sweep": ("--strong", "--weak", "--threads", "--least", "--folder", "--ship"),
    "project": ("--bytes", "--threads", "--validate", "--ship"),
    "calibrate": ("--ship",),
    "report": ("--markdown", "--folder"),
    "kernels": ("--size",),
    "doctor": ("--ship",),
    "picture": ("results/ndvi.png",),
}


@pytest.mark.parametrize("command", SAYS)
def test_the_help_of_a_command_names_what_it_takes(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(word in said for word in SAYS[command])


def test_the_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert set(SAYS) <= {line.split()[0] for line in said.splitlines() if line.strip()}


@pytest.mark.parametrize("command", ["sweep", "project", "calibrate", "report", "doctor"])
def test_a_command_whose_inputs_have_no_two_sizes_takes_no_size(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--size" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["HEAD"], ["HEAD", "HEAD", "--peer", "a==1"], ["a", "b", "c"]])
def test_a_comparison_of_anything_but_two_is_refused(arguments, capsys):
    assert main(["compare", *arguments]) == 2
    assert "either --peer NAME==VERSION or two commits or targets" in capsys.readouterr().err


def test_asv_has_a_method_with_a_unit_for_every_measure():
    for measure, says in MEASURES.items():
        method = getattr(Suite, asv_name(measure))
        assert asv_name(measure).startswith("time_") or method.unit == says.unit


def test_a_run_is_in_the_store_and_in_the_results_of_asv(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != target.ADDRESS}
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", "--size", "smallest", "--bench", "cubes.indices.Ndvi"],
        cwd=ROOT,
        env=environment | {store.PLACE: str(tmp_path / "records.jsonl"), target.LABEL: "tried"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (record,) = store.records(tmp_path / "records.jsonl", kind="suite", label="tried")
    assert record["samples"]["tasks"] == [8]
    assert len(record["samples"]["compute_seconds"]) == 2
    assert set(record["samples"]) == set(MEASURES)
    assert record["settings"]["harness_seconds"] > 0
    found = [json.loads(path.read_text()) for path in (ROOT / ".asv" / "results").glob("*/*tried_smallest*.json")]
    (results,) = [one for one in found if one["commit_hash"] == record["commit"]]
    exported = {name.rpartition(".")[2] for name in results["results"]}
    assert exported == {asv_name(measure) for measure in MEASURES}
    for path in (ROOT / ".asv" / "results").glob("*/*tried_smallest*.json"):
        path.unlink()


def test_the_main_job_runs_on_four_workers_of_one_thread_that_were_started_by_hand(tmp_path):
    # what `make bench` calls, with a few suites for all of them
    with separate_processes(tmp_path, workers=4) as address:
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks", "run", "--size", "smallest", "--bench", "cubes.(indices|mask)"],
            cwd=ROOT,
            env=os.environ
            | {target.ADDRESS: address, target.LABEL: "four", store.PLACE: str(tmp_path / "records.jsonl")},
            capture_output=True,
            text=True,
            timeout=280,
        )
    for path in (ROOT / ".asv" / "results").glob("*/*four_smallest*.json"):
        path.unlink()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "4 workers with 4 threads in all" in answer.stdout
    records = list(store.records(tmp_path / "records.jsonl", kind="suite", label="four"))
    assert len({record["suite"] for record in records}) >= 3
    for record in records:
        assert not record["error"]
        assert min(record["samples"]["compute_seconds"]) > 0
        assert address not in json.dumps(record)  # labels are stored, never addresses
