"""Tests of the workflows that tests, benchmarks and the README share, as openEO process graphs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT.parent / "shared" / "openeo-processes" / "specs"
DOCUMENTS = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "examples" / "workflows").glob("*.json"))
}


def nodes(graph):
    """Walk over a graph and the graphs of its callbacks: (nodes beside it, name, node)."""
    for name, node in graph.items():
        yield graph, name, node
        for argument in node["arguments"].values():
            if isinstance(argument, dict) and "process_graph" in argument:
                yield from nodes(argument["process_graph"])


def references(value, kind):
    """Find what an argument refers to, also inside lists and dicts, but not inside callbacks."""
    if isinstance(value, dict):
        if set(value) == {kind}:
            yield value[kind]
        elif "process_graph" not in value:
            for part in value.values():
                yield from references(part, kind)
    elif isinstance(value, list):
        for part in value:
            yield from references(part, kind)


def test_there_are_three_workflows():
    assert sorted(DOCUMENTS) == ["monthly_ndvi", "ndvi_composite", "stac_to_grid"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_complete(name):
    document = DOCUMENTS[name]
    assert list(document) == ["id", "summary", "description", "parameters", "process_graph"]
    assert document["id"] == name
    for parameter in document["parameters"]:
        assert {"name", "description", "schema"} <= set(parameter)
        assert ("default" in parameter) == parameter.get("optional", False)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_references_lead_somewhere(name):
    document = DOCUMENTS[name]
    for graph, _, node in nodes(document["process_graph"]):
        assert set(references(node["arguments"], "from_node")) <= set(graph)
    parameters = {parameter["name"] for parameter in document["parameters"]}
    used = {
        ref for node in document["process_graph"].values() for ref in references(node["arguments"], "from_parameter")
    }
    assert used == parameters


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_graph_has_one_result(name):
    graphs = {id(graph): graph for graph, _, _ in nodes(DOCUMENTS[name]["process_graph"])}
    for graph in graphs.values():
        assert sum(node.get("result", False) for node in graph.values()) == 1


@pytest.mark.skipif(not SPECS.is_dir(), reason="no ../shared/openeo-processes beside the repository")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_processes_and_arguments_are_official(name):
    seen = 0
    for _, path, node in nodes(DOCUMENTS[name]["process_graph"]):
        spec = json.loads((SPECS / f"{node['process_id']}.json").read_text())
        parameters = {parameter["name"]: parameter for parameter in spec["parameters"]}
        assert set(node["arguments"]) <= set(parameters), path
        required = {name for name, parameter in parameters.items() if not parameter.get("optional")}
        assert required <= set(node["arguments"]), path
        for argument, value in node["arguments"].items():
            if isinstance(value, dict) and "process_graph" in value:
                given = {parameter["name"] for parameter in parameters[argument]["schema"]["parameters"]}
                for inner in value["process_graph"].values():
                    assert set(references(inner["arguments"], "from_parameter")) <= given, path
        seen += 1
    assert seen >= 4
