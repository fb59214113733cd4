"""Saving is complete or not at all, in every format: killed runs, two at once, full disks, results that are there."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import shapely
import xarray as xr

from openeo_processes_dask import dimensions, exceptions, vectors
from openeo_processes_dask.process_implementations.cubes import export_collection, export_workspace, save_result
from openeo_processes_dask.process_implementations.cubes.saving import export, place
from openeo_processes_dask.process_implementations.cubes.saving.options import FORMATS
from tests.cubes import cases

SUFFIX = {one.name: one.suffix for one in FORMATS.values()}
BYTES = ("PNG",)
FOLDERS = ("results", "workspaces", "collections")
TABLES = ("GeoJSON", "GeoParquet")


@pytest.fixture(autouse=True)
def results(tmp_path: Path) -> Any:
    """Let results go to a folder of the test."""
    with dask.config.set({"openeo.results": str(tmp_path)}):
        yield tmp_path


def cube(format: str, dates: int = 1, side: int = 40) -> xr.DataArray:
    """Random values that any file of the format needs room for, in blocks."""
    generator = np.random.default_rng(3)
    if format in TABLES:
        shapes = np.array([shapely.Point(x, 1) for x in range(side * side // 20)], object)
        features = vectors.Features(shapes, dimensions.parse_crs(4326), {})
        values = generator.random((len(shapes), 20))
        made = vectors.cube(features, values, ["geometry", "bands"], bands=[f"b{i}" for i in range(20)])
        return made.chunk({"geometry": -(-len(shapes) // 2)})
    array = generator.random((dates, 2, side, side))
    array = (array * 255).astype("uint8") if format in BYTES else array
    made = cases.cube(array, {"t": 1, "y": -(-side // 2)}, nodata=0 if format in BYTES else None)
    return dimensions.with_role(dimensions.with_role(made, "t", "temporal"), "bands", "bands")


def content(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder and below."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def end(*more: Any, **others: Any) -> None:
    """End this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(made: xr.DataArray) -> xr.DataArray:
    """A cube that ends the process among its blocks."""

    def kill(block: np.ndarray, block_id: tuple[int, ...]) -> Any:
        return end() if block_id[-2] + block_id[0] > 0 else block

    return made.copy(data=made.data.map_blocks(kill, meta=made.data._meta))


def after_one() -> None:
    """End the process once it has moved something."""
    for name in ("replace", "link", "rename"):
        function = getattr(os, name)
        setattr(os, name, lambda *more, function=function: (function(*more), end()))


def kill_saving(folder: str, moment: str, format: str, overwrite: bool = False) -> None:
    """Save two dates and be killed."""
    made = cube(format, 2)
    if moment == "among blocks":
        made = deadly(made)
    elif moment == "before moving":
        place._publish = end
    elif moment == "while moving":
        after_one()
    else:
        place.shutil.rmtree = end  # type: ignore[assignment]
    with dask.config.set({"openeo.results": folder}):
        save_result(made, format, {"overwrite": overwrite})


def kill_exporting(folder: str, moment: str, to: str) -> None:
    """Export what is saved here and be killed."""
    with dask.config.set({f"openeo.{name}": f"{folder}/{name}" for name in FOLDERS}):
        made = save_result(cube("COG", 2), "COG", {"path": "b"})
        if moment == "copying":
            export._move = end
        else:
            after_one()
        exported(made, to)


@pytest.fixture(scope="module")
def killer() -> Iterator[Callable[..., None]]:
    """Calls a function of this module in a process of its own, in which it ends; they are forked from one."""
    program = (
        "import os, sys\n"
        "from tests.cubes import test_save_atomic as t\n"
        "for line in sys.stdin:\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        name, arguments = eval(line)\n"
        "        getattr(t, name)(*arguments)\n"
        "        os._exit(1)\n"
        "    print(os.waitpid(pid, 0)[1], flush=True)\n"
    )
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2], **pipes) as parent:

        def call(name: str, *arguments: Any) -> None:
            parent.stdin.write(f"{(name, arguments)!r}\n")
            parent.stdin.flush()
            ready, _, _ = select.select([parent.stdout], [], [], 100)
            assert ready, f"{name}{arguments} was not killed in 100 s"
            assert int(parent.stdout.readline()) == signal.SIGKILL

        yield call
        parent.kill()


@pytest.mark.parametrize("where", ["among blocks", "before moving"])
@pytest.mark.parametrize("format", SUFFIX)
def test_a_killed_run_leaves_nothing_under_a_final_name(format: str, where: str, tmp_path: Path, killer: Any) -> None:
    killer("kill_saving", str(tmp_path), where, format)
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1
    assert re.match(r"\.result.*\.partial-", left[0])
    save_result(cube(format, 2), format)
    assert not [path for path in tmp_path.iterdir() if ".partial-" in path.name]
    assert [path for path in tmp_path.iterdir() if path.name.endswith(SUFFIX[format])]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("format", SUFFIX)
def test_a_run_killed_while_it_moves_its_files_is_taken_back(
    format: str, overwrite: bool, tmp_path: Path, killer: Any
) -> None:
    if overwrite:
        save_result(cube(format, 2) * 0, format)
    before = content(tmp_path)
    killer("kill_saving", str(tmp_path), "while moving", format, overwrite)
    place._sweep(next(tmp_path.glob(".result*.partial-*")).with_name(_first(format)))
    assert content(tmp_path) == before
    save_result(cube(format, 2), format, {"overwrite": overwrite})
    complete = content(tmp_path)
    assert not [name for name in complete if "partial" in name]
    assert complete != before


def _first(format: str) -> str:
    return f"result_2023-04-03{SUFFIX[format]}" if format in ("GTiff", "COG", "PNG") else f"result{SUFFIX[format]}"


def test_a_run_killed_after_all_was_moved_keeps_its_result(tmp_path: Path, killer: Any) -> None:
    killer("kill_saving", str(tmp_path), "after moving", "GTiff")
    place._sweep(tmp_path / _first("GTiff"))
    assert sum(path.suffix == ".tif" for path in tmp_path.iterdir()) == 2
    assert not list(tmp_path.glob(".*"))


def test_what_a_living_run_has_not_finished_stays(tmp_path: Path) -> None:
    alive = tmp_path / f".result.zarr.partial-{place._HOST}-{os.getpid()}-0"
    alive.mkdir()
    save_result(cube("Zarr"), "Zarr")
    assert alive.exists()


def on_a_full_disk(*before: str, do: str, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run statements in a process that can write no large file, and print the StorageFailure that they end in."""
    program = [
        "import json, resource, sys, dask.config",
        "from openeo_processes_dask.exceptions import StorageFailure",
        "from tests.cubes import test_save_atomic as t",
        *before,
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))",
        "try:",
        f"    {do}",
        "except StorageFailure as error:",
        "    print(error)",
    ]
    command = [sys.executable, "-c", "\n".join(program), *arguments]
    return subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("format", SUFFIX)
def test_a_full_disk_is_said_and_leaves_nothing(format: str, tmp_path: Path) -> None:
    run = on_a_full_disk(
        "dask.config.set({'openeo.results': sys.argv[1]})",
        "cube = t.cube(sys.argv[2], side=400)",
        do="t.save_result(cube, sys.argv[2])",
        arguments=(str(tmp_path), format),
    )
    assert f"result{SUFFIX[format]} could not be written" in run.stdout, run
    assert (run.returncode, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("format", SUFFIX)
def test_of_two_runs_at_once_one_is_told(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cube(format)
    original = place._publish
    other: dict[str, bytes] = {}

    def publish(*more: Any) -> None:
        monkeypatch.undo()
        save_result(first, format)  # another run, which is done in between
        other.update({name: held for name, held in content(tmp_path).items() if ".partial-" not in name})
        original(*more)

    monkeypatch.setattr(place, "_publish", publish)
    with pytest.raises(exceptions.FileExists, match="exists since a moment ago"):
        save_result(first * 0, format)
    assert content(tmp_path) == other
    assert other


@pytest.mark.parametrize("format", SUFFIX)
def test_results_are_replaced_only_when_asked(format: str, tmp_path: Path) -> None:
    first = cube(format)
    save_result(first, format)
    before = content(tmp_path)

    def never(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed for nothing")

    other = first.copy(data=da.map_blocks(never, first.data, meta=first.data._meta))
    with pytest.raises(exceptions.FileExists, match=r"result\.\w+ exists; the option overwrite replaces it"):
        save_result(other, format)
    assert content(tmp_path) == before
    save_result(first * 0, format, {"overwrite": True})
    after = content(tmp_path)
    assert after.keys() == before.keys() or format == "Zarr"
    assert after != before


@pytest.mark.parametrize("name", ["n" * 201, "n" * 5000, "a\0b", "a\ud800b", "日" * 70])
@pytest.mark.parametrize("format", ["GTiff", "Zarr", "CSV"])
def test_a_name_that_no_file_can_have_is_refused(format: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(exceptions.FilePathInvalid, match=r"no name of a file|has \d+ bytes, and may have 200"):
        save_result(cube(format), format, {"path": name + SUFFIX[format]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", SUFFIX)
def test_odd_names_and_long_ones_are_names(format: str, tmp_path: Path) -> None:
    for name in ("a b'\"*[1]?%20#&;é日\n", "-rf", "vsi:x<y>&", "n" * (200 - len(SUFFIX[format]))):
        save_result(cube(format), format, {"path": name + SUFFIX[format], "stac": False})
        assert (tmp_path / (name + SUFFIX[format])).exists()
    assert not [path for path in tmp_path.iterdir() if ".partial-" in path.name]


def test_a_link_to_nothing_is_not_overwritten_unasked(tmp_path: Path) -> None:
    link = tmp_path / "result.zarr.stac.json"
    link.symlink_to(tmp_path.parent / "nowhere")
    with pytest.raises(exceptions.FileExists, match=r"stac\.json exists; the option overwrite"):
        save_result(cube("Zarr"), "Zarr")
    save_result(cube("Zarr"), "Zarr", {"overwrite": True})
    assert link.is_file()
    assert not link.is_symlink()
    assert not (tmp_path.parent / "nowhere").exists()


def test_what_is_removed_after_a_run_was_killed_cleaning_up_takes_nothing_with_it(tmp_path: Path, killer: Any) -> None:
    killer("kill_saving", str(tmp_path), "after moving", "GTiff")
    first, second = sorted(tmp_path.glob("*.tif"))
    first.unlink()
    place._sweep(tmp_path / _first("GTiff"))
    assert second.exists()
    assert not list(tmp_path.glob(".*"))


# --- exports


@pytest.fixture
def folders(tmp_path: Path) -> Any:
    """Let workspaces and collections have folders."""
    names = {f"openeo.{name}": str(tmp_path / name) for name in FOLDERS}
    for name in ("results", "workspaces/mine", "collections"):
        (tmp_path / name).mkdir(parents=True)
    with dask.config.set(names):
        yield tmp_path


def exported(made: Any, to: str) -> Any:
    return export_workspace(made, "mine", "a") if to == "workspaces" else export_collection(made, "a")


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("moment", ["copying", "moving"])
@pytest.mark.parametrize("to", ["workspaces", "collections"])
def test_a_killed_export_is_taken_back_by_the_next(
    to: str, moment: str, there: bool, folders: Path, killer: Any
) -> None:
    target = folders / ("workspaces/mine/a" if to == "workspaces" else "collections/a")
    if there:
        exported(save_result(cube("COG"), "COG", {"path": "first"}), to)
    before = content(target) if there else {}
    killer("kill_exporting", str(folders), moment, to)
    assert (target / "collection.json").exists() == there
    third = save_result(cube("COG", 2), "COG", {"path": "b", "overwrite": True})
    exported(third, to)
    after = content(target)
    assert not [name for name in after if "partial" in name]
    assert {name: after[name] for name in before if name != "collection.json"} == {
        name: held for name, held in before.items() if name != "collection.json"
    }
    assert sum(name.endswith(".tif") for name in after) == 2 + there


@pytest.mark.parametrize("to", ["workspaces", "collections"])
def test_an_export_to_a_full_disk_is_said_and_leaves_nothing(to: str, folders: Path) -> None:
    made = save_result(cube("GTiff", side=400), "GTiff", {"path": "a"})
    (folders / "made.json").write_text(json.dumps(made))
    run = on_a_full_disk(
        "names = ('results', 'workspaces', 'collections')",
        "dask.config.set({f'openeo.{name}': f'{sys.argv[1]}/{name}' for name in names})",
        "made = json.load(open(f'{sys.argv[1]}/made.json'))",
        do="t.exported(made, sys.argv[2])",
        arguments=(str(folders), to),
    )
    assert "could not be written" in run.stdout, run
    assert (run.returncode, content(folders / to)) == (0, {})


def test_an_export_waits_for_another_only_so_long(folders: Path) -> None:
    made = save_result(cube("COG"), "COG", {"path": "a"})
    target = folders / "workspaces" / "mine" / "a"
    target.mkdir()
    with (
        export._alone(target),
        dask.config.set({"openeo.save.timeout": "200ms"}),
        pytest.raises(exceptions.StorageFailure, match=r"another export has been at work in .*a for 0 s"),
    ):
        export_workspace(made, "mine", "a")
    assert exported(made, "workspaces")["id"] == "a"
