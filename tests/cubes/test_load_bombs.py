"""Small files that are enormous inside: an error that says the size, and no memory is lost to them."""

from __future__ import annotations

import gzip
import http.server
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import h5py
import numcodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import rasterio
import shapely
import zarr
from affine import Affine

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations.cubes import load_collection
from openeo_processes_dask.process_implementations.cubes.loading import payloads
from tests.serving import served

LIMIT = "8 MiB"  # of a file; four times as much may come of it
LARGE = 300_000_000  # bytes that a block becomes which is said to have kilobytes
MOST = 250 * 2**20  # bytes by which a program may grow
SIZE = 500_000  # bytes of the largest of these files

PROGRAM = """
import sys, dask, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from openeo_processes_dask.exceptions import OpenEOException
from openeo_processes_dask.process_implementations.cubes import (
    load_collection, load_stac, load_uploaded_files, load_url)
import geopandas, pyarrow.parquet, h5netcdf, zarr, pystac_client

def status(name):
    return int(next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(name)).split()[1])

how, path, limit = sys.argv[1:]
settings = {"openeo.load.size": limit, "openeo.uploads": str(Path(path).parent)}
settings["openeo.load.schemes"] = ["file", "http"]
before = status("VmRSS")
with dask.config.set(settings | {"scheduler": "synchronous", "openeo.load.hosts": ["127.0.0.1"]}):
    try:
        if how == "stac":
            load_stac(path).compute()
        elif how == "collection":
            one = load_collection(path, None, None)
            (one[..., :1, :1] if "part" in path else one).compute()
        elif how.startswith("url"):
            load_url(path if "://" in path else Path(path).as_uri(), how.partition(" ")[2])
        else:
            load_uploaded_files([Path(path).name], how).compute()
        print("nothing was said")
    except OpenEOException as error:
        print(type(error).__name__, str(error)[:300].replace(chr(10), " "))
print((status("VmHWM") - before) * 1024)
"""


def told(how: str, where: str) -> str:
    """What a program of its own says of a file, after it was seen that it has not grown."""
    command = [sys.executable, "-c", PROGRAM, how, where, LIMIT]
    run = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    said, grown = run.stdout.strip().splitlines()
    assert int(grown) < MOST, f"{int(grown) / 2**20:.0f} MB: {said}"
    return said


def tiff(path: Path, side: int, tile: int) -> None:
    """Pixels that were never written: the file has only their number."""
    place = {"crs": "EPSG:32632", "transform": Affine(10, 0, 6e5, 0, -10, 5e6)}
    profile = {"driver": "GTiff", "count": 1, "height": side, "width": side, "dtype": "uint16", "sparse_ok": True}
    tiles = {"tiled": True, "blockxsize": tile, "blockysize": tile, "compress": "deflate", "bigtiff": "yes"}
    with rasterio.open(path, "w", **profile, **place, **tiles):
        pass


def hdf5(path: Path) -> None:
    """A terabyte of zeros, a chunk of which has gigabytes."""
    with h5py.File(path, "w") as file:
        for name in ("y", "x"):
            axis = file.create_dataset(name, data=np.arange(1000.0))
            axis.make_scale(name)
        data = file.create_dataset("a", (100_000, 1000, 1000), "f8", chunks=(400, 1000, 1000), compression="gzip")
        time = file.create_dataset("t", data=np.arange(10), maxshape=(None,))
        time.resize((100_000,))
        time.make_scale("t")
        for i, name in enumerate(("t", "y", "x")):
            data.dims[i].attach_scale(file[name])


def store(path: Path, format: int) -> None:
    """A store of a terabyte in chunks of gigabytes."""
    group = zarr.create_group(path, zarr_format=format)
    for name in ("y", "x"):
        axis = group.create_array(name, shape=(1000,), dtype="f8", **names(format, [name]))
        axis[:] = np.arange(1000.0)
        axis.attrs.update({"_ARRAY_DIMENSIONS": [name]} if format == 2 else {})
    shape, chunks = (100_000, 1000, 1000), (400, 1000, 1000)
    data = group.create_array("a", shape=shape, chunks=chunks, dtype="f8", **names(format, ["t", "y", "x"]))
    data.attrs.update({"_ARRAY_DIMENSIONS": ["t", "y", "x"]} if format == 2 else {})


TWO: dict[str, Any] = {
    "zstd": numcodecs.Zstd(),
    "zlib": numcodecs.Zlib(9),
    "gzip": numcodecs.GZip(9),
    "bz2": numcodecs.BZ2(),
    "lzma": numcodecs.LZMA(),
    "lz4": numcodecs.LZ4(),
    "blosc": numcodecs.Blosc("zstd"),
}


def repeated(size: int) -> bytes:
    """A frame of zstandard whose blocks repeat one byte, without a word about their number."""
    block = (131072 << 3 | 1 << 1).to_bytes(3, "little") + b"0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * (size // 131072) + b"\x01\x00\x00"


@pytest.mark.parametrize("codec", TWO)
def test_what_a_payload_becomes_is_known_before(codec: str) -> None:
    size = payloads.SIZES[codec]
    noise = np.random.default_rng(0).bytes(100_000)
    for content in (bytes(1_000_000), noise, noise + bytes(900_000)):
        packed = bytes(TWO[codec].encode(content))
        assert size(packed, 2**20) <= 2**20
        assert size(packed, 90_000) > 90_000
        assert size(packed[: len(packed) // 2], 2**20) <= 2**20  # what is cut is found by who reads it
    assert size(b"", 10) == 0


def test_frames_of_zstandard_that_do_not_say_their_size_are_counted_by_blocks() -> None:
    content = repeated(2**20)
    assert len(numcodecs.Zstd().decode(content)) == 2**20
    assert payloads.SIZES["zstd"](content, 2**30) == 2**20
    assert payloads.SIZES["zstd"](content, 2**19) > 2**19


def payload(path: Path, codec: str) -> None:
    """A store of one block, declared as a few kilobytes, that becomes 300 MB; the folder's name says which."""
    kind, _, what = codec.partition(" ")
    format, bare = (2, kind.removeprefix("two-")) if kind.startswith("two-") else (3, kind)
    group = zarr.create_group(path, zarr_format=format)
    for name in ("y", "x"):
        axis = group.create_array(name, shape=(64,), dtype="f8", chunks=(64,), **names(format, [name]))
        axis[:] = np.arange(64.0)
        axis.attrs.update({"_ARRAY_DIMENSIONS": [name]} if format == 2 else {})
    three: Any = {"zstd": zarr.codecs.ZstdCodec(), "gzip": zarr.codecs.GzipCodec()}
    more: dict[str, Any] = {"shards": (64, 64)} if what.startswith("shard") else {}
    shape = (32, 32) if more else (64, 64)
    compressors = (TWO if format == 2 else three)[bare]
    data = group.create_array(
        "a", shape=(64, 64), chunks=shape, dtype="f8", compressors=compressors, **names(format, ["y", "x"]), **more
    )
    data.attrs.update({"_ARRAY_DIMENSIONS": ["y", "x"]} if format == 2 else {})
    data[:] = np.arange(64.0 * 64).reshape(64, 64)
    content = repeated(LARGE) if what == "unsaid" else bytes(TWO[bare].encode(bytes(LARGE)))
    chunk = next(one for one in sorted((path / "a").rglob("*")) if one.is_file() and one.name[0] == "0")
    if more:  # the first chunk of the shard is the large one, and the index says where the others are
        old = chunk.read_bytes()
        index = np.frombuffer(old[-4 - 64 : -4], "<u8").copy()
        rest = old[: -4 - 64]
        index[0], index[1] = len(rest), len(content)
        content = rest + content + bytes(numcodecs.CRC32C(location="end").encode(index.tobytes()))
    chunk.write_bytes(content)


def hdf5_twice(path: Path) -> None:
    """A variable that is deflated twice, of which a block of some hundred bytes becomes 300 MB."""
    hdf5_payload(path, None)
    with h5py.File(path, "a") as file:
        del file["a"]
        kept = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kept.set_chunk((64, 64))
        kept.set_deflate(1)
        kept.set_deflate(1)
        space = h5py.h5s.create_simple((64, 64))
        data = h5py.Dataset(h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F64LE, space, kept))
        for i, name in enumerate(("y", "x")):
            data.dims[i].attach_scale(file[name])
        data.id.write_direct_chunk((0, 0), zlib.compress(zlib.compress(bytes(LARGE), 9), 9))


def hdf5_payload(path: Path, where: str | None, **more: Any) -> None:
    """A variable or a coordinate of which a block of kilobytes becomes 300 MB."""
    with h5py.File(path, "w") as file:
        for name in ("y", "x"):
            axis = file.create_dataset(name, data=np.arange(64.0), chunks=(64,), compression="gzip")
            axis.make_scale(name)
        more = {"compression": "gzip", **more} if "scaleoffset" not in more else more
        data = file.create_dataset("a", data=np.ones((64, 64)), chunks=(64, 64), **more)
        for i, name in enumerate(("y", "x")):
            data.dims[i].attach_scale(file[name])
        if where is None:
            return
        file[where].id.write_direct_chunk((0,) * file[where].ndim, zlib.compress(bytes(LARGE), 9))


def names(format: int, dimensions: list[str]) -> dict[str, list[str]]:
    return {"dimension_names": dimensions} if format == 3 else {}


def parquet(path: Path, rows: int, length: int) -> None:
    """One geometry and one text, said many times."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, "int32")), pa.array(["a" * length]))
    shape = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, "int32")), pa.array([shapely.to_wkb(shapely.Point(1, 2))])
    )
    about = {"version": "1.0.0", "primary_column": "geometry"}
    about["columns"] = {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}}
    fields = pa.schema([("geometry", pa.binary()), ("text", pa.string())], {"geo": json.dumps(about)})
    table = pa.table({"geometry": shape.cast(pa.binary()), "text": pa.array(["b"] * rows)})
    if length > 1:
        kinds = [("geometry", pa.binary()), ("text", pa.dictionary(pa.int32(), pa.string()))]
        fields = pa.schema(kinds, {"geo": json.dumps(about)})
        table = pa.table({"geometry": table["geometry"], "text": column})
    pyarrow.parquet.write_table(table.cast(fields), path, compression="zstd", store_schema=False)


BOMBS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "image of terabytes.tif": (lambda path: tiff(path, 1_000_000, 8192), "url GTiff", "blocks of 128.00 MiB"),
    "image of large tiles.tif": (lambda path: tiff(path, 60_000, 30_000 // 16 * 16), "GTiff", "blocks of 1.68 GiB"),
    "image of many tiles.tif": (lambda path: tiff(path, 60_000, 2048), "url GTiff", "the cube has 6.71 GiB"),
    "chunks.nc": (hdf5, "netCDF", "blocks of 2.98 GiB"),
    "chunks at a url.nc": (hdf5, "url netCDF", "blocks of 2.98 GiB"),
    "two.zarr": (lambda path: store(path, 2), "collection", "blocks of 2.98 GiB"),
    "three.zarr": (lambda path: store(path, 3), "collection", "blocks of 2.98 GiB"),
    **{
        f"{codec}.zarr": (lambda path, codec=codec: payload(path, codec), "collection", "block of at least")
        for codec in ("two-zstd", "two-zlib", "two-blosc", "gzip", "zstd unsaid", "zstd shard", "gzip shard part")
    },
    "payload.nc": (lambda path: hdf5_payload(path, "a"), "netCDF", "block of at least"),
    "shuffled payload.nc": (lambda path: hdf5_payload(path, "a", shuffle=True), "url netCDF", "block of at least"),
    "payload of a collection.nc": (lambda path: hdf5_payload(path, "a"), "collection", "block of at least"),
    "twice.nc": (hdf5_twice, "netCDF", "block of at least"),
    "twice in a collection.nc": (hdf5_twice, "collection", "block of at least"),
    "unknown.nc": (lambda path: hdf5_payload(path, None, scaleoffset=2), "netCDF", "compressed by filter 6"),
    "coordinate.nc": (lambda path: hdf5_payload(path, "x"), "collection", "block of at least"),
    "rows.parquet": (lambda path: parquet(path, 3_000_000, 1), "GeoParquet", "holds more than 32.00 MiB"),
    "texts.parquet": (lambda path: parquet(path, 200_000, 20_000), "GeoParquet", "holds more than 32.00 MiB"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_enormous_inside_is_refused(name: str, tmp_path: Path) -> None:
    make, how, expected = BOMBS[name]
    path = tmp_path / name.replace(" ", "-")
    make(path)
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    assert sum(one.stat().st_size for one in files) < SIZE
    assert expected in told(how, str(path))


def test_dates_that_do_not_follow_each_other_are_looked_at_where_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    with h5py.File(path, "w") as file:
        days = np.array([0, 4, 1, 5])
        for name, values in (("t", days), ("y", np.arange(64.0)), ("x", np.arange(64.0))):
            file.create_dataset(name, data=values).make_scale(name)
        file["t"].attrs["units"] = "days since 2023-01-01"
        data = file.create_dataset("a", data=np.ones((4, 64, 64)), chunks=(1, 64, 64), compression="gzip")
        for i, name in enumerate(("t", "y", "x")):
            data.dims[i].attach_scale(file[name])
        data.id.write_direct_chunk((3, 0, 0), zlib.compress(bytes(LARGE), 9))
    with dask.config.set({"openeo.load.size": LIMIT}):
        early = load_collection(str(path), None, ["2023-01-01", "2023-01-03"])
        assert (early == 1).all()
        with pytest.raises(exceptions.FileContentInvalid, match="block of at least"):
            load_collection(str(path), None, ["2023-01-05", "2023-01-07"]).compute()


class Zipped(http.server.BaseHTTPRequestHandler):
    """Answers everything with a gigabyte of spaces in a megabyte, and says that it is compressed."""

    content = gzip.compress(b" " * 2**30, 9)

    def do_GET(self) -> None:
        root = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[index]
        documents = {
            "/": {
                "type": "Catalog",
                "id": "r",
                "stac_version": "1.0.0",
                "description": "r",
                "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
                "links": [{"rel": "search", "href": f"{root}/search", "type": "application/geo+json"}],
            },
            "/c": {
                "type": "Collection",
                "id": "c",
                "links": [{"rel": "root", "href": f"{root}/"}, {"rel": "items", "href": f"{root}/items"}],
            },
        }
        found = documents.get(self.path)
        content = self.content if found is None else json.dumps(found).encode()
        self.send_response(200)
        if found is None:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client had enough

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the address of a server that zips."""
    with served(Zipped) as address:
        yield address


@pytest.mark.parametrize(
    ("how", "path", "expected"),
    [
        ("url GeoJSON", "/a.geojson", "cannot be read as GeoJSON"),  # what is not asked for is not unpacked
        ("stac", "/item.json", "is no JSON"),
        ("stac", "/c", "sends more than 8.00 MiB"),
    ],
)
def test_compressed_answers_are_limited(server: str, how: str, path: str, expected: str) -> None:
    assert expected in told(how, server + path)


def test_a_document_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_bytes(b" " * (9 * 2**20))
    assert "is larger than 8.00 MiB" in told("stac", str(tmp_path / "catalog.json"))
