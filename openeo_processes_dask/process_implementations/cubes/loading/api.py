"""The search of a STAC API, by pystac-client: what is asked for is left to the server as far as it understands it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3
from dask.utils import format_bytes

from openeo_processes_dask.exceptions import FileContentInvalid, FileNotFound
from openeo_processes_dask.expressions import Expression, Parameter, Ref

from . import address
from .request import Request

TIMEOUT = (10.0, 30.0)  # seconds to connect, and for an answer to go on
RETRIES = 2
PART = 2**16  # bytes that are taken from an answer at a time
PAGE = 500  # items that are asked for at a time
COMPARED = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def is_root(document: Mapping[str, Any]) -> bool:
    """Whether a document is the landing page of an API that can search."""
    relations = {link.get("rel") for link in document.get("links") or () if isinstance(link, Mapping)}
    return isinstance(document.get("conformsTo"), list) and "search" in relations


def pages(root: str, collection: str, request: Request) -> Iterator[list[dict[str, Any]]]:
    """The items of a collection page by page, of those that are asked for; the server may send more.

    Raises
    ------
    FileNotFound
        If the server answers with an error, or not in time.
    FileContentInvalid
        If it answers with what is no list of items, or begins from the start again.
    """
    # Imported by who searches: it brings a validator of schemas, two fifths of the time in which every worker started.
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO

    try:
        access = StacApiIO(timeout=TIMEOUT, max_retries=RETRIES)
        access.session.hooks["response"].append(_limited)
        client = Client.open(root, stac_io=access)
        search = client.search(**_arguments(client, collection, request))
        seen = set()
        for page in search.pages_as_dicts():
            features = page.get("features")
            if not isinstance(features, list):
                raise FileContentInvalid(f"{root} sends pages without features")
            if not features:
                return
            following = json.dumps([link for link in page.get("links") or () if link.get("rel") == "next"])
            if following in seen and following != "[]":
                raise FileContentInvalid(f"{root} sends the same page again")
            seen.add(following)
            yield features
    except APIError as error:
        raise FileNotFound(f"{root}: the server says {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileContentInvalid(f"{root} is no STAC API: {error!r}") from error


def _limited(response: Any, **_: Any) -> None:
    """Read an answer part by part, because a compressed one may be a thousand times as large as what was sent."""
    content = bytearray()
    while part := response.raw.read(PART, decode_content=True):
        content += part
        if len(content) > address.limit():
            response.close()
            limit = format_bytes(address.limit())
            raise FileContentInvalid(f"{response.url} sends more than {limit}, the setting openeo.load.size")
    response.raw = urllib3.HTTPResponse(io.BytesIO(content), preload_content=False)


def _arguments(client: Any, collection: str, request: Request) -> dict[str, Any]:
    from pystac_client import ConformanceClasses

    posts = any(link.rel == "search" and link.extra_fields.get("method") == "POST" for link in client.get_links())
    wanted: dict[str, Any] = {"collections": [collection], "limit": PAGE, "method": "POST" if posts else "GET"}
    if (box := request.lonlat) is not None:
        wanted["bbox"] = [box.west, box.south, box.east, box.north]
    if request.start is not None or request.end is not None:
        wanted["datetime"] = "/".join(".." if t is None else f"{t.astype('datetime64[s]')}Z" for t in request.ends)
    conditions = [made for name, one in (request.properties or {}).items() if (made := cql2(one, name)) is not None]
    if conditions and client.conforms_to(ConformanceClasses.FILTER):
        wanted["filter"] = conditions[0] if len(conditions) == 1 else {"op": "and", "args": conditions}
        wanted["filter_lang"] = "cql2-json"
    return wanted


def cql2(condition: Expression, name: str) -> dict[str, Any] | None:
    """A condition on a property in CQL2; None if that cannot say it.

    It never leaves out an item for which the condition is true: every item that comes is looked at again.
    """
    made = _said(condition.result, condition, name)
    return made if isinstance(made, dict) and "op" in made else None


def _said(value: Any, whole: Expression, name: str) -> Any:
    """What a value is in CQL2: the property, a plain value or an operation; None if it is nothing of that."""
    if isinstance(value, Parameter):
        if value.name == "value":
            return {"property": name}
        value = whole.bound.get(value.name)
    if not isinstance(value, Ref):
        return value if isinstance(value, (str, int, float, bool)) else None
    node = whole.nodes[value.index]
    arguments = {k: v for k, v in node.arguments.items() if v is not None}
    if node.id in COMPARED and set(arguments) <= {"x", "y"}:
        return _compared(COMPARED[node.id], *(_said(arguments.get(k), whole, name) for k in ("x", "y")))
    if node.id == "between" and set(arguments) <= {"x", "min", "max", "exclude_max"}:
        x, low, high = (_said(arguments.get(k), whole, name) for k in ("x", "min", "max"))
        top = "<" if arguments.get("exclude_max") is True else "<="
        return _all("and", [_compared(">=", x, low), _compared(top, x, high)])
    if node.id in ("and", "or") and set(arguments) == {"x", "y"}:
        return _all(node.id, [_said(arguments[k], whole, name) for k in ("x", "y")])
    return None


def _compared(operator: str, x: Any, y: Any) -> dict[str, Any] | None:
    """A comparison of the property with a plain value, whichever comes first."""
    if isinstance(y, dict) and "property" in y:
        x, y, operator = y, x, MIRRORED.get(operator, operator)
    plain = isinstance(y, (str, int, float, bool))
    return {"op": operator, "args": [x, y]} if isinstance(x, dict) and "property" in x and plain else None


def _all(operator: str, parts: list[Any]) -> dict[str, Any] | None:
    if not all(isinstance(part, dict) and "op" in part for part in parts):
        return None
    return {"op": operator, "args": parts}
