"""Every process keeps the official contract: all that its document says but the prose."""

from __future__ import annotations

from typing import Any

import pytest

from openeo_processes_dask import process_implementations  # noqa: F401 - it declares the processes
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.specs.generate import document
from tests.spec import official

pytestmark = official.needed
PROSE = {"description", "title", "examples", "summary", "links"}


def without_prose(value: Any) -> Any:
    """A schema without prose; the names in `properties` are names, whatever they say."""
    if isinstance(value, list):
        return [without_prose(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if name not in PROSE}
    return {
        name: {key: without_prose(each) for key, each in inner.items()}
        if name == "properties"
        else without_prose(inner)
        for name, inner in kept.items()
    }


def contract(specification: dict[str, Any]) -> dict[str, Any]:
    """What a document promises to machines."""
    told = ("name", "optional", "default", "deprecated", "schema")
    return {
        "id": specification["id"],
        "categories": specification["categories"],
        "experimental": specification.get("experimental", False),
        "parameters": [
            {name: without_prose(parameter[name]) for name in told if name in parameter}
            for parameter in specification["parameters"]
        ],
        "returns": without_prose(specification["returns"]["schema"]),
        "exceptions": sorted(specification.get("exceptions", {})),
    }


def test_the_official_documents_are_all_there() -> None:
    assert len(official.specifications()) == 155


@pytest.mark.parametrize("process_id", sorted(set(official.specifications()) - set(official.gaps())))
def test_the_contract_is_the_official_one(process_id: str) -> None:
    assert process_id in DECLARED, f"{process_id} is not declared"
    found = contract(document(DECLARED[process_id]))
    for part, promise in contract(official.specifications()[process_id]).items():
        assert found[part] == promise, f"{process_id}: {part}"


def test_a_gap_is_still_a_gap() -> None:
    closed = [
        process_id
        for process_id in official.gaps()
        if process_id in DECLARED
        and contract(document(DECLARED[process_id])) == contract(official.specifications()[process_id])
    ]
    assert not closed, f"as they should be now: remove their lines from {official.GAPS.name}"


def test_gaps_and_declarations_are_official_processes() -> None:
    assert set(official.gaps()) <= set(official.specifications())
    assert set(DECLARED) <= set(official.specifications())
