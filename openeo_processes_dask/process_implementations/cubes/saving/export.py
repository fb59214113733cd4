"""STAC resources with their files, copied into a folder: a workspace, or the collections that can be loaded."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask

from openeo_processes_dask.arguments import plain
from openeo_processes_dask.exceptions import (
    FileExists,
    FileNotFound,
    FilePathInvalid,
    ProcessParameterInvalid,
    StorageFailure,
)
from openeo_processes_dask.process_implementations.cubes.loading.catalogue import document_at, joined, local
from openeo_processes_dask.process_implementations.cubes.loading.layers import is_remote

from .place import announce, storing, take_back
from .workers import TIMEOUT, limit

KINDS = ("Feature", "Collection", "Catalog")
ROOTS = ("openeo.results", "openeo.workspaces", "openeo.collections", "openeo.uploads")


def resource(data: Any) -> dict[str, Any]:
    """A copy of a STAC resource.

    Raises
    ------
    ProcessParameterInvalid
        If it is none.
    """
    data = plain(data)
    if not isinstance(data, Mapping) or data.get("type") not in KINDS or not isinstance(data.get("id"), str):
        raise ProcessParameterInvalid(f"an Item, Collection or Catalog of STAC with an id is needed, not {data!r:.200}")
    if not data["id"].strip("./") or "/" in data["id"] or "\0" in data["id"]:
        raise ProcessParameterInvalid(f"{data['id']!r} is no id that can name a file")
    return copy.deepcopy(dict(data))


def patched(data: Any, changes: Any) -> Any:
    """JSON with changes merged into it, in the way of RFC 7386: objects are merged, null removes, all else replaces."""
    if not isinstance(changes, Mapping):
        return copy.deepcopy(changes)
    made = dict(data) if isinstance(data, Mapping) else {}
    for name, change in changes.items():
        if change is None:
            made.pop(name, None)
        else:
            made[name] = patched(made.get(name), change)
    return made


def workspace(id: Any) -> Path:
    """The folder of a workspace: a folder of that name in the setting `openeo.workspaces`.

    Raises
    ------
    ProcessParameterInvalid
        If there is none.
    """
    root = dask.config.get("openeo.workspaces", None)
    base = None if root is None else Path(root).resolve()
    names = sorted(one.name for one in base.iterdir() if one.is_dir()) if base is not None and base.is_dir() else []
    if base is None or not isinstance(id, str) or id not in names:
        raise ProcessParameterInvalid(f"no workspace {id!r}; there are {', '.join(names) or 'none'}")
    return base / id


def inside(folder: Path, given: Any) -> Path:
    """A path in a folder, which it may not leave.

    Raises
    ------
    FilePathInvalid
        If it does, or is none.
    """
    if not isinstance(given, str) or not given.strip("./") or "\0" in given:
        raise FilePathInvalid(f"{given!r} is no path in {folder.name}")
    path = (folder / given.lstrip("/")).resolve()
    if path == folder or not path.is_relative_to(folder):
        raise FilePathInvalid(f"{given!r} is outside of {folder.name}")
    return path


def export(data: dict[str, Any], folder: Path, id: str) -> dict[str, Any]:
    """Copy a resource, with all Items and files below it, into a folder, and into the Collection that is there.

    Gives the resource that is there then, with full paths. Files at other addresses stay there.

    Raises
    ------
    FileExists
        If an Item of that id is there already.
    FileNotFound, FilePathInvalid
        If a file of the resource is missing, or lies where nothing may be read.
    """
    items = list(_items(data))
    files = {href: _readable(href) for one in (*items, data) for href in _hrefs(one) if not is_remote(href)}
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), _staged(folder) as stage:
        main = folder / "collection.json"
        there = document_at(str(main)) if main.exists() else None
        if taken := [one["id"] for one in items if (folder / one["id"]).exists()]:
            raise FileExists(f"{folder.name} holds {', '.join(taken)} already")
        copies: dict[str, Path] = {}
        for item in items:
            copies |= _write_item(item, files, stage / item["id"], folder / item["id"])
        loose = {href: files[href] for href in _hrefs(data) if href in files and href not in copies}
        if clash := [path.name for path in loose.values() if (folder / path.name).exists()]:
            raise FileExists(f"{folder.name} holds {', '.join(clash)} already")
        for href, path in loose.items():
            copies[href] = folder / path.name
            _copy(path, stage / path.name)
        made = _merged(there, data, items, copies, folder, id)
        with storing(main):
            (stage / main.name).write_text(json.dumps(made, indent=1))
            moved = [stage / item["id"] for item in items] + [stage / path.name for path in loose.values()]
            announce(stage, [*moved, stage / main.name])
            _move([*moved, stage / main.name], folder)
    return _full(made, folder)


def _items(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The Items of a resource: itself, or what it links to, however deep."""
    waiting: list[tuple[str, Mapping[str, Any]]] = [(os.getcwd() + "/", data)]
    seen: set[str] = set()
    while waiting:
        base, one = waiting.pop(0)
        if one.get("type") == "Feature":
            made = resource(one)
            for asset in made.get("assets", {}).values():
                asset["href"] = joined(base, str(asset["href"]))
            yield made
            continue
        for link in one.get("links") or ():
            if isinstance(link, Mapping) and link.get("rel") in ("item", "child") and link.get("href"):
                href = joined(base, str(link["href"]))
                if href not in seen:
                    seen.add(href)
                    if not is_remote(href):
                        _readable(href)
                    waiting.append((href, document_at(href)))


def _hrefs(one: Mapping[str, Any]) -> list[str]:
    assets = one.get("assets") or {}
    try:
        return [str(asset["href"]) for asset in assets.values()]
    except (AttributeError, KeyError, TypeError) as error:
        raise ProcessParameterInvalid(
            f"the assets of {one.get('id')} are no objects with an href: {error!r}"
        ) from error


def _readable(href: str) -> Path:
    """A file of this machine that a resource may name: where results lie in a known folder, one in such a folder."""
    path = Path(local(href)).resolve()
    roots = [Path(root).resolve() for name in ROOTS if (root := dask.config.get(name, None)) is not None]
    if roots and not any(path.is_relative_to(root) for root in roots):
        raise FilePathInvalid(f"{href} lies outside of the folders of results and collections")
    if not path.exists():
        raise FileNotFound(f"{href}: there is no such file")
    return path


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process of this machine changes the folder at a time; the others wait, as long as a setting allows."""
    opened = os.open(folder, os.O_RDONLY)
    timeout = limit("timeout", TIMEOUT)
    end = time.monotonic() + timeout
    try:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise StorageFailure(f"another export has been at work in {folder} for {timeout:.0f} s") from error
                time.sleep(min(0.05, timeout))
        yield
    finally:
        os.close(opened)


@contextlib.contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder for what is not complete yet; nobody else is at work, so what another run left is removed."""
    for left in folder.glob(".partial-*"):
        take_back(left)
        shutil.rmtree(left, ignore_errors=True)
    stage = folder / f".partial-{uuid.uuid4().hex[:12]}"
    with storing(stage):
        stage.mkdir()
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _write_item(item: dict[str, Any], files: Mapping[str, Path], stage: Path, final: Path) -> dict[str, Path]:
    """Write an Item and its files to a folder of its own; give where each file will be."""
    copies: dict[str, Path] = {}
    with storing(stage):
        stage.mkdir()
    for asset in item.get("assets", {}).values():
        if (path := files.get(asset["href"])) is None:
            continue
        if asset["href"] not in copies:
            name = path.name if not (stage / path.name).exists() else f"{len(copies)}-{path.name}"
            _copy(path, stage / name)
            copies[asset["href"]] = final / name
        asset["href"] = f"./{copies[asset['href']].name}"
    item["links"] = [
        {"rel": rel, "href": "../collection.json", "type": "application/json"} for rel in ("collection", "parent")
    ]
    with storing(stage):
        (stage / f"{item['id']}.json").write_text(json.dumps(item, indent=1))
    return copies


def _copy(source: Path, target: Path) -> None:
    with storing(target):
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
            # what GDAL keeps beside a picture
            if (beside := source.with_name(f"{source.name}.aux.xml")).exists():
                shutil.copyfile(beside, target.with_name(f"{target.name}.aux.xml"))


def _move(staged: Sequence[Path], folder: Path) -> None:
    """Move everything to its place, the main document last; if that fails nothing new stays."""
    done: list[Path] = []
    try:
        for path in staged:
            os.replace(path, folder / path.name)
            done.append(folder / path.name)
    except BaseException:
        for path in done[: len(staged) - 1]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def _merged(
    there: Mapping[str, Any] | None,
    data: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    copies: Mapping[str, Path],
    folder: Path,
    id: str,
) -> dict[str, Any]:
    """The Collection of what is there and what comes."""
    own = {k: copy.deepcopy(v) for k, v in data.items() if k not in ("links", "assets")}
    new = own if data["type"] == "Collection" else _collection_of(items, id)
    made = dict(there) if there is not None else {**new, "id": id}
    if there is not None:
        made["extent"] = _union(there.get("extent"), new.get("extent"))
    assets = dict(made.get("assets") or {})
    if data["type"] == "Collection":
        for key, asset in (data.get("assets") or {}).items():
            path = copies.get(asset["href"])
            href = asset["href"] if path is None else f"./{path.relative_to(folder)}"
            assets[key if key not in assets else f"{key}-{len(assets)}"] = {**asset, "href": href}
    made |= {"assets": assets} if assets else {}
    links = [link for link in made.get("links") or () if link.get("rel") != "self"]
    kind = {"rel": "item", "type": "application/geo+json"}
    made["links"] = links + [{**kind, "href": f"./{one['id']}/{one['id']}.json"} for one in items]
    return made


def _collection_of(items: Sequence[Mapping[str, Any]], id: str) -> dict[str, Any]:
    boxes = [list(one["bbox"]) for one in items if one.get("bbox")]
    moments: list[Any] = []
    for one in items:
        about = one.get("properties") or {}
        moments += [about.get(name) for name in ("datetime", "start_datetime", "end_datetime") if about.get(name)]
    box = _around(boxes) or [-180, -90, 180, 90]
    interval = [min(moments), max(moments)] if moments else [None, None]
    return {
        "type": "Collection",
        "stac_version": str(items[0].get("stac_version", "1.1.0")) if items else "1.1.0",
        "id": id,
        "description": "Results that were exported.",
        "license": "other",
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [interval]}},
        "links": [],
    }


def _around(boxes: Sequence[Sequence[float]]) -> list[float] | None:
    flat = [box if len(box) == 4 else [box[0], box[1], box[3], box[4]] for box in boxes]
    if not flat:
        return None
    west, south, east, north = zip(*flat, strict=True)
    return [min(west), min(south), max(east), max(north)]


def _union(one: Any, other: Any) -> Any:
    """The extent of two; the first box and interval of an extent are those of the whole."""
    try:
        boxes = [e["spatial"]["bbox"][0] for e in (one, other)]
        starts, ends = zip(*(e["temporal"]["interval"][0] for e in (one, other)), strict=True)
    except (KeyError, IndexError, TypeError, ValueError):
        return one or other
    start = None if None in starts else min(starts)
    end = None if None in ends else max(ends)
    return {"spatial": {"bbox": [_around(boxes)]}, "temporal": {"interval": [[start, end]]}}


def _full(made: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The document with full paths."""
    full = copy.deepcopy(dict(made))
    for one in (*full.get("assets", {}).values(), *full["links"]):
        if not is_remote(str(one["href"])):
            one["href"] = str(folder / one["href"])
    full["links"].append({"rel": "self", "href": str(folder / "collection.json"), "type": "application/json"})
    return full
