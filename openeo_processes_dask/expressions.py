"""What a process graph does, as a small picklable program: nodes in an order in which they can run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from dask.base import normalize_token

from openeo_processes_dask import foreign
from openeo_processes_dask.declare import declared
from openeo_processes_dask.exceptions import ProcessParameterMissing
from openeo_processes_dask.vocabulary import Scaling

VIEW = "view"  # what a process is told, if it wants to know, whose result is used up before the program ends


@dataclass(frozen=True)
class Ref:
    """The result of a node of the same expression, by its position."""

    index: int


@dataclass(frozen=True)
class Parameter:
    """A value that comes with the call."""

    name: str


@dataclass(frozen=True, eq=False)
class Symbol:
    """A value that is not there yet, while a callback is traced: a parameter, or a function of symbols."""

    name: str | None = None
    function: Callable[..., Any] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Closure:
    """A child process whose outer values are known only when its parent runs."""

    expression: Expression
    captures: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a function; its arguments may hold references, also inside lists and dicts."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    path: str = ""

    @property
    def id(self) -> str:
        """The process id, or the name of a foreign function."""
        process = declared(self.function)
        return process.id if process else getattr(self.function, "__name__", repr(self.function))

    @functools.cached_property
    def engine(self) -> frozenset[str]:
        """The names of what the engine may tell this function."""
        process = declared(self.function)
        if process:
            return process.engine
        try:
            return frozenset(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):  # compiled functions without a signature
            return frozenset()

    def run(self, arguments: Mapping[str, Any], engine: Mapping[str, Any]) -> Any:
        """Call the function with resolved arguments and what it takes of the engine's."""
        said = {name: value for name, value in engine.items() if name in self.engine and name not in arguments}
        try:
            if declared(self.function):
                return self.function(**arguments, **said, **({VIEW: True} if VIEW in self.engine else {}))
            return foreign.call(self.function, arguments, said, engine.get("axis"))
        except Exception as error:
            if self.path:
                error.add_note(f"in node {self.path} (process {self.id})")
            raise

    def __dask_tokenize__(self) -> object:
        return normalize_token(("openeo-node", self.function, dict(self.arguments)))


@dataclass(frozen=True, eq=False)
class Expression:
    """A program of nodes, a result, and the values of parameters that are known already."""

    nodes: tuple[Node, ...]
    result: Any
    bound: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, values: Mapping[str, Any] | None = None, /, **engine: Any) -> Any:
        """Run the nodes in order and forget each result after its last use.

        Raises
        ------
        ProcessParameterMissing
            If a parameter has no value.
        """
        known = {**self.bound, **(values or {})}
        results: dict[int, Any] = {}
        for index, node in enumerate(self.nodes):
            arguments = {name: resolve(value, results, known) for name, value in node.arguments.items()}
            results[index] = node.run(arguments, self._told(index, engine))
            for finished in self._last_uses.get(index, ()):
                del results[finished]
        return _alone(resolve(self.result, results, known), known)

    def _told(self, index: int, engine: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a node may be told: of the axis if its values lie along it, of the labels if they still have these."""
        if not engine:
            return engine
        along, labelled = self._inputs[index]
        if along and labelled:
            return engine
        return {name: value for name, value in engine.items() if name != "dim_labels"} if along else {}

    @functools.cached_property
    def _inputs(self) -> list[tuple[bool, bool]]:
        """For each node: whether its values come with the call, and whether they have the labels of the dimension."""
        inputs: list[tuple[bool, bool]] = []
        results: list[tuple[bool, bool]] = []
        for node in self.nodes:
            used = [
                results[r.index] if isinstance(r, Ref) else (r.name not in self.bound,) * 2
                for r in references(list(node.arguments.values()))
            ]
            inputs.append((any(along for along, _ in used), any(labelled for _, labelled in used)))
            process = declared(node.function)
            keeps = process is not None and (process.keeps_labels or not process.engine)
            results.append((inputs[-1][0], inputs[-1][1] and keeps))
        return inputs

    def bind(self, **values: Any) -> Expression:
        """The same program with more parameters known."""
        return Expression(self.nodes, self.result, {**self.bound, **values})

    def constants(self) -> Iterator[Any]:
        """The values that the nodes use and that are known already."""
        for value in (self.result, *(v for node in self.nodes for v in node.arguments.values())):
            for leaf in _leaves(value):
                if isinstance(leaf, Expression):
                    yield from leaf.constants()
                elif not isinstance(leaf, Parameter):
                    yield leaf
                elif leaf.name in self.bound:
                    yield from _leaves(self.bound[leaf.name])

    def pruned(self) -> Expression:
        """The same program without the nodes that its result does not need."""
        needed: set[int] = set()
        waiting = [r.index for r in references(self.result) if isinstance(r, Ref)]
        while waiting:
            index = waiting.pop()
            if index not in needed:
                needed.add(index)
                arguments = list(self.nodes[index].arguments.values())
                waiting.extend(r.index for r in references(arguments) if isinstance(r, Ref))
        if len(needed) == len(self.nodes):
            return self
        order = sorted(needed)
        moved = {Ref(old): Ref(new) for new, old in enumerate(order)}
        nodes = [self.nodes[index] for index in order]
        return Expression(
            tuple(Node(n.function, {k: _moved(v, moved) for k, v in n.arguments.items()}, n.path) for n in nodes),
            _moved(self.result, moved),
            self.bound,
        )

    @functools.cached_property
    def _last_uses(self) -> dict[int, list[int]]:
        last = {index: index for index in range(len(self.nodes))}
        for index, node in enumerate(self.nodes):
            for reference in references(list(node.arguments.values())):
                if isinstance(reference, Ref):
                    last[reference.index] = index
        for reference in references(self.result):
            if isinstance(reference, Ref):
                last.pop(reference.index, None)
        uses: dict[int, list[int]] = {}
        for of, at in last.items():
            uses.setdefault(at, []).append(of)
        return uses

    @functools.cached_property
    def scaling(self) -> Scaling:
        """How the program scales along the dimension of its array.

        BLOCKWISE: each result needs but its own values. TREE: reductions that can be combined, and what is
        computed from their results. SCAN: running totals and what is done value by value before and after them.
        SHUFFLE: anything that must see the whole dimension at once.
        """
        levels = [0] * len(self.nodes)  # 0: elementwise, 1: reduced
        scans = False
        for index, node in enumerate(self.nodes):
            process = declared(node.function)
            used = {self._level(r, levels) for r in references(list(node.arguments.values()))} - {None}
            if process is None or process.callbacks or len(used) > 1 or process.scaling is Scaling.SHUFFLE:
                return Scaling.SHUFFLE
            level = max((u for u in used if u is not None), default=0)
            gathers = process.scaling is Scaling.TREE and not isinstance(node.arguments.get("data"), (list, tuple))
            if gathers and level == 1:
                return Scaling.SHUFFLE
            levels[index] = 1 if gathers else level
            scans |= process.scaling is Scaling.SCAN
        found = {self._level(r, levels) for r in references(self.result)}
        if scans:
            return Scaling.SHUFFLE if 1 in levels else Scaling.SCAN
        return Scaling.TREE if 1 in found else Scaling.BLOCKWISE

    def stages(self, also: frozenset[str] = frozenset()) -> Stages:
        """What a program with scaling TREE does before, in, and after its reductions; `also` are ids of others.

        The first program makes the arguments of each reduction, and the last has their results as the parameters
        `reduced-0`, `reduced-1` …
        """
        levels = [0] * len(self.nodes)
        places: dict[Any, Any] = {}
        reductions: list[Node] = []
        for index, node in enumerate(self.nodes):
            used = {self._level(r, levels) for r in references(list(node.arguments.values()))} - {None}
            process = declared(node.function)
            gathers = process is not None and (process.scaling is Scaling.TREE or node.id in also)
            gathers = gathers and not isinstance(node.arguments.get("data"), (list, tuple)) and used != {1}
            levels[index] = 1 if gathers or 1 in used else 0
            places[Ref(index)] = Parameter(f"reduced-{len(reductions)}") if gathers else Ref(index)
            reductions += [node] if gathers else []
        before = Expression(self.nodes, [dict(node.arguments) for node in reductions], self.bound).pruned()
        moved = tuple(
            Node(n.function, {k: _moved(v, places) for k, v in n.arguments.items()}, n.path) for n in self.nodes
        )
        after = Expression(moved, _moved(self.result, places), self.bound).pruned()
        return Stages(before, tuple(reductions), after)

    def staged(self, gathering: frozenset[str]) -> bool:
        """Whether all that is not done value by value is done in processes of some ids, or with their results."""
        levels = [0] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            process = declared(node.function)
            used = {self._level(r, levels) for r in references(list(node.arguments.values()))} - {None}
            if process is None or process.callbacks or len(used) > 1:
                return False
            listed = isinstance(node.arguments.get("data"), (list, tuple))
            gathers = node.id in gathering and not listed
            apart = process.scaling is Scaling.BLOCKWISE or (listed and process.scaling is Scaling.TREE)
            if not (apart or gathers or used == {1}):
                return False
            levels[index] = 1 if used == {1} or (gathers and used) else 0
        return {self._level(r, levels) for r in references(self.result)} == {1}

    def _level(self, reference: Any, levels: list[int]) -> int | None:
        if isinstance(reference, Ref):
            return levels[reference.index]
        return None if reference.name in self.bound else 0

    def __dask_tokenize__(self) -> object:
        return normalize_token(("openeo-expression", self.nodes, self.result, dict(self.bound)))


class Stages(NamedTuple):
    """A program in three steps, the second of which can be combined from parts."""

    before: Expression
    reductions: tuple[Node, ...]
    after: Expression


def _alone(result: Any, known: Mapping[str, Any]) -> Any:
    """A result that keeps no larger array in memory, of which it is a part."""
    whole = result.base if isinstance(result, np.ndarray) else None
    part = isinstance(whole, np.ndarray) and whole.nbytes > result.nbytes
    return result.copy() if part and not any(result is value for value in known.values()) else result


def resolve(value: Any, results: Mapping[int, Any], known: Mapping[str, Any]) -> Any:
    """A value with its references replaced, inside lists and dicts too."""
    if isinstance(value, Ref):
        return results[value.index]
    if isinstance(value, Parameter):
        if value.name not in known:
            raise ProcessParameterMissing(f"parameter {value.name!r} has no value; there are {sorted(known)}")
        return known[value.name]
    if isinstance(value, Closure):
        captured = {name: resolve(inner, results, known) for name, inner in value.captures.items()}
        return value.expression.bind(**captured)
    if isinstance(value, (list, tuple)) and any(True for _ in references(value)):
        return [resolve(inner, results, known) for inner in value]
    if isinstance(value, dict) and any(True for _ in references(value)):
        return {name: resolve(inner, results, known) for name, inner in value.items()}
    return value


def references(value: Any) -> Iterator[Any]:
    """The references in a value, inside lists, dicts and closures too."""
    if isinstance(value, (Ref, Parameter)):
        yield value
    elif isinstance(value, Closure):
        yield from references(dict(value.captures))
    elif type(value) is dict:
        for inner in value.values():
            yield from references(inner)
    elif type(value) in (list, tuple):
        for inner in value:
            yield from references(inner)


def _leaves(value: Any) -> Iterator[Any]:
    """What lies in a value, inside lists, dicts and closures too."""
    if isinstance(value, dict):
        value = list(value.values())
    elif isinstance(value, Closure):
        value = [value.expression, *value.captures.values()]
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def symbolic(value: Any) -> bool:
    """Whether a value holds a symbol."""
    if isinstance(value, (list, tuple)):
        return any(map(symbolic, value))
    if isinstance(value, dict):
        return any(map(symbolic, value.values()))
    if isinstance(value, Closure):
        return symbolic(dict(value.captures))
    return isinstance(value, Symbol)


def from_symbol(root: Any) -> Expression:
    """The program that a traced result stands for, without recursion along its chain."""
    nodes: list[Node] = []
    places: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        value = waiting[-1]
        missing = [s for s in _symbols_of(value) if id(s) not in places]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        if isinstance(value, Symbol) and id(value) not in places:
            if value.function is None:
                places[id(value)] = Parameter(str(value.name))
            else:
                nodes.append(Node(value.function, {k: _placed(v, places) for k, v in value.arguments.items()}))
                places[id(value)] = Ref(len(nodes) - 1)
    return Expression(tuple(nodes), _placed(root, places))


def _symbols_of(value: Any) -> list[Symbol]:
    """The symbols that must be placed before this value: a symbol's inputs, or those in a container."""
    return _inside(list(value.arguments.values()) if isinstance(value, Symbol) else value)


def _inside(value: Any) -> list[Symbol]:
    if isinstance(value, Symbol):
        return [value]
    if isinstance(value, Closure):
        return _inside(dict(value.captures))
    if isinstance(value, dict):
        return [s for inner in value.values() for s in _inside(inner)]
    if isinstance(value, (list, tuple)):
        return [s for inner in value for s in _inside(inner)]
    return []


def _placed(value: Any, places: Mapping[int, Any]) -> Any:
    if isinstance(value, Symbol):
        return places[id(value)]
    if isinstance(value, Closure):
        return Closure(value.expression, {k: _placed(v, places) for k, v in value.captures.items()})
    if isinstance(value, dict):
        return {k: _placed(v, places) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_placed(v, places) for v in value]
    return value


def _moved(value: Any, moved: Mapping[Ref, Any]) -> Any:
    if isinstance(value, Ref):
        return moved[value]
    if isinstance(value, Closure):
        return Closure(value.expression, {k: _moved(v, moved) for k, v in value.captures.items()})
    if isinstance(value, dict):
        return {k: _moved(v, moved) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_moved(v, moved) for v in value]
    return value
