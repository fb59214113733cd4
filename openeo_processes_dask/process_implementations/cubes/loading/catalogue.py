"""The documents of a STAC catalogue, on disk or at an address, and the items in them."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dask.utils import format_bytes

from openeo_processes_dask.exceptions import FileContentInvalid, FileNotFound

from . import address, api
from .layers import READERS, is_remote
from .request import Request

TIMEOUT = 30  # seconds for one document
PAGE = 500  # items that a STAC API is asked for at a time


@dataclass(frozen=True)
class Item:
    """A STAC Item; the addresses of its assets do not depend on where it lies."""

    id: str
    properties: Mapping[str, Any]
    assets: Mapping[str, Mapping[str, Any]]
    bbox: Sequence[float] | None


@dataclass(frozen=True)
class Catalogue:
    """All items, and the bands in the order that the collection says, if it does."""

    items: list[Item]
    bands: tuple[str, ...]


def read(url: str, request: Request) -> Catalogue:
    """The items of an Item, a Collection, a static Catalog, an ItemCollection or a Collection of a STAC API.

    Only an API can leave out what is not requested. What lies above a document is read for an API only.

    Raises
    ------
    FileNotFound
        If a document is missing.
    FileContentInvalid
        If one is no STAC, or points from an address at a file of this machine.
    """
    href = url if is_remote(url) else os.path.abspath(local(url))
    document = document_at(href)
    kind = document.get("type")
    if kind == "FeatureCollection":
        return Catalogue(list(_pages(document, href)), ())
    if kind == "Feature":
        return Catalogue([_item(document, href)], ())
    if kind not in ("Catalog", "Collection"):
        raise FileContentInvalid(f"{href} is no STAC: its type is {kind!r}")
    if kind == "Collection" and (root := _api(document, href)) is not None:
        found = (one for page in api.pages(root, str(document.get("id")), request) for one in page)
        return Catalogue([_item(one, root) for one in found], _order([document]))
    if pages := _links(document, href, "items"):
        first = f"{pages[0]}{'&' if '?' in pages[0] else '?'}{urllib.parse.urlencode(_query(request))}"
        return Catalogue(list(_pages(document_at(first), first)), _order([document]))
    return _walk(document, href)


def local(href: str) -> str:
    """The path that a `file:` address stands for; others come back as they are."""
    if not href.startswith("file:"):
        return href
    return urllib.request.url2pathname(urllib.parse.urlparse(href).path)


def _api(collection: Mapping[str, Any], href: str) -> str | None:
    """The address of the API that a collection belongs to, if that can search; else its list of items must do."""
    links = _links(collection, href, "root")
    if not is_remote(href) or not links or not _links(collection, href, "items"):
        return None
    try:
        return links[0] if api.is_root(document_at(links[0])) else None
    except (FileNotFound, FileContentInvalid):
        return None  # what lies above a collection is only a way to ask better


def _walk(root: dict[str, Any], href: str) -> Catalogue:
    """The items of a static catalogue, level by level; the documents of a level are read several at once."""
    items: list[Item] = []
    above = [(href, root)]
    collections = [root] if root.get("type") == "Collection" else []
    seen = {href}
    with ThreadPoolExecutor(READERS) as pool:
        while above:
            links = [link for at, one in above for link in _links(one, at, "item", "child")]
            new = [link for link in dict.fromkeys(links) if link not in seen]
            seen.update(new)
            above = []
            # a few documents are not worth the way to other threads
            for at, document in zip(new, (pool.map if len(new) > READERS else map)(document_at, new), strict=True):
                if document.get("type") == "Feature":
                    items.append(_item(document, at))
                else:
                    above.append((at, document))
                    collections += [document] if document.get("type") == "Collection" else []
    return Catalogue(items, _order(collections))


def _pages(document: dict[str, Any], href: str) -> Iterator[Item]:
    """The items of an ItemCollection and of the pages that follow it."""
    seen = {href}
    while True:
        features = document.get("features")
        if not isinstance(features, list):
            raise FileContentInvalid(f"{href} is no ItemCollection: it has no features")
        yield from (_item(feature, href) for feature in features)
        following = [link for link in _links(document, href, "next") if link not in seen]
        if not following or not features:
            return
        href = following[0]
        seen.add(href)
        document = document_at(href)


def _query(request: Request) -> dict[str, Any]:
    """What an API is told of the extents; it may answer with more, so what it sends is looked through again."""
    query: dict[str, Any] = {"limit": PAGE}
    if (box := request.lonlat) is not None:
        query["bbox"] = f"{box.west},{box.south},{box.east},{box.north}"
    if request.start is not None or request.end is not None:
        query["datetime"] = "/".join(".." if t is None else f"{t.astype('datetime64[ms]')}Z" for t in request.ends)
    return query


def document_at(href: str) -> dict[str, Any]:
    """The document at an address or path.

    Raises
    ------
    FileNotFound, FileContentInvalid
        If there is none, or it is no JSON object.
    """
    try:
        document = json.loads(_text(href))
    except ValueError as error:
        raise FileContentInvalid(f"{href} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise FileContentInvalid(f"{href} is no STAC: it holds no object")
    return document


def _text(href: str) -> bytes:
    try:
        if is_remote(href):
            with urllib.request.urlopen(href, timeout=TIMEOUT) as answer:
                return _limited(answer, href)
        with open(href, "rb") as file:
            return _limited(file, href)
    except FileNotFoundError as error:
        raise FileNotFound(f"{href}: there is no such file") from error
    except urllib.error.HTTPError as error:
        raise FileNotFound(f"{href}: the server says {error.code} {error.reason}") from error
    except OSError as error:
        raise FileContentInvalid(f"{href} cannot be read: {error}") from error


def _limited(file: Any, href: str) -> bytes:
    content = bytes(file.read(address.limit() + 1))
    if len(content) > address.limit():
        raise FileContentInvalid(f"{href} is larger than {format_bytes(address.limit())}, the setting openeo.load.size")
    return content


def _links(document: Mapping[str, Any], href: str, *relations: str) -> list[str]:
    links = document.get("links") or ()
    if not isinstance(links, list | tuple):
        raise FileContentInvalid(f"{href} is no STAC: its links are {links!r}")
    found = [link for link in links if isinstance(link, dict) and link.get("rel") in relations and link.get("href")]
    return [joined(href, str(link["href"])) for link in found]


def _item(document: Any, href: str) -> Item:
    try:
        assets = {str(k): {**a, "href": joined(href, a["href"])} for k, a in document["assets"].items()}
        return Item(str(document["id"]), dict(document["properties"]), assets, document.get("bbox"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        called = f" (of the item {document['id']})" if isinstance(document, Mapping) and "id" in document else ""
        raise FileContentInvalid(f"{href} holds no STAC Item{called}: {error!r}") from error


def joined(base: str, href: str) -> str:
    """An address or path relative to that of a document."""
    if is_remote(base):
        joined = urllib.parse.urljoin(base, href)
        if not is_remote(joined):
            raise FileContentInvalid(f"{base} points at the local file {joined}")
        return joined
    return href if is_remote(href) else os.path.normpath(os.path.join(os.path.dirname(base), local(href)))


def _order(collections: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The bands in the order of the only collection's `cube:dimensions`."""
    dimensions = collections[0].get("cube:dimensions") if len(collections) == 1 else None
    every = list(dimensions.values()) if isinstance(dimensions, Mapping) else []
    bands = [one.get("values") for one in every if isinstance(one, Mapping) and one.get("type") == "bands"]
    return tuple(str(name) for values in bands if isinstance(values, list) for name in values)
