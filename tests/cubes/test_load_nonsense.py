"""Documents of catalogues in which something is nonsense: a cube, or an openEO error, and never one of Python's."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations.cubes import load_stac
from tests.cubes import pictures

NONSENSE: list[Any] = [
    None,
    "x",
    -1,
    True,
    [],
    {},
    [None],
    [{}],
    {"a": 1},
    [1, 2, 3],
    ["x"] * 6,
    float("inf"),
    "cint16",
]
BOX = {"west": 10, "south": 45, "east": 11, "north": 46}
INTERVAL = ["2023-01-01", "2024-01-01"]


def item(folder: Path) -> dict[str, Any]:
    """An Item that says all that is understood."""
    path = pictures.write(folder / "a.tif", pictures.pixels((4, 5)))
    made = pictures.item("i", "2023-04-03T10:00:00Z", {"a": path})
    made["properties"] |= {"proj:code": "EPSG:32632", "proj:shape": [4, 5]}
    made["properties"]["proj:transform"] = [10, 0, pictures.WEST, 0, -10, pictures.NORTH]
    made["assets"]["a"]["raster:bands"] = [{"data_type": "uint16", "nodata": 0, "scale": 2, "offset": 0}]
    made["assets"]["a"]["eo:bands"] = [{"name": "B1", "common_name": "red"}]
    made["links"] = [{"rel": "self", "href": "./item.json"}]
    return made


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something is said in a document, from outside to inside."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inner:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def load(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document))
    with contextlib.suppress(exceptions.OpenEOException), dask.config.set({"openeo.load.scale": True}):
        load_stac(str(path), BOX, INTERVAL).compute(scheduler="synchronous")


def test_the_item_itself_is_understood(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text(json.dumps(item(tmp_path)))
    assert load_stac(str(tmp_path / "item.json"), BOX, INTERVAL, ["red"]).shape == (1, 1, 4, 5)


@pytest.mark.parametrize("value", NONSENSE, ids=str)
def test_an_item_may_say_nonsense_anywhere(tmp_path: Path, value: Any) -> None:
    whole = item(tmp_path)
    for *above, last in places(whole):
        document = inner = copy.deepcopy(whole)
        for key in above:
            inner = inner[key]
        inner[last] = value
        load(tmp_path / "item.json", document)


def test_an_item_that_is_not_understood_is_named(tmp_path: Path) -> None:
    whole = item(tmp_path)
    whole["properties"]["proj:transform"][0] = "ten"
    (tmp_path / "item.json").write_text(json.dumps(whole))
    with pytest.raises(exceptions.FileContentInvalid, match=r"item i cannot be understood: .*ten"):
        load_stac(str(tmp_path / "item.json"))


def test_a_type_that_is_none_of_numpys_is_that_of_the_file(tmp_path: Path) -> None:
    whole = item(tmp_path)
    whole["assets"]["a"]["raster:bands"][0]["data_type"] = "other"
    (tmp_path / "item.json").write_text(json.dumps(whole))
    cube = load_stac(str(tmp_path / "item.json"))
    assert cube.dtype == "uint16"
    np.testing.assert_array_equal(cube[0, 0], pictures.pixels((4, 5)))


@pytest.mark.parametrize("kind", ["Catalog", "Collection", "FeatureCollection"])
@pytest.mark.parametrize("member", ["links", "features", "cube:dimensions", "conformsTo", "id"])
def test_what_is_above_items_may_be_nonsense_too(tmp_path: Path, kind: str, member: str) -> None:
    (tmp_path / "item.json").write_text(json.dumps(item(tmp_path)))
    links = [{"rel": "item", "href": "item.json"}]
    whole = {"type": kind, "id": "c", "links": links, "features": [item(tmp_path)]}
    inside: list[Any] = [[{"rel": "item", "href": 5}], [{"rel": ["item"]}], {"b": {"type": "bands", "values": 5}}]
    for value in [*NONSENSE, *inside, "a\0b"]:
        load(tmp_path / "document.json", {**whole, member: value})
