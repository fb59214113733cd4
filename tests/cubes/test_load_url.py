"""Files of users and at addresses: only from where it is allowed, only so much; nonsense is an openEO error."""

from __future__ import annotations

import http.server
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import geopandas
import hypothesis
import numpy as np
import pytest
import shapely
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from openeo_processes_dask import exceptions, vectors
from openeo_processes_dask.process_implementations.cubes import (
    load_collection,
    load_stac,
    load_uploaded_files,
    load_url,
    save_result,
)
from openeo_processes_dask.process_implementations.cubes.loading import address
from tests.cubes import cases, pictures
from tests.laziness import nothing_computed
from tests.serving import served

FORMATS = {"GTiff": "a.tif", "netCDF": "a.nc", "GeoJSON": "a.geojson", "GeoParquet": "a.parquet", "JSON": "a.json"}


@pytest.fixture(autouse=True)
def uploads(tmp_path: Path) -> Iterator[Path]:
    """Let files be uploaded to a folder, and this machine be allowed as a host."""
    allowed = {"openeo.uploads": str(tmp_path), "openeo.load.hosts": ["127.0.0.1"]}
    with dask.config.set(allowed):
        yield tmp_path


def features() -> xr.DataArray:
    shapes = np.array([shapely.box(10, 45, 11, 46), shapely.Point(10.5, 45.5)])
    return vectors.cube(vectors.Features(shapes, None, {"name": np.array(["a", "b"], object)}), np.array([1.5, 2]))


def example(format: str, folder: Path) -> tuple[Path, xr.DataArray]:
    """A file of a format, and the cube that was saved to it."""
    made = features() if format.startswith("Geo") else cases.cube(cases.values((1, 2, 20, 30)), {"y": 7})
    with dask.config.set({"openeo.results": str(folder)}):
        save_result(made, format, {"path": FORMATS[format], "stac": False})
    return folder / FORMATS[format], made


# --- what is there


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_at_an_address_and_an_uploaded_one_are_the_cube(
    format: str, tmp_path: Path, serve: tuple[str, dict[str, int]]
) -> None:
    path, saved = example(format, tmp_path)
    before = set(Path(tempfile.gettempdir()).glob("openeo-url-*"))
    fetched = load_url(f"{serve[0]}/{path.name}", format.upper())
    assert set(Path(tempfile.gettempdir()).glob("openeo-url-*")) == before
    for loaded in (fetched, load_uploaded_files([path.name], format), load_uploaded_files([f"/{path.name}"], format)):
        assert (loaded.dims, loaded.dtype) == (saved.dims, saved.dtype)
        np.testing.assert_array_equal(loaded, saved)


def test_several_uploaded_files_make_one_cube(tmp_path: Path) -> None:
    values = [pictures.pixels((4, 5), seed=i) for i in range(3)]
    for i, one in enumerate(values):
        pictures.write(tmp_path / "in" / f"2023-04-0{i + 1}.tif", one)
    with nothing_computed():
        cube = load_uploaded_files([f"./in/2023-04-0{i}.tif" for i in (1, 3)], "geotiff")
    assert cube.t.dt.day.values.tolist() == [1, 3]
    np.testing.assert_array_equal(cube[:, 0], [values[0], values[2]])
    example("GeoJSON", tmp_path)
    twice = load_uploaded_files(["a.geojson", "a.geojson"], "GeoJSON")
    assert (twice.values.tolist(), twice["name"].values.tolist()) == ([1.5, 2, 1.5, 2], ["a", "b", "a", "b"])
    example("JSON", tmp_path)
    with pytest.raises(exceptions.FormatUnsuitable, match="only if all hold geometries"):
        load_uploaded_files(["a.json", "a.json"], "JSON")


def test_what_others_write_is_read(tmp_path: Path) -> None:
    table = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=[shapely.Point(1, 2), None], crs=32632)
    table.to_parquet(tmp_path / "a.parquet")
    cube = load_uploaded_files(["a.parquet"], "parquet")
    assert (vectors.crs_of(cube, "geometry").to_epsg(), cube["n"].values.tolist()) == (32632, [1, 2])
    (tmp_path / "a.json").write_text("[[1, null], [3, 4]]")
    np.testing.assert_array_equal(load_uploaded_files(["a.json"], "JSON"), [[1, np.nan], [3, 4]])


# --- what is not allowed


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://localhost/a",
        "https://[::1",
        "http://127.0.0.1.example/",
        "a",
        "",
    ],
)
def test_an_address_must_be_allowed(url: str) -> None:
    with pytest.raises(exceptions.ProcessParameterInvalid, match=r"is not allowed|is no address"):
        load_url(url, "GTiff")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0"])
def test_without_a_list_of_hosts_only_public_ones_are_allowed(host: str) -> None:
    with (
        dask.config.set({"openeo.load.hosts": None}),
        pytest.raises(exceptions.ProcessParameterInvalid, match="not in the public network"),
    ):
        load_url(f"http://{host}:1/a.tif", "GTiff")


def test_files_of_this_machine_are_read_only_when_allowed(tmp_path: Path) -> None:
    path, saved = example("GTiff", tmp_path)
    with dask.config.set({"openeo.load.schemes": ["file"]}):
        np.testing.assert_array_equal(load_url(path.as_uri(), "GTiff"), saved)
        with pytest.raises(exceptions.FileNotFound):
            load_url(f"{path.as_uri()}x", "GTiff")


@pytest.mark.parametrize("path", ["../a.tif", "/../a.tif", "link/a.tif", "in", ".", "", "a\0b", "x" * 5000, "missing"])
def test_uploaded_files_lie_in_their_folder(path: str, tmp_path: Path) -> None:
    (tmp_path / "root" / "in").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    pictures.write(tmp_path / "a.tif", pictures.pixels((4, 5)))
    with (
        dask.config.set({"openeo.uploads": str(tmp_path / "root")}),
        pytest.raises(exceptions.FileNotFound, match="there is no file"),
    ):
        load_uploaded_files([path], "GTiff")


def test_what_cannot_be_meant_is_said(tmp_path: Path) -> None:
    with pytest.raises(exceptions.FormatUnsupported, match="no format 'VRT'; there are GTiff, netCDF, GeoJSON, GeoPar"):
        load_uploaded_files(["a"], "VRT")
    with pytest.raises(exceptions.ProcessParameterInvalid, match="has no options"):
        load_url("http://127.0.0.1/a", "GTiff", {"a": 1})
    with pytest.raises(exceptions.ProcessParameterInvalid, match="is a list of paths"):
        load_uploaded_files([], "GTiff")
    with dask.config.set({"openeo.uploads": None}), pytest.raises(exceptions.FileNotFound, match="names no folder"):
        load_uploaded_files(["a"], "GTiff")


# --- servers that misbehave


class Trouble(http.server.BaseHTTPRequestHandler):
    """A server that leads elsewhere, never ends, stops half-way, says nothing or does not know."""

    def do_GET(self) -> None:
        kind = self.path.strip("/").split(".")[0]
        if kind in ("elsewhere", "around"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd" if kind == "elsewhere" else self.path)
            self.end_headers()
            return
        if kind == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        if kind == "half":
            self.send_header("Content-Length", "1000")
        if kind == "claims":
            self.send_header("Content-Length", str(10**15))
        self.end_headers()
        if kind == "silent":
            time.sleep(2)
        try:
            for _ in range(1 if kind == "half" else 200):
                self.wfile.write(b"x" * 500)
                if kind == "slow":
                    time.sleep(0.05)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def trouble() -> Iterator[str]:
    """Give the address of a server that misbehaves."""
    with served(Trouble) as root:
        yield root


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("elsewhere", exceptions.FileNotFound, "'file:///etc/passwd' is not allowed"),
        ("around", exceptions.FileNotFound, "302"),
        ("missing", exceptions.FileNotFound, "the server says 404"),
        ("half", exceptions.FileContentInvalid, "500 of 1000 bytes"),
        ("claims", exceptions.FileContentInvalid, "larger than 48.83 kiB"),
        ("endless", exceptions.FileContentInvalid, "larger than 48.83 kiB"),
        ("slow", exceptions.FileContentInvalid, "did not arrive within"),
        ("silent", exceptions.FileNotFound, "timed out"),
    ],
)
def test_a_server_that_misbehaves_is_given_up(
    kind: str, error: Any, message: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "TIMEOUT", 0.5)
    monkeypatch.setattr(address, "PATIENCE", 0.3 if kind == "slow" else 60)
    with dask.config.set({"openeo.load.size": "50 kB"}), pytest.raises(error, match=message):
        load_url(f"{trouble}/{kind}.tif", "GTiff")


def test_a_small_file_that_is_a_large_cube_is_refused(tmp_path: Path, serve: tuple[str, dict[str, int]]) -> None:
    pictures.write(tmp_path / "a.tif", np.zeros((3000, 3000), "uint8"), compress="deflate")
    with (
        dask.config.set({"openeo.load.size": "100 kB"}),
        pytest.raises(exceptions.FormatUnsuitable, match=r"the cube has 8.58 MiB, and at most 390.62 kiB are read"),
    ):
        load_url(f"{serve[0]}/a.tif", "GTiff")


# --- nonsense


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the bytes of a good file of each format."""
    folder = tmp_path_factory.mktemp("good")
    return {format: example(format, folder)[0].read_bytes() for format in FORMATS}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    format=st.sampled_from(sorted(FORMATS)),
    content=st.sampled_from(sorted(FORMATS)),
    cut=st.floats(0, 1),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    front=st.booleans(),
)
@hypothesis.example(format="GTiff", content="GTiff", cut=0.0625, damage=[], front=False)  # says nowhere where it lies
def test_damaged_files_are_a_cube_or_an_openeo_error(
    format: str, content: str, cut: float, damage: Any, front: bool, originals: dict[str, bytes], uploads: Path
) -> None:
    made = bytearray(originals[content][: max(int(cut * 1.3 * len(originals[content])), 0)])
    for place, value in damage if made else ():
        made[int(place * (min(len(made), 512) if front else len(made)))] = value
    folder = Path(tempfile.mkdtemp(dir=uploads))
    try:
        (folder / FORMATS[format]).write_bytes(made)
        cube = load_uploaded_files([f"{folder.name}/{FORMATS[format]}"], format)
        if cube.nbytes < 2**26:
            cube.compute(scheduler="synchronous")
    except exceptions.OpenEOException as error:
        assert str(error)  # noqa: PT017 - any of them will do, nothing else may come
    assert [path.name for path in folder.iterdir()] == [FORMATS[format]]
    shutil.rmtree(folder)


RINGS = [
    [[0, 0]],
    [[0, 0], [1, 1], [0, 0]],
    [[0, 0], [1, 0], [1, 1]],
    [[0, 0], [1, float("inf")], [1, 1], [0, 0]],
    [["a", 0], [1, 0], [1, 1], [0, 0]],
    [],
    None,
    5,
    [[[[[0]]]]],
]


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("where", ["file", "extent", "stac"])
def test_broken_rings_are_an_openeo_error_or_none(ring: Any, where: str, tmp_path: Path) -> None:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    try:
        if where == "file":
            feature = {"type": "Feature", "geometry": geometry, "properties": {}}
            text = json.dumps({"type": "FeatureCollection", "features": [feature]})
            (tmp_path / "a.geojson").write_text(text)
            assert load_uploaded_files(["a.geojson"], "GeoJSON").sizes["geometry"] == 1
        else:
            path = pictures.write(tmp_path / "2023-04-03.tif", pictures.pixels((40, 50)))
            if where == "extent":
                load_collection(str(path), geometry, None).compute()
            else:
                item = {**pictures.item("i", "2023-04-03T00:00:00Z", {"a": path}), "geometry": geometry}
                load_stac(pictures.collection(tmp_path / "items.json", [item])).compute()
    except exceptions.OpenEOException as error:
        assert str(error)  # noqa: PT017 - any of them will do, nothing else may come


@pytest.mark.parametrize(
    "transform", [(float("nan"),) * 6, (1e-320, 0, 0, 0, 1e-320, 0), (1e308, 0, 1e308, 0, 1e308, 1e308)]
)
def test_files_of_strange_places_are_an_openeo_error(transform: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        pictures.write(path, pictures.pixels((4, 5)), transform=Affine(*transform))
    with pytest.raises(exceptions.OpenEOException):
        load_uploaded_files([path.name], "GTiff").compute()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"type": "FeatureCollection", "features": 5}',
        '{"type": "DataCube", "dims": ["x"], "dtype": "float32", "coords": {}, "data": [[1], [2, 3]]}',
        '{"type": "DataCube", "dims": ["x"], "dtype": "S100000000", "coords": {}, "data": [1]}',
        '{"type": "DataCube", "dims": ["x"], "dtype": "uint8", "coords": {}, "data": [1.5, 1e300]}',
        '{"type": "DataCube", "dims": ["x"], "dtype": "uint8", "coords": {"x": {"dims": 5}}, "data": [1]}',
        "NaN",
        "1e999999",
        '"text"',
        "9" * 10_000,
    ],
)
def test_strange_json_is_an_openeo_error_or_a_cube(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    for format in ("JSON", "GeoJSON"):
        try:
            load_uploaded_files(["a.json"], format)
        except exceptions.OpenEOException as error:
            assert str(error)  # noqa: PT017 - any of them will do, nothing else may come
