"""A STAC API on this machine: pages by GET and POST, filters of CQL2, and errors; what it is asked and what is read."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.windows import Window

from openeo_processes_dask import callbacks, exceptions
from openeo_processes_dask.process_implementations.cubes import load_collection, load_stac
from openeo_processes_dask.process_implementations.cubes.loading import api
from tests.cubes import pictures
from tests.cubes.cases import child, given, node, of
from tests.serving import served

CORE = "https://api.stacspec.org/v1.0.0/"
CONFORMS = [CORE + "core", CORE + "item-search", CORE + "item-search#filter", CORE + "collections"]
OPERATIONS: dict[str, Any] = {
    "=": lambda x, y: x == y,
    "<>": lambda x, y: x != y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "and": lambda *parts: all(parts),
    "or": lambda *parts: any(parts),
}


class Server:
    """What the API knows, and what it was asked."""

    def __init__(self, items: list[dict[str, Any]], posts: bool, filters: bool) -> None:
        self.items, self.posts, self.filters = items, posts, filters
        self.asked: list[dict[str, Any]] = []
        self.address = ""
        self.trouble = ""

    def answer(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        """The document at a path."""
        root = {"rel": "root", "href": f"{self.address}/", "type": "application/json"}
        if path == "/":
            methods = ["POST"] if self.posts else ["GET"]
            search = [
                {"rel": "search", "href": f"{self.address}/search", "type": "application/geo+json", "method": method}
                for method in methods
            ]
            conforms = CONFORMS if self.filters else [one for one in CONFORMS if "filter" not in one]
            about = {"type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "An API."}
            return {**about, "conformsTo": conforms, "links": [root, {**root, "rel": "self"}, *search]}
        if path == "/collections/c":
            own = f"{self.address}/collections/c"
            links = [root, {"rel": "self", "href": own}, {"rel": "items", "href": f"{own}/items"}]
            extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
            about = {"type": "Collection", "stac_version": "1.0.0", "id": "c", "description": "c", "license": "other"}
            return {**about, "extent": extent, "links": links}
        return self.page(query)

    def page(self, query: dict[str, Any]) -> dict[str, Any]:
        """Two of the items that fit, and where the next are."""
        self.asked.append(query)
        start = int(query.get("token", 0))
        found = [item for item in self.items if self.fits(item, query)]
        links: list[dict[str, Any]] = []
        if start + 2 < len(found) or self.trouble == "circle":
            token = 0 if self.trouble == "circle" else start + 2
            link = {"rel": "next", "href": f"{self.address}/search", "type": "application/geo+json"}
            if self.posts:
                links = [{**link, "method": "POST", "body": {"token": token}, "merge": True}]
            else:
                more = urllib.parse.urlencode({**query, "token": token})
                links = [{**link, "method": "GET", "href": f"{self.address}/search?{more}"}]
        return {"type": "FeatureCollection", "features": found[start : start + 2], "links": links}

    def fits(self, item: dict[str, Any], query: dict[str, Any]) -> bool:
        """Whether an item is what the filter says; boxes and dates are left to who asks."""
        condition = query.get("filter")
        if isinstance(condition, str):
            condition = json.loads(condition)
        return condition is None or bool(self.value(condition, item["properties"]))

    def value(self, one: Any, properties: dict[str, Any]) -> Any:
        """The value of CQL2."""
        if not isinstance(one, dict):
            return one
        if "property" in one:
            return properties.get(one["property"])
        values = [self.value(argument, properties) for argument in one["args"]]
        return None not in values and OPERATIONS[one["op"]](*values)


@pytest.fixture
def serving() -> Iterator[Any]:
    """Give what starts a server of items."""
    running = contextlib.ExitStack()

    def start(items: list[dict[str, Any]], posts: bool = True, filters: bool = True) -> Server:
        knows = Server(items, posts, filters)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                self.say(parts.path, dict(urllib.parse.parse_qsl(parts.query)))

            def do_POST(self) -> None:
                self.say(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def say(self, path: str, query: dict[str, Any]) -> None:
                failing = knows.trouble == "broken" and path == "/search"
                content = b"<html>" if knows.trouble == "html" and path == "/search" else b""
                content = content or json.dumps(knows.answer(path, query)).encode()
                self.send_response(500 if failing else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        knows.address = running.enter_context(served(Handler))
        return knows

    with running:
        yield start


@pytest.fixture
def items(tmp_path: Path) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Give five images and their items, with 0, 20 … 80 percent of clouds; they are never fetched from the server."""
    values = np.array([pictures.pixels((4, 5), seed=i) for i in range(5)])
    made = []
    for i, one in enumerate(values):
        path = pictures.write(tmp_path / f"{i}.tif", one)
        moment = f"2023-04-0{i + 1}T10:00:00Z"
        item = pictures.item(f"i{i}", moment, {"a": path}, **{"eo:cloud_cover": 20 * i, "platform": "ab"[i % 2]})
        item["assets"]["a"]["href"] = f"http://127.0.0.1:1/{i}.tif"
        made.append(item | {"collection": "c"})
    return values, made


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the assets' addresses lead to the files on this machine, so that only the API is asked over the network."""
    from openeo_processes_dask.process_implementations.cubes.loading import stac

    monkeypatch.setattr(stac, "local", lambda href: str(tmp_path / href.rpartition("/")[2]))


@pytest.mark.parametrize("posts", [True, False])
def test_pages_follow_each_other(posts: bool, items: Any, serving: Any) -> None:
    values, found = items
    server = serving(found, posts)
    cube = load_stac(f"{server.address}/collections/c")
    np.testing.assert_array_equal(cube[:, 0], values)
    assert len(server.asked) == 3
    assert server.asked[0]["collections"] == (["c"] if posts else "c")


@pytest.mark.parametrize("posts", [True, False])
def test_extents_and_conditions_are_left_to_the_server(posts: bool, items: Any, serving: Any) -> None:
    values, found = items
    server = serving(found, posts)
    box = {"west": 10, "south": 45, "east": 11, "north": 46}
    clouds = child(b=node("between", x=given("value"), min=10, max=80, exclude_max=True))
    properties = {"eo:cloud_cover": clouds, "platform": child(e=node("eq", x="b", y=given("value")))}
    cube = load_stac(f"{server.address}/collections/c", box, ["2023-04-02", "2023-04-04"], None, properties)
    np.testing.assert_array_equal(cube[:, 0], values[1:2])
    (asked,) = server.asked
    condition = asked["filter"] if posts else json.loads(asked["filter"])
    both = [{"op": ">=", "args": [{"property": "eo:cloud_cover"}, 10]}]
    both.append({"op": "<", "args": [{"property": "eo:cloud_cover"}, 80]})
    platform = {"op": "=", "args": [{"property": "platform"}, "b"]}
    assert condition == {"op": "and", "args": [{"op": "and", "args": both}, platform]}
    assert asked["filter-lang"] == "cql2-json"
    assert asked["bbox"] == ([10.0, 45.0, 11.0, 46.0] if posts else "10.0,45.0,11.0,46.0")
    assert asked["datetime"] == "2023-04-02T00:00:00Z/2023-04-04T00:00:00Z"


def test_a_server_without_filters_sends_more_and_gets_the_same(items: Any, serving: Any) -> None:
    values, found = items
    server = serving(found, filters=False)
    properties = {"eo:cloud_cover": child(l=node("lt", x=given("value"), y=50))}
    cube = load_stac(f"{server.address}/collections/c", properties=properties)
    np.testing.assert_array_equal(cube[:, 0], values[:3])
    assert "filter" not in server.asked[0]


def test_what_cql2_cannot_say_is_not_left_to_the_server() -> None:
    def said(**nodes: Any) -> Any:
        return api.cql2(callbacks.trace(child(**nodes), "value"), "p")

    own = {"property": "p"}
    assert said(a=node("gt", x=3, y=given("value"))) == {"op": "<", "args": [own, 3]}
    one, two = node("lte", x=given("value"), y=1), node("neq", x=given("value"), y="x")
    both = [{"op": "<=", "args": [own, 1]}, {"op": "<>", "args": [own, "x"]}]
    assert said(a=one, b=two, c=node("or", x=of("a"), y=of("b"))) == {"op": "or", "args": both}
    assert said(a=node("add", x=given("value"), y=1), b=node("lt", x=of("a"), y=3)) is None
    assert said(a=node("eq", x=given("value"), y=1, delta=2)) is None
    assert said(a=node("eq", x="A", y=given("value"), case_sensitive=False)) is None
    assert said(a=node("eq", x=given("value"), y=None)) is None
    assert said(a=one, b=node("not", x=of("a"))) is None


@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        ("broken", exceptions.FileNotFound, "the server says"),
        ("html", exceptions.FileContentInvalid, "is no STAC API"),
        ("circle", exceptions.FileContentInvalid, "sends the same page again"),
    ],
)
def test_an_api_that_misbehaves_is_given_up(
    trouble: str, error: Any, message: str, items: Any, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "RETRIES", 0)
    server = serving(items[1])
    server.trouble = trouble
    with pytest.raises(error, match=message):
        load_stac(f"{server.address}/collections/c")


# --- what is read, and how


def test_a_square_kilometre_of_a_whole_scene_reads_less_than_two_megabytes(
    tmp_path: Path, serve: tuple[str, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    address, sent = serve
    corner = (pictures.WEST, pictures.NORTH)
    profile = {"driver": "GTiff", "count": 1, "height": 10980, "width": 10980, "dtype": "uint16", "nodata": 0}
    place = {"crs": "EPSG:32632", "transform": Affine(10, 0, corner[0], 0, -10, corner[1])}
    blocks = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "sparse_ok": True}
    noise = np.random.default_rng(0).integers(1, 4000, (1536, 1536)).astype("uint16")
    with rasterio.open(tmp_path / "first.tif", "w", **profile, **place, **blocks) as file:
        file.write(noise, 1, window=Window(5120, 5120, 1536, 1536))
    cog = {"compress": "deflate", "blocksize": 512, "sparse_ok": True, "overview_resampling": "average"}
    rasterio.shutil.copy(tmp_path / "first.tif", tmp_path / "a.tif", driver="COG", **cog)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (file.shape, file.overviews(1)) == ((10980, 10980), [2, 4, 8, 16, 32])
    item = pictures.item("i", "2023-04-03T00:00:00Z", {"a": tmp_path / "a.tif"})
    item["assets"]["a"]["href"] = "./a.tif"
    pictures.collection(tmp_path / "catalog.json", [item], "Catalog")
    for row in (5200, 5632 - 50):  # inside of a tile, and where four of them meet
        west, north = corner[0] + 10 * row, corner[1] - 10 * row
        box = {"west": west, "east": west + 1000, "south": north - 1000, "north": north, "crs": 32632}
        before = sent.get("a.tif", 0)
        cube = load_stac(f"{address}/catalog.json", box)
        np.testing.assert_array_equal(cube[0, 0], noise[row - 5120 :, row - 5120 :][:100, :100])
        assert sent["a.tif"] - before < 2_000_000, f"{sent['a.tif'] - before} bytes"


@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_masks_and_alpha_bands_tell_gaps(tmp_path: Path, kind: str) -> None:
    values = pictures.pixels((40, 50), gaps=0) + 5
    valid = np.random.default_rng(1).random((40, 50)) > 0.3
    path = tmp_path / "2023-04-03.tif"
    profile = {"driver": "GTiff", "count": 1 + (kind == "alpha"), "height": 40, "width": 50, "dtype": "uint16"}
    place = {"crs": "EPSG:32632", "transform": Affine(10, 0, pictures.WEST, 0, -10, pictures.NORTH)}
    more = {"alpha": "unspecified"} if kind == "alpha" else {}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile, **place, **more) as file:
        file.write(values, 1)
        if kind == "mask":
            file.write_mask(valid)
        else:
            file.write(np.where(valid, 65535, 0).astype("uint16"), 2)
            file.colorinterp = [rasterio.enums.ColorInterp.gray, rasterio.enums.ColorInterp.alpha]
    cube = load_collection(str(path), None, None)
    assert cube.dtype == np.dtype("int32")
    np.testing.assert_array_equal(cube[0, 0], np.where(valid, values.astype("int32"), cube.attrs["nodata"]))


def test_images_of_one_day_make_one_label_when_asked(tmp_path: Path) -> None:
    values = [pictures.pixels((4, 5), seed=i) for i in range(3)]
    moments = ["2023-04-03T10:30:00Z", "2023-04-03T10:00:00Z", "2023-04-04T10:00:00Z"]
    for i, one in enumerate(values):
        pictures.write(tmp_path / f"{i}.tif", one)
    made = [pictures.item(f"i{i}", moments[i], {"a": tmp_path / f"{i}.tif"}) for i in range(3)]
    url = pictures.collection(tmp_path / "items.json", made)
    assert load_stac(url).sizes["t"] == 3
    with dask.config.set({"openeo.load.group_by": "day"}):
        cube = load_stac(url)
    assert cube.t.values.tolist() == [np.datetime64(m[:-1], "ns").astype(int) for m in (moments[1], moments[2])]
    np.testing.assert_array_equal(cube[:, 0], [np.where(values[1] != 0, values[1], values[0]), values[2]])
    with (
        dask.config.set({"openeo.load.group_by": "week"}),
        pytest.raises(exceptions.ProcessParameterInvalid, match="is instant or day, not 'week'"),
    ):
        load_stac(url)


def test_only_who_searches_an_api_waits_for_its_client() -> None:
    """It brings a validator of schemas, which took two fifths of the time in which a worker starts."""
    code = """if True:
        import sys
        import openeo_processes_dask.process_implementations
        print(sorted({'pystac_client', 'jsonschema'} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]"
