"""The official documents and test vectors, which lie beside a checkout and are never copied into it."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("OPENEO_PROCESSES", Path(__file__).parents[3] / "shared" / "openeo-processes"))
GAPS = Path(__file__).with_name("gaps.txt")

needed = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the official processes do not lie at $OPENEO_PROCESSES or ../shared/openeo-processes"
)


@functools.cache
def specifications() -> dict[str, dict[str, Any]]:
    """The official documents by id; none if they are not there."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / "specs").glob("*.json"))}


@functools.cache
def vectors() -> dict[str, list[dict[str, Any]]]:
    """The official test vectors by process; none if they are not there."""
    files = sorted((FOLDER / "vectors").glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8"))["tests"] for path in files}


@functools.cache
def errata() -> dict[tuple[str, int], str]:
    """Why a vector is wrong, by process and index."""
    path = FOLDER / "errata.json"
    found = json.loads(path.read_text("utf-8")) if path.exists() else []
    return {(one["process"], one["index"]): one["reason"] for one in found}


@functools.cache
def gaps() -> dict[str, str]:
    """Why a process is not, or not as the specification says: one id and one reason a line."""
    lines = [line.split(None, 1) for line in GAPS.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return {process_id: reason.strip() for process_id, reason in lines}
