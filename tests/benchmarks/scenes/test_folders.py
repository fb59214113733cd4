"""Tests of benchmarks.scenes.folders, by way of the scene: a folder is complete or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.scenes import pixels, sentinel2
from benchmarks.scenes.folders import MARKER, progress

ROOT = Path(__file__).resolve().parents[3]


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_a_complete_folder_is_left_alone(scene):
    before = {path: path.stat().st_mtime_ns for path in scene.folder.rglob("*")}
    started = time.perf_counter()
    assert sentinel2(scene.folder) == scene
    assert time.perf_counter() - started < 0.5
    assert {path: path.stat().st_mtime_ns for path in scene.folder.rglob("*")} == before


def test_the_same_parameters_give_the_same_files(tmp_path):
    first = sentinel2(tmp_path / "a", size=64, dates=2)
    second = sentinel2(tmp_path / "b.c", size=64, dates=2)
    other = sentinel2(tmp_path / "d", size=64, dates=2, seed=1)
    assert contents(first.folder) == contents(second.folder)
    assert contents(first.folder) != contents(other.folder)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("damage", ["file gone", "file cut", "marker gone", "marker broken", "folder empty"])
def test_a_half_written_folder_is_repaired(tmp_path, damage):
    scene = sentinel2(tmp_path / "scene", size=64, dates=1)
    whole = contents(scene.folder)
    victim = scene.files["2023-04-03", "B04"]
    if damage == "file gone":
        victim.unlink()
    elif damage == "file cut":
        victim.write_bytes(victim.read_bytes()[:100])
    elif damage == "marker gone":
        (scene.folder / MARKER).unlink()
    elif damage == "marker broken":
        (scene.folder / MARKER).write_text("{")
    else:
        subprocess.run(["rm", "-r", str(scene.folder)], check=True)
        scene.folder.mkdir()
    sentinel2(tmp_path / "scene", size=64, dates=1)
    assert contents(scene.folder) == whole


def test_other_parameters_replace_the_scene(tmp_path):
    sentinel2(tmp_path / "scene", size=64, dates=2)
    scene = sentinel2(tmp_path / "scene", size=32, dates=1)
    assert sorted(scene.cogs.glob("*.tif")) == sorted(scene.files.values())


def test_a_folder_with_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("four years")
    with pytest.raises(FileExistsError, match=r"thesis\.txt"):
        sentinel2(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    layers = pixels.Acquisition.layers

    def failing(self):
        yield next(layers(self))
        raise OSError("the disk is full")

    monkeypatch.setattr(pixels.Acquisition, "layers", failing)
    with pytest.raises(OSError, match="disk is full"):
        sentinel2(tmp_path / "scene", size=32)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path):
    code = f"from benchmarks.scenes import sentinel2; sentinel2({str(tmp_path / 'scene')!r}, size=1500, dates=30)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".scene.partial-*/*/*.tif")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".scene.partial-")
    yesterday = time.time() - 2 * 24 * 3600
    os.utime(leftover, (yesterday, yesterday))
    sentinel2(tmp_path / "scene", size=32, dates=1)
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"dates": 0}, {"clouds": 0.9}, {"clouds": -0.1}])
def test_impossible_scenes_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sentinel2(tmp_path / "scene", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(sentinel2, tmp_path / "scene", size=64, dates=1) for _ in range(4)]
        scenes = [job.result() for job in jobs]
    assert all(path.is_file() for path in scenes[0].files.values())
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


def test_progress_is_silent_while_it_is_quick(capsys, monkeypatch):
    assert list(progress(range(3), 3, "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("benchmarks.scenes.folders.PATIENCE", -1)
    assert list(progress(range(3), 3, "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == "counting …\n"  # a file keeps all that was ever drawn
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(progress(range(3), 3, "counting")) == [0, 1, 2]
    assert capsys.readouterr().err.endswith(f"\rcounting [{'#' * 30}] 3/3\n")
