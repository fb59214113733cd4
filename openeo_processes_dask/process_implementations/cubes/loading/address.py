"""What lies at an address, brought into a file: only from where that is allowed, only so much, only so long."""

from __future__ import annotations

import fnmatch
import http.client
import ipaddress
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import dask
from dask.utils import format_bytes, parse_bytes

from openeo_processes_dask.exceptions import FileContentInvalid, FileNotFound, ProcessParameterInvalid

SCHEMES = ("https", "http")
SIZE = "256 MiB"
TIMEOUT = 30.0  # seconds without a byte
PATIENCE = 300.0  # seconds for the whole
RATIO = 4  # what is read at once may be so much larger than the largest file
PART = 2**20  # bytes that are read at a time


def limit() -> int:
    """How many bytes a file may have that is read as a whole."""
    return int(parse_bytes(dask.config.get("openeo.load.size", SIZE)))


def most() -> int:
    """How many bytes may come of what is read at once: a block of a file, a table, a cube in memory."""
    return RATIO * limit()


def check(url: Any) -> str:
    """The address, if it may be read from.

    The setting `openeo.load.schemes` lists schemes (https and http; `file` gives access to local files), and
    `openeo.load.hosts` lists hosts, such as `*.example.org`. Without it all hosts that lie in the public network are
    allowed and others are not, because what answers there may trust whoever asks.

    Raises
    ------
    ProcessParameterInvalid
        If it may not.
    """
    try:
        parts = urllib.parse.urlsplit(str(url))
        host = (parts.hostname or "").casefold()
        port = parts.port
    except ValueError as error:
        raise ProcessParameterInvalid(f"{url!r} is no address: {error}") from error
    schemes = tuple(dask.config.get("openeo.load.schemes", SCHEMES))
    if parts.scheme not in schemes:
        raise ProcessParameterInvalid(f"{url!r} is not allowed: an address begins with {' or '.join(schemes)}")
    if parts.scheme == "file":
        return str(url)
    hosts = dask.config.get("openeo.load.hosts", None)
    if hosts is not None:
        if not any(fnmatch.fnmatchcase(host, str(one).casefold()) for one in hosts):
            raise ProcessParameterInvalid(f"{url!r} is not allowed: hosts are {', '.join(map(str, hosts)) or 'none'}")
        return str(url)
    if not host or not _public(host, port):
        raise ProcessParameterInvalid(f"{url!r} is not allowed: {host!r} is not in the public network")
    return str(url)


def fetch(url: str, into: Path) -> None:
    """Write what lies at an address to a file.

    Raises
    ------
    ProcessParameterInvalid
        If it may not be read from, or leads to where that is so.
    FileNotFound
        If the server has no such thing.
    FileContentInvalid
        If it is too large, comes too slowly, or not whole.
    """
    opener = urllib.request.build_opener(_Checked())
    end = time.monotonic() + PATIENCE
    try:
        with opener.open(check(url), timeout=TIMEOUT) as answer, into.open("wb") as file:
            expected = answer.headers.get("Content-Length")
            if expected is not None and expected.isdigit() and int(expected) > limit():
                raise _too_large(url)
            size = 0
            while part := answer.read1(PART) if hasattr(answer, "read1") else answer.read(PART):
                size += len(part)
                if size > limit():
                    raise _too_large(url)
                if time.monotonic() > end:
                    raise FileContentInvalid(f"{url} did not arrive within {PATIENCE:.0f} seconds")
                file.write(part)
            if expected is not None and expected.isdigit() and size < int(expected):
                raise FileContentInvalid(f"{url} did not arrive whole: {size} of {expected} bytes")
    except urllib.error.HTTPError as error:
        error.close()
        raise FileNotFound(f"{url}: the server says {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise FileNotFound(f"{url} cannot be read: {error}") from error


class _Checked(urllib.request.HTTPRedirectHandler):
    """An address may lead to another one only if that is allowed too."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _too_large(url: str) -> FileContentInvalid:
    return FileContentInvalid(f"{url} is larger than {format_bytes(limit())}, the setting openeo.load.size")


def _public(host: str, port: int | None) -> bool:
    try:
        found = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FileNotFound(f"the host {host!r} is not known: {error}") from error
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_global for one in found)
