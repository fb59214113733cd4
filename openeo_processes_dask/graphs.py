"""Reads a process graph in JSON into an expression, and finds all its problems at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openeo_processes_dask import aliases
from openeo_processes_dask.declare import DECLARED, Process, declared
from openeo_processes_dask.exceptions import (
    OpenEOException,
    ProcessGraphCyclic,
    ProcessGraphInvalid,
    ProcessGraphMissing,
    ProcessParameterMissing,
    ProcessParameterUnsupported,
    ProcessUnsupported,
    ReferenceUnresolved,
    ResultNodeAmbiguous,
    ResultNodeMissing,
    shown,
)
from openeo_processes_dask.expressions import Closure, Expression, Node, Parameter, Ref, references

PREDEFINED = (None, "predefined", "backend")

Processes = Mapping[str, Any]


def parse(
    document: Any, parameters: Mapping[str, Any], processes: Processes | None = None, node: str | None = None
) -> Expression:
    """The expression of a process graph, whose parameters get the given values.

    `processes` holds what the graph may call beside the declared processes: by id, or by namespace and id, a
    function or the JSON document of a user-defined process. With `node`, that node's value is the result.

    Raises
    ------
    OpenEOException
        The problem of the graph; where there are several, ProcessGraphInvalid with all of them.
    """
    builder = Builder(processes if isinstance(processes, Mapping) else {})
    graph = builder.graph_of(document, "the process graph")
    result = None
    if graph is not None:
        environment = builder.defaults(builder.parameters_of(document, "the process graph"), parameters)
        try:
            result = builder.read(graph, environment, (), node)
        except RecursionError:
            raise ProcessGraphInvalid("the process graph is nested too deeply to be read") from None
    if len(builder.problems) == 1:
        raise builder.problems[0]
    if builder.problems:
        raise ProcessGraphInvalid(problems=builder.problems)
    expression = Expression(tuple(builder.nodes), result)
    return expression if node is None else expression.pruned()


def child(document: Any, names: Iterable[str], processes: Processes | None = None) -> Expression:
    """The expression of a child process, which receives values of the given names."""
    return parse(document, {name: Parameter(name) for name in names}, processes).pruned()


@dataclass
class Builder:
    """Collects the nodes of one expression, those of user-defined processes among them."""

    processes: Processes
    problems: list[OpenEOException] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def graph_of(self, document: Any, where: str) -> Mapping[str, Any] | None:
        """The nodes of a document: of a whole process, of `{"process_graph": …}`, or bare."""
        graph = _process_of(document)
        if isinstance(graph, Mapping) and "process_graph" in graph:
            graph = graph["process_graph"]
        if not isinstance(graph, Mapping) or not graph:
            self.problems.append(ProcessGraphMissing(f"{where} has no nodes: {shown(document)}"))
            return None
        wrong = [f"node {name}: {fault}" for name, node in graph.items() if (fault := _fault(node))]
        self.problems += [ProcessGraphInvalid(f"{where} is malformed at {one}") for one in wrong]
        return None if wrong else {str(name): node for name, node in graph.items()}

    def parameters_of(self, document: Mapping[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
        """The parameters that a document declares, by name."""
        listed = _process_of(document).get("parameters") or ()
        if isinstance(listed, (list, tuple)) and all(isinstance(p, Mapping) and "name" in p for p in listed):
            return {str(p["name"]): p for p in listed}
        self.problems.append(ProcessGraphInvalid(f"{where} must list parameters with a name each: {shown(listed)}"))
        return {}

    @staticmethod
    def defaults(expected: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
        """The given values and, for optional parameters that got none, the defaults."""
        return {name: p.get("default") for name, p in expected.items() if p.get("optional")} | dict(given)

    def read(
        self, graph: Mapping[str, Any], environment: Mapping[str, Any], path: tuple[str, ...], node: str | None = None
    ) -> Any:
        """Append all nodes of a graph, those that the result needs first; return a reference to the result."""
        result = self._result(graph, path, node)
        places: dict[str, Any] = {}
        for name in self._order(graph, path, result):
            places[name] = self._node(graph[name], places, environment, (*path, name))
        return places.get(result) if result is not None else None

    def _result(self, graph: Mapping[str, Any], path: tuple[str, ...], node: str | None) -> str | None:
        if node is not None:
            if node not in graph:
                self.problems.append(ReferenceUnresolved(f"no node {node!r} {_among(node, graph)}"))
                return None
            return node
        marked = [name for name, content in graph.items() if content.get("result")]
        if len(marked) == 1:
            return marked[0]
        where = _of_graph(path)
        if marked:
            self.problems.append(ResultNodeAmbiguous(f"several nodes{where} are marked as result: {marked}"))
        elif len(graph) == 1:
            return next(iter(graph))
        else:
            self.problems.append(ResultNodeMissing(f"none of the nodes{where} is marked as result: {list(graph)}"))
        return None

    def _order(self, graph: Mapping[str, Any], path: tuple[str, ...], result: str | None) -> list[str]:
        """The nodes so that each comes after those it refers to; what the result does not need comes last."""
        inputs = {name: self._inputs(content, graph, (*path, name)) for name, content in graph.items()}
        order: dict[str, None] = {}
        entered: set[str] = set()
        first = [result] if result is not None else []
        for start in (*first, *(name for name in graph if name not in first)):
            waiting = [start]
            while waiting:
                name = waiting[-1]
                ahead = [n for n in inputs[name] if n not in order] if name not in order else []
                if not ahead:
                    order[name] = None
                    waiting.pop()
                elif any(n in entered for n in ahead) and name in entered:
                    cycle = self._cycle(name, inputs, order)
                    self.problems.append(
                        ProcessGraphCyclic(f"nodes{_of_graph(path)} wait for each other: {' → '.join(cycle)}")
                    )
                    return []
                else:
                    entered.add(name)
                    waiting.extend(ahead)
        return list(order)

    @staticmethod
    def _cycle(start: str, inputs: Mapping[str, list[str]], done: Mapping[str, None]) -> list[str]:
        trail = [start]
        while True:
            following = next((n for n in inputs[trail[-1]] if n not in done), start)
            if following in trail:
                return [*trail[trail.index(following) :], following]
            trail.append(following)

    def _inputs(self, content: Mapping[str, Any], graph: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
        found: list[str] = []
        for name in _from_nodes(content.get("arguments")):
            if name in graph:
                found.append(name)
            else:
                self.problems.append(
                    ReferenceUnresolved(f"node {_at(path)} refers to node {name!r}, which is not {_among(name, graph)}")
                )
        return found

    def _node(
        self,
        content: Mapping[str, Any],
        places: Mapping[str, Any],
        environment: Mapping[str, Any],
        path: tuple[str, ...],
    ) -> Any:
        process = self._find(content["process_id"], content.get("namespace"), path)
        given = {str(name): value for name, value in (content.get("arguments") or {}).items()}
        names = process.callbacks if isinstance(process, Process) else {}
        if isinstance(process, Process):
            given = aliases.arguments(process.id, given)
        arguments = {
            name: self._argument(value, names.get(name), places, environment, (*path, name))
            for name, value in given.items()
        }
        if process is None:
            return None
        if isinstance(process, Mapping):
            called = ":".join(filter(None, (content.get("namespace"), content["process_id"])))
            return self._user_defined(called, process, arguments, path)
        function = process
        if isinstance(process, Process):
            expected = (*process.parameters, *aliases.removed(process.id))
            self._check(process.id, arguments, expected, process.required, path)
            function = process.function
        self.nodes.append(Node(function, arguments, _at(path)))
        return Ref(len(self.nodes) - 1)

    def _find(self, process_id: str, namespace: str | None, path: tuple[str, ...]) -> Any:
        """A declared process, the document of a user-defined one, a function, or None with a problem noted."""
        group = self.processes.get(namespace) if namespace not in (*PREDEFINED, "user") else self.processes
        if isinstance(group, Mapping) and namespace not in PREDEFINED[1:]:
            within = group.get("user") if namespace == "user" and _is_group(group.get("user")) else group
            found = within.get(process_id) if isinstance(within, Mapping) else None
            if callable(found) or (isinstance(found, Mapping) and not _is_group(found)):
                return declared(found) or found
        if namespace in PREDEFINED and (process := DECLARED.get(aliases.PROCESSES.get(process_id, process_id))):
            return process
        known = [*DECLARED, *(group if isinstance(group, Mapping) else ())]
        space = f" in namespace {namespace!r}" if namespace else ""
        self.problems.append(
            ProcessUnsupported(
                f"no process {process_id!r}{space}, asked for by node {_at(path)}{_perhaps(process_id, known)}"
            )
        )
        return None

    def _user_defined(
        self, process_id: str, document: Mapping[str, Any], arguments: dict[str, Any], path: tuple[str, ...]
    ) -> Any:
        if f"{process_id}()" in path:
            self.problems.append(
                ProcessGraphCyclic(f"the user-defined process {process_id!r} calls itself, in node {_at(path)}")
            )
            return None
        where = f"the user-defined process {process_id!r}, called by node {_at(path)},"
        expected = self.parameters_of(document, where)
        required = [name for name, p in expected.items() if not p.get("optional")]
        self._check(process_id, arguments, expected, required, path)
        graph = self.graph_of(document, where)
        if graph is None:
            return None
        return self.read(graph, self.defaults(expected, arguments), (*path, f"{process_id}()"))

    def _check(
        self,
        process_id: str,
        arguments: Mapping[str, Any],
        expected: Iterable[str],
        required: Iterable[str],
        path: tuple[str, ...],
    ) -> None:
        for name in arguments:
            if name not in expected:
                self.problems.append(
                    ProcessParameterUnsupported(
                        f"process {process_id!r} has no parameter {name!r}, given by node {_at(path)};"
                        f" it has {list(expected)}{_perhaps(name, expected)}"
                    )
                )
        for name in required:
            if name not in arguments:
                self.problems.append(
                    ProcessParameterMissing(
                        f"process {process_id!r} needs {name!r}, which node {_at(path)} does not give"
                    )
                )

    def _argument(
        self,
        value: Any,
        names: tuple[str, ...] | None,
        places: Mapping[str, Any],
        environment: Mapping[str, Any],
        path: tuple[str, ...],
    ) -> Any:
        if isinstance(value, Mapping):
            if set(value) == {"from_node"}:
                return places.get(str(value["from_node"]))
            if set(value) == {"from_parameter"}:
                name = str(value["from_parameter"])
                if name not in environment:
                    self.problems.append(
                        ProcessParameterMissing(
                            f"parameter {name!r} of node {_at(path[:-1])} has no value; there are {sorted(environment)}"
                        )
                    )
                return environment.get(name)
            if "process_graph" in value:
                return self._child(value, names, environment, path)
            return {k: self._argument(v, names, places, environment, (*path, str(k))) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._argument(v, None, places, environment, (*path, str(i))) for i, v in enumerate(value)]
        return value

    def _child(
        self, value: Any, names: tuple[str, ...] | None, environment: Mapping[str, Any], path: tuple[str, ...]
    ) -> Any:
        """A child process: its own values are parameters; outer values are captured."""
        own = {*(names or ("x", "y", "data", "value", "index", "label")), "context"}
        outer = {name: held for name, held in environment.items() if name not in own}
        known = {n: Parameter(n) if any(True for _ in references(held)) else held for n, held in outer.items()}
        known |= {name: Parameter(name) for name in own}
        inner = Builder(self.processes, self.problems)
        graph = inner.graph_of(value, f"the child process at {_at(path)}")
        result = inner.read(graph, known, path) if graph is not None else None
        expression = Expression(tuple(inner.nodes), result).pruned()
        used = {
            r.name for n in expression.nodes for r in references(list(n.arguments.values())) if isinstance(r, Parameter)
        }
        used |= {r.name for r in references(expression.result) if isinstance(r, Parameter)}
        captures = {name: held for name, held in outer.items() if name in used}
        return Closure(expression, captures) if captures else expression


def _process_of(document: Any) -> Any:
    """The process in a document, which may hold it as `process` beside other things."""
    inner = document.get("process") if isinstance(document, Mapping) else None
    return inner if isinstance(inner, Mapping) and "process_graph" in inner else document


def _fault(node: Any) -> str | None:
    """What is wrong with the form of a node, if anything is."""
    if not isinstance(node, Mapping):
        return f"{shown(node)} is no object"
    if not isinstance(node.get("process_id"), str):
        return f"a process_id is needed in {shown(dict(node))}"
    if not isinstance(node.get("arguments", {}), (Mapping, type(None))):
        return f"arguments must be an object, not {shown(node['arguments'])}"
    if not isinstance(node.get("namespace"), (str, type(None))):
        return f"a namespace must be a text, not {shown(node['namespace'])}"
    return None


def _is_group(value: Any) -> bool:
    """Whether a value is a namespace of processes, not a process."""
    return isinstance(value, Mapping) and "process_graph" not in value


def _from_nodes(value: Any) -> Iterable[str]:
    """The nodes that an argument refers to; those inside child processes are not of this graph."""
    if isinstance(value, Mapping):
        if set(value) == {"from_node"}:
            yield str(value["from_node"])
        elif "process_graph" not in value:
            for inner in value.values():
                yield from _from_nodes(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _from_nodes(inner)


def _at(path: tuple[str, ...]) -> str:
    return "/".join(path)


def _of_graph(path: tuple[str, ...]) -> str:
    return f" in the graph of {_at(path)}" if path else ""


def _among(name: str, known: Iterable[str]) -> str:
    return f"among {[str(k) for k in known][:20]}{_perhaps(name, known)}"


def _perhaps(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [str(k) for k in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
