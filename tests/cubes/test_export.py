"""Results that are copied with their documents into workspaces and collections, complete or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pystac
import pytest
import xarray as xr

from openeo_processes_dask import dimensions, exceptions
from openeo_processes_dask.process_implementations.cubes import (
    export_collection,
    export_workspace,
    load_collection,
    load_stac,
    save_result,
    stac_modify,
)
from tests.cubes import cases


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> Iterator[Path]:
    """Let results, workspaces and collections have folders."""
    for name in ("results", "workspaces/mine", "collections"):
        (tmp_path / name).mkdir(parents=True)
    names = ("results", "workspaces", "collections")
    with dask.config.set({f"openeo.{name}": str(tmp_path / name) for name in names}):
        yield tmp_path


def cube(start: str = "2023-04-03") -> xr.DataArray:
    moments = np.datetime64(start, "ns") + np.arange(2) * np.timedelta64(1, "D")
    made = cases.cube(cases.values((2, 2, 20, 30), "uint16"), {"t": 1}, nodata=0, t=moments)
    return dimensions.with_role(dimensions.with_role(made, "t", "temporal"), "bands", "bands")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("format", ["COG", "netCDF", "Zarr", "PNG"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_result_in_a_workspace_loads_from_there(format: str, beside: bool, folders: Path) -> None:
    saved = cube() if format != "PNG" else cube().astype("uint16")
    made = save_result(saved, format, {"path": "a", "stac": beside})
    if not beside and format in ("COG", "PNG"):
        exported = export_workspace(made, "mine")
        assert len(exported["assets"]) == 2
        assert all(Path(asset["href"]).is_file() for asset in exported["assets"].values())
        return
    exported = export_workspace(made, "mine")
    assert exported["type"] == "Collection"
    for path in (folders / "results").iterdir():
        assert not path.is_file() or path.unlink() is None
    self_link = next(link["href"] for link in exported["links"] if link["rel"] == "self")
    assert Path(self_link) == folders / "workspaces" / "mine" / "a" / "collection.json"
    np.testing.assert_array_equal(load_stac(self_link), saved)
    for item in pystac.Collection.from_file(self_link).get_items():
        assert item.get_collection().id == "a"


def test_what_is_merged_adds_to_what_is_there(folders: Path) -> None:
    first, second = cube("2023-04-03"), cube("2023-05-03")
    export_workspace(save_result(first, "GTiff", {"path": "a"}), "mine", "deep/er")
    exported = export_workspace(save_result(second, "GTiff", {"path": "b"}), "mine", "/deep/er")
    path = folders / "workspaces" / "mine" / "deep" / "er" / "collection.json"
    assert exported["extent"]["temporal"]["interval"] == [["2023-04-03T00:00:00Z", "2023-05-04T00:00:00Z"]]
    np.testing.assert_array_equal(load_stac(str(path)), np.concatenate([first, second]))
    before = names(folders / "workspaces")
    with pytest.raises(exceptions.FileExists, match="er holds b_2023-05-03, b_2023-05-04 already"):
        export_workspace(save_result(second, "GTiff", {"path": "b", "overwrite": True}), "mine", "deep/er")
    assert names(folders / "workspaces") == before
    assert not [name for name in before if "partial" in name]


def test_without_merge_a_result_is_kept_apart(folders: Path) -> None:
    made = save_result(cube().isel(t=0), "COG", {"path": "a"})
    export_workspace(made, "mine")
    with pytest.raises(exceptions.FileExists, match="the workspace mine holds a already; merge names"):
        export_workspace(made, "mine")


def test_a_collection_is_made_and_grows(folders: Path) -> None:
    first, second = cube("2023-04-03"), cube("2023-05-03")
    assert export_collection(save_result(first, "COG", {"path": "a"}), "ours/new") == "ours/new"
    np.testing.assert_array_equal(load_collection("ours/new", None, None), first)
    export_collection(save_result(second.isel(t=0), "COG", {"path": "b"}), "ours/new")
    np.testing.assert_array_equal(load_collection("ours/new", None, None), np.concatenate([first, second[:1]]))
    (folders / "collections" / "other").mkdir()
    with pytest.raises(exceptions.FileExists, match="other is there already"):
        export_collection(save_result(second, "COG", {"path": "c"}), "other")


def test_a_failure_leaves_the_workspace_as_it_was(folders: Path) -> None:
    made = save_result(cube(), "COG", {"path": "a"})
    (folders / "results" / "a_2023-04-04.tif").unlink()
    with pytest.raises(exceptions.FileNotFound, match=r"a_2023-04-04\.tif: there is no such file"):
        export_workspace(made, "mine")
    assert names(folders / "workspaces") == []


def test_nothing_outside_of_the_folders_is_read_or_written(folders: Path) -> None:
    secret = folders / "secret.txt"
    secret.write_text("secret")
    item = save_result(cube().isel(t=0), "COG", {"path": "a"})
    for href in (str(secret), secret.as_uri(), str(folders / "results" / ".." / "secret.txt")):
        stolen = stac_modify(item, {"assets": {"more": {"href": href}}})
        with pytest.raises(exceptions.FilePathInvalid, match="lies outside of the folders"):
            export_workspace(stolen, "mine")
    linked = {"type": "Catalog", "id": "c", "links": [{"rel": "child", "href": str(secret)}]}
    with pytest.raises(exceptions.FilePathInvalid, match="lies outside of the folders"):
        export_collection(linked, "c")
    for merge in ("..", "../other", "/../../x", "", "."):
        with pytest.raises(exceptions.FilePathInvalid):
            export_workspace(item, "mine", merge)
    for id in ("..", "theirs", "mine/..", None):
        with pytest.raises(exceptions.ProcessParameterInvalid, match="no workspace"):
            export_workspace(item, id)
    with pytest.raises(exceptions.FilePathInvalid):
        export_collection(item, "../a")
    with pytest.raises(exceptions.ProcessParameterInvalid, match="no id that can name a file"):
        stac_modify(item, {"id": "../a"})
    assert names(folders / "workspaces") + names(folders / "collections") == []


# The examples of RFC 7386, appendix A, in which documents are objects.
MERGES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("data", "changes", "expected"), MERGES)
def test_changes_are_merged_as_the_rfc_says(data: Any, changes: Any, expected: Any) -> None:
    frame = {"type": "Collection", "id": "c"}
    given = {**frame, **data}
    before = json.dumps(given)
    assert stac_modify(given, changes) == {**frame, **expected}
    assert json.dumps(given) == before


def test_what_is_no_stac_is_refused() -> None:
    for data in (None, [], {"type": "Collection"}, {"type": "x", "id": "a"}):
        with pytest.raises(exceptions.ProcessParameterInvalid, match="is needed"):
            stac_modify(data, {})
    with pytest.raises(exceptions.ProcessParameterInvalid, match="is needed"):
        stac_modify({"type": "Feature", "id": "a"}, {"type": None})
    with pytest.raises(exceptions.ProcessParameterInvalid, match="changes is an object"):
        stac_modify({"type": "Feature", "id": "a"}, [1])
