"""Both ends of a child-process call: a parent traces what its child does, a child records it."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from openeo_processes_dask import aliases
from openeo_processes_dask.arguments import plain
from openeo_processes_dask.declare import DECLARED, Process, declared
from openeo_processes_dask.exceptions import (
    ProcessParameterInvalid,
    ProcessParameterMissing,
    ProcessParameterUnsupported,
    shown,
)
from openeo_processes_dask.expressions import (
    Closure,
    Expression,
    Node,
    Parameter,
    Ref,
    Symbol,
    from_symbol,
    symbolic,
)
from openeo_processes_dask.graphs import child
from openeo_processes_dask.vocabulary import Scaling

logger = logging.getLogger(__name__)

_DROPPED = frozenset({"axis", "keepdims", "source_transposed_axis", "context", "dim_labels"})


def trace(callback: Any, *names: str, context: Any = None) -> Expression:
    """What a child process does with values of the given names, as an expression.

    The callback may be an expression, a process graph in JSON, a declared process or its id, what the public
    parser makes of a child process, or any other function, which then is one node.

    Raises
    ------
    ProcessParameterInvalid
        If it is none of these.
    """
    if isinstance(callback, Expression):
        return callback.bind(context=context)
    if isinstance(callback, Mapping):
        return child(callback, (*names, "context")).bind(context=context)
    process = _named(callback) if isinstance(callback, str) else declared(callback)
    if process:
        return _single(process.function, list(process.parameters), names).bind(context=context)
    if not callable(callback):
        raise ProcessParameterInvalid(f"a child process is needed, not {shown(callback)}")
    if not speaks_openeo(callback):
        return _foreign(callback, names).bind(context=context)
    symbols = [Symbol(name) for name in names]
    positions = {name: i for i, name in enumerate(names)}
    result = callback(*symbols, positional_parameters=positions, named_parameters={"context": context})
    return from_symbol(result).bind(context=context)


def is_child(value: Any) -> bool:
    """Whether a value can be a child process, as far as can be seen without reading it."""
    if isinstance(value, str):
        return _named(value) is not None
    return isinstance(value, (Expression, Mapping)) or callable(value)


def local(expression: Expression, along: Sequence[str]) -> bool:
    """Whether what a child process makes of the pixels of a cube needs but the values of each along some dimensions.

    So it is where our own processes run on each value, or on rows of one of these dimensions; code of users is not
    looked into, nor is what meets other cubes.
    """
    alone = all(np.ndim(constant) == 0 for constant in expression.constants())
    return alone and all(_local(node, along) for node in expression.nodes)


def _local(node: Node, along: Sequence[str]) -> bool:
    known = declared(node.function)
    if known is None or node.id not in ("apply", "apply_dimension"):
        return _on_values(known)
    inner = node.arguments["process"]
    if isinstance(inner, (Closure, Parameter, Ref)):  # which may use values of its parent
        return False
    run = [declared(n.function) for n in trace(inner, *known.callbacks["process"]).nodes]
    if node.id == "apply":
        return all(map(_on_values, run))
    return node.arguments["dimension"] in along and not any(p is None or p.callbacks or _on_cubes(p) for p in run)


def _on_values(known: Process | None) -> bool:
    """Whether a process is one of ours that is done value by value."""
    if known is None or _on_cubes(known):
        return False
    return known.scaling is Scaling.BLOCKWISE and not (known.callbacks or known.engine)


def _on_cubes(known: Process) -> bool:
    return "cubes" in known.categories


def _named(process_id: str) -> Process | None:
    process_id = process_id.strip("_")
    return DECLARED.get(aliases.PROCESSES.get(process_id, process_id))


def process(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a process callable by the public parser: resolve references, record on symbols, run on values."""
    known = declared(function) or Process(function.__name__.strip("_"), function, (), None)  # type: ignore[arg-type]
    run = known.function
    accepted = frozenset(known.signature.parameters)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.signature.parameters.values())

    @functools.wraps(function)
    def call(
        *args: Any,
        positional_parameters: Mapping[str, int | slice] | None = None,
        named_parameters: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        named = dict(named_parameters or {})
        named.update({name: args[where] for name, where in (positional_parameters or {}).items()})
        forwarded = [_resolved(a, named, known.id) for a in args if _is_reference(a)]
        arguments = {}
        for name, value in aliases.arguments(known.id, kwargs).items():
            if name in accepted or open_ended:
                arguments[name] = plain(_resolved(value, named, known.id))
            elif name not in _DROPPED:
                raise ProcessParameterUnsupported(
                    f"process {known.id!r} has no parameter {name!r}; it has {list(known.parameters)}"
                )
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("process %s with %s", known.id, {k: repr(v)[:80] for k, v in arguments.items()})
        if named and declared(run):  # else there is nothing of a parent that a child process could use
            arguments |= _children(known, arguments, named)
        if symbolic(forwarded) or symbolic(arguments):
            return Symbol(function=run, arguments={**dict(zip(known.parameters, forwarded, strict=False)), **arguments})
        return run(*forwarded, **arguments)

    call.__openeo_child__ = True  # type: ignore[attr-defined]
    return call


def _children(process: Process, arguments: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The child processes among arguments, traced, for they may use the parameters of their parent."""
    return {
        name: _traced_inside(arguments[name], names, named)
        for name, names in process.callbacks.items()
        if callable(arguments.get(name)) and not isinstance(arguments[name], (Expression, Symbol))
    }


def _traced_inside(
    callback: Callable[..., Any], names: Sequence[str], named: Mapping[str, Any]
) -> Expression | Closure:
    """A nested child process; the symbols of its parent are captured."""
    outer = {name: value for name, value in named.items() if name not in (*names, "context")}
    if not speaks_openeo(callback):
        return trace(callback, *names)
    symbols = [Symbol(name) for name in names]
    placeholders = {name: Symbol(name) if symbolic(value) else value for name, value in outer.items()}
    result = callback(
        *symbols,
        positional_parameters={name: i for i, name in enumerate(names)},
        named_parameters={**placeholders, "context": Symbol("context")},
    )
    captures = {name: value for name, value in outer.items() if symbolic(value)}
    expression = from_symbol(result)
    return Closure(expression, captures) if captures else expression


def _single(function: Callable[..., Any], parameters: Sequence[str], names: Sequence[str]) -> Expression:
    """One call whose first parameters get the values in their order."""
    if declared(function) and len(names) > 1 and parameters and parameters[0] == "data":
        arguments: dict[str, Any] = {"data": [Parameter(name) for name in names]}  # a reducer of two values
    else:
        arguments = {p: Parameter(name) for p, name in zip(parameters, names, strict=False)}
    return Expression((Node(function, arguments),), Ref(0))


def _foreign(function: Callable[..., Any], names: Sequence[str]) -> Expression:
    """One call of a function that is not ours, which gets the values in their order, and the context by name."""
    arguments = {f"*{i}": Parameter(name) for i, name in enumerate(names)}
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled functions without a signature
        known = []
    else:
        known = list(signature.parameters)
        try:
            signature.bind_partial(*names)
        except TypeError:
            what = f"{shown(function)} takes {signature}, and not the values {', '.join(names)}"
            raise ProcessParameterInvalid(f"a child process is needed: {what}") from None
    if "context" in known[len(names) :]:
        arguments["context"] = Parameter("context")
    return Expression((Node(function, arguments),), Ref(0))


def speaks_openeo(callback: Callable[..., Any]) -> bool:
    """Whether a callable takes the parameters that the public parser's child processes take."""
    inner = callback
    while isinstance(inner, functools.partial):
        inner = inner.func
    if getattr(inner, "__openeo_child__", False):
        return True
    try:
        parameters = inspect.signature(inner, follow_wrapped=False).parameters
    except (TypeError, ValueError):  # compiled functions without a signature
        return False
    return bool({"positional_parameters", "parent_callables"} & set(parameters))


def _is_reference(value: Any) -> bool:
    return type(value).__name__ == "ParameterReference" and hasattr(value, "from_parameter")


def _resolved(value: Any, named: Mapping[str, Any], process_id: str) -> Any:
    """A value with the parser's references to parameters replaced, inside lists and dicts too."""
    if _is_reference(value):
        if value.from_parameter not in named:
            raise ProcessParameterMissing(
                f"process {process_id!r} refers to parameter {value.from_parameter!r}; there are {sorted(named)}"
            )
        return named[value.from_parameter]
    if type(value) is list:
        return [_resolved(v, named, process_id) for v in value]
    if type(value) is dict:
        return {k: _resolved(v, named, process_id) for k, v in value.items()}
    return value
