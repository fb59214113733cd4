"""What a killed run leaves is removed by the next one, and nothing of one that lives."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks import scratch

ROOT = Path(__file__).parents[2]
WAITING = "from benchmarks import scratch; print(scratch.folder(), flush=True); input()"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", WAITING], **pipes) as process:
        try:
            assert process.stdout is not None
            theirs = Path(process.stdout.readline().strip())
            (theirs / "result").write_text("large")
            own = scratch.folder()
            assert theirs.is_dir()
            assert scratch.abandoned() == []
        finally:
            process.kill()
            process.wait(60)
    assert scratch.abandoned() == [theirs]
    second = scratch.folder()
    assert not theirs.exists()
    assert own.is_dir()
    assert second.is_dir()


def test_a_number_that_another_process_got_since_is_not_its_owner(tmp_path):
    own = scratch.folder()
    _, _, process, started, _ = own.name.split("-")
    earlier = tmp_path / f"{scratch.PREFIX}{process}-{int(started) - 1000}-abc"
    earlier.mkdir()
    assert scratch.abandoned() == [earlier]


def test_what_does_not_say_whose_it_is_stays(tmp_path):
    (tmp_path / f"{scratch.PREFIX}abcdefgh").mkdir()
    (tmp_path / "another").mkdir()
    assert scratch.abandoned() == []
