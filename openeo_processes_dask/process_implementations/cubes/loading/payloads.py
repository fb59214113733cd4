"""Blocks of zarr stores and HDF5 files that may become far larger than is declared when they are decompressed."""

from __future__ import annotations

import bz2
import functools
import json
import lzma
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dask.utils import format_bytes
from zarr.abc.store import RangeByteRequest
from zarr.storage import LocalStore

from openeo_processes_dask.exceptions import FileContentInvalid, FileNotFound

from . import address

DEFLATED = 1032  # times as large as what is compressed can become at most; by run lengths less
LZF = 100
STEP = 2**20  # bytes that are decompressed at a time only to count them
PER_BLOCK = 2**17  # bytes that a block of zstandard can become at most
DOCUMENTS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
METADATA = ("zarr.json", ".zarray")
HDF5_DEFLATE, HDF5_SHUFFLE, HDF5_SUM, HDF5_LZF = 1, 2, 3, 32000  # numbers of filters
RATIOS = {HDF5_DEFLATE: DEFLATED, HDF5_SHUFFLE: 1, HDF5_SUM: 1, HDF5_LZF: LZF}


class Index(NamedTuple):
    """The index of a shard: for how many chunks, whether in front, and the bytes of a sum behind it."""

    chunks: int
    first: bool
    sum: int

    @property
    def size(self) -> int:
        """Its bytes without the sum."""
        return 16 * self.chunks


class Guarded(LocalStore):
    """A folder whose chunks are looked at before anybody decompresses them."""

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """What there is under a key, or a part of it.

        Raises
        ------
        FileContentInvalid
            If it would become more than is read at once.
        FileNotFound
            If there is no store: to zarr, a chunk that is not there is one without values.
        """
        self._check_size(key, byte_range)
        return self._checked(key, await super().get(key, prototype, byte_range), byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """The same without waiting for others."""
        self._check_size(key, byte_range)
        return self._checked(key, super().get_sync(key, prototype=prototype, byte_range=byte_range), byte_range)

    def _check_size(self, key: str, byte_range: Any) -> None:
        path = self.root / key
        size = path.stat().st_size if path.is_file() else 0
        if isinstance(byte_range, RangeByteRequest):
            size = min(size, byte_range.end - byte_range.start)
        if size > (address.limit() if key.endswith(DOCUMENTS) else address.most()):
            raise _too_large(str(path), size)

    def _checked(self, key: str, found: Any, byte_range: Any) -> Any:
        if found is None and not self.root.is_dir():
            raise FileNotFound(f"{self.root}: there is no such folder; workers must see it where the client does")
        if found is None or key.endswith(DOCUMENTS):
            return found
        codecs, index = _codecs(self.root, key)
        if not codecs:
            return found
        content = memoryview(found.as_numpy_array()).cast("B")
        parts = [content]
        if index is not None:
            # of a shard either one chunk is asked for, or its index, or all of it
            parts = [] if byte_range is None else parts
            if byte_range is not None and not isinstance(byte_range, RangeByteRequest):
                return found
            if byte_range is None:
                parts = _shard(content, index)
        for part in parts:
            check(part, codecs, str(self.root / key))
        return found


def check(content: Any, codecs: Sequence[str], called: str) -> None:
    """Look at what is compressed, and not at what it becomes where that is said in front.

    Raises
    ------
    FileContentInvalid
        If it would become more than is read at once.
    """
    if len(codecs) > 1:
        raise FileContentInvalid(f"{called} is compressed more than once, by {' and '.join(codecs)}")
    size = SIZES[codecs[0]](content, address.most())
    if size > address.most():
        raise _too_large(called, size)


def check_hdf5(path: Path, name: str | None = None, within: Sequence[slice] = (), brought: bool = False) -> None:
    """Look at blocks of a variable; without a name at those of all coordinates, which are read at once.

    Args
    ----
    path: of the file.
    name: of a variable.
    within: positions along its dimensions that are about to be read.
    brought: whether a user has brought the file: then what compresses it must be known here.

    Raises
    ------
    FileContentInvalid
        If a block would become more than is read at once.
    """
    import h5py

    if name is not None and not doubtful(path, name):
        return
    with h5py.File(path, "r") as file:
        if name is None:  # h5netcdf asks for this first, and leaves a file behind that cannot be closed if that fails
            file.attrs.get("_nc3_strict")
        for one in [file[name]] if name is not None else file.values():
            if isinstance(one, h5py.Dataset) and one.chunks and (name is not None or one.ndim < 2):
                _check_dataset(
                    one, list(within) or [slice(0, size) for size in one.shape], f"{path}: {one.name}", brought
                )


def doubtful(path: Path, name: str) -> bool:
    """Whether a variable of an HDF5 file has blocks that might become too much, by the bytes that they take."""
    about = path.stat()
    return _doubtful(str(path), about.st_mtime_ns, about.st_size, name, address.most())


@functools.lru_cache(1024)
def _doubtful(path: str, modified: int, size: int, name: str, most: int) -> bool:
    import h5py

    with h5py.File(path, "r") as file:
        return bool(file[name].chunks) and bool(_suspects(file[name], most))


def _filters(data: Any) -> list[int]:
    pipeline = data.id.get_create_plist()
    return [pipeline.get_filter(i)[0] for i in range(pipeline.get_nfilters())]


def _suspects(data: Any, most: int) -> list[Any]:
    """The blocks of a dataset that may become too much, found in one pass over where they lie."""
    ratio = math.prod(RATIOS.get(kind, math.inf) for kind in _filters(data))
    found: list[Any] = []

    def look(block: Any) -> None:
        if block.size * ratio > most:
            found.append(block)

    if ratio > 1 or data.nbytes > most:
        data.id.chunk_iter(look)
    return found


def _check_dataset(data: Any, within: Sequence[slice], called: str, brought: bool) -> None:
    kinds = _filters(data)
    for block in _suspects(data, address.most()):
        sides = zip(block.chunk_offset, data.chunks, within, strict=True)
        if not all(start < one.stop and start + size > one.start for start, size, one in sides):
            continue
        used = [kind for i, kind in enumerate(kinds) if not block.filter_mask >> i & 1]
        packing = [kind for kind in used if RATIOS.get(kind, math.inf) > 1]
        unknown = [kind for kind in packing if kind not in RATIOS]
        if brought and unknown:
            raise FileContentInvalid(f"{called} is compressed by filter {unknown[0]}, of which nobody knows what comes")
        bound = block.size * math.prod(RATIOS.get(kind, 1) for kind in packing)
        if packing == [HDF5_DEFLATE] and block.size <= address.most():
            _, content = data.id.read_direct_chunk(block.chunk_offset)
            check(content, ["zlib"], called)
        elif bound > address.most():
            raise _too_large(called, block.size)


def _too_large(called: str, size: int) -> FileContentInvalid:
    most = format_bytes(address.most())
    return FileContentInvalid(
        f"{called} has a block of at least {format_bytes(size)}, and at most {most} are read at once: four times the"
        " setting openeo.load.size"
    )


def _codecs(root: Path, key: str) -> tuple[list[str], Index | None]:
    """What the chunks of the array at a key are compressed by, and the chunks and the place of the index of a shard."""
    for folder in (root / key).parents:
        for name in METADATA:
            if (path := folder / name).is_file():
                return _described(str(path), path.stat().st_mtime_ns)
        if folder == root:
            break
    return [], None


@functools.lru_cache(256)
def _described(path: str, modified: int) -> tuple[list[str], Index | None]:
    about = json.loads(Path(path).read_bytes())
    codecs = about.get("codecs") or [*(about.get("filters") or ()), about.get("compressor") or {}]
    shape = about.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape", ())
    index = None
    for one in codecs:
        if _name(one) == "sharding_indexed":
            inside = one["configuration"]
            count = math.prod(-(-n // m) for n, m in zip(shape, inside["chunk_shape"], strict=True))
            summed = any(_name(after) == "crc32c" for after in inside.get("index_codecs") or ())
            index = Index(count, inside.get("index_location") == "start", 4 * summed)
            codecs = inside["codecs"]
    return [name for name in map(_name, codecs) if name in SIZES], index


def _name(codec: Mapping[str, Any]) -> str:
    return str(codec.get("name") or codec.get("id") or "").removeprefix("numcodecs.")


def _shard(content: memoryview, index: Index) -> list[memoryview]:
    """The chunks in a shard, of which the index has place and size."""
    start = 0 if index.first else len(content) - index.size - index.sum
    if start < 0 or len(content) < index.size:
        return []
    places = np.frombuffer(content[start : start + index.size], "<u8").reshape(-1, 2).tolist()
    return [content[at : at + size] for at, size in places if at + size <= len(content)]


# --- how large something becomes, or a number above the most


def _deflated(content: Any, most: int) -> int:
    """By gzip or zlib; only what could be too much is decompressed, and forgotten at once."""
    if len(content) * DEFLATED <= most:
        return len(content)
    return _counted(lambda: zlib.decompressobj(zlib.MAX_WBITS | 32), content, most)


def _counted(start: Callable[[], Any], content: Any, most: int) -> int:
    """Several streams may follow each other."""
    size, rest = 0, bytes(content)
    try:
        while rest and size <= most:
            stream = start()
            while not stream.eof and size <= most:
                size += (made := len(stream.decompress(rest, STEP)))
                rest = getattr(stream, "unconsumed_tail", b"")
                if not made and not rest:
                    return size
            rest = stream.unused_data
    except (zlib.error, OSError, lzma.LZMAError, EOFError):
        return size  # what is damaged is found by who reads it
    return size


def _in_front(at: int, content: Any, most: int) -> int:
    """By blosc or lz4, which begin with it."""
    return int.from_bytes(bytes(content[at : at + 4]), "little")


def _zstandard(content: Any, most: int) -> int:
    """What the first frame says, else the most that its blocks can become."""
    head = bytes(content[:18])
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        return len(content)
    flag, single = head[4] >> 6, bool(head[4] & 32)
    at = 5 + (not single) + (0, 1, 2, 4)[head[4] & 3]
    width = (int(single), 2, 4, 8)[flag]
    if width:
        return int.from_bytes(head[at : at + width], "little") + (256 if width == 2 else 0)
    size, last = 0, False
    while not last and at + 3 <= len(content) and size <= most:
        block = int.from_bytes(bytes(content[at : at + 3]), "little")
        last, kind, stored = bool(block & 1), block >> 1 & 3, block >> 3
        size += PER_BLOCK if kind == 2 else stored
        at += 3 + (1 if kind == 1 else stored)
    return size


SIZES: dict[str, Callable[[Any, int], int]] = {
    "gzip": _deflated,
    "zlib": _deflated,
    "zstd": _zstandard,
    "blosc": functools.partial(_in_front, 4),
    "lz4": functools.partial(_in_front, 0),
    "bz2": functools.partial(_counted, bz2.BZ2Decompressor),
    "lzma": functools.partial(_counted, lzma.LZMADecompressor),
}
