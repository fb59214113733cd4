"""Runs a process graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openeo_processes_dask import process_implementations  # noqa: F401  (importing it declares the processes)
from openeo_processes_dask.exceptions import ProcessGraphMissing
from openeo_processes_dask.graphs import parse


def execute(
    process_graph: Mapping[str, Any] | str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    processes: Mapping[str, Any] | None = None,
    node: str | None = None,
) -> Any:
    """Run a process graph and return the value of its result node.

    The whole graph is checked before anything runs. What is returned is lazy wherever the processes are; nothing
    is remembered from one call to the next.

    Parameters
    ----------
    process_graph
        The nodes by name, bare or in a document with `process_graph` and perhaps `parameters`; or JSON as text,
        or the path of a JSON file.
    parameters
        Values for the graph's parameters, by name.
    processes
        What the graph may call beside the declared processes, by id or by namespace and id: functions, or
        documents of user-defined processes. These come before declared processes of the same id.
    node
        The name of the node whose value is wanted instead of the result; nodes that it does not need do not run.

    Raises
    ------
    OpenEOException
        What is wrong with the graph; ProcessGraphInvalid lists several problems. Later, what the processes raise,
        with the node noted.
    """
    expression = parse(_document(process_graph), parameters or {}, processes, node)
    return expression()


def _document(source: Any) -> Any:
    """The process graph in JSON, from a text or a file if it is not given as such."""
    if isinstance(source, Path) or (isinstance(source, str) and not source.lstrip().startswith(("{", "["))):
        try:
            source = Path(source).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:  # ValueError: a path that cannot be, a file that is no text
            raise ProcessGraphMissing(f"no process graph can be read from {str(source)[:200]!r}: {error}") from error
    if not isinstance(source, str):
        return source
    try:
        return json.loads(source)
    except json.JSONDecodeError as error:
        raise ProcessGraphMissing(f"the process graph is no JSON: {error}") from error
    except RecursionError:
        raise ProcessGraphMissing("the process graph is nested too deeply to be read") from None
