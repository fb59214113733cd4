"""A process is stated once: `@declare` registers a plain function and returns it unchanged."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from openeo_processes_dask.vocabulary import Scaling, Schema

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Process:
    """A declared process: the function and what its declaration says of it."""

    id: str
    function: Callable[..., Any]
    categories: tuple[str, ...]
    scaling: Scaling
    experimental: bool = False
    keeps_labels: bool = False

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The function's signature."""
        return inspect.signature(self.function)

    @functools.cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters of the specification: those left of the `*`."""
        return {n: p for n, p in self.signature.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}

    @functools.cached_property
    def engine(self) -> frozenset[str]:
        """The names right of the `*`: what the engine may say, such as `axis`."""
        return frozenset(n for n, p in self.signature.parameters.items() if p.kind is p.KEYWORD_ONLY)

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """The names of the parameters that must be given."""
        return frozenset(n for n, p in self.parameters.items() if p.default is p.empty)

    @functools.cached_property
    def schemas(self) -> dict[str, Schema]:
        """The schema of each parameter, and of the result as `return`."""
        hints = get_type_hints(self.function, include_extras=True)
        return {name: _schema(self.id, name, hints.get(name)) for name in (*self.parameters, "return")}

    @functools.cached_property
    def callbacks(self) -> dict[str, tuple[str, ...]]:
        """For each parameter that takes a child process: the names of the values which that receives."""
        return {name: schema.callback for name, schema in self.schemas.items() if schema.callback}


DECLARED: dict[str, Process] = {}
_BY_FUNCTION: dict[Callable[..., Any], Process] = {}


def declare(
    *categories: str, scaling: Scaling, experimental: bool = False, keeps_labels: bool = False
) -> Callable[[Function], Function]:
    """Register a function as the openEO process of its name, without trailing underscores.

    Parameters left of the `*` are the process's own; parameters right of it belong to the engine. `keeps_labels` says
    that the elements of an array stay where they are, as they do in everything that is computed value by value.

    Raises
    ------
    TypeError
        If a process with this id has been declared before.
    """

    def register(function: Function) -> Function:
        process = Process(function.__name__.strip("_"), function, categories, scaling, experimental, keeps_labels)
        if process.id in DECLARED:
            first = DECLARED[process.id].function
            raise TypeError(
                f"process {process.id!r} of {function.__module__} was declared before, in {first.__module__}"
            )
        DECLARED[process.id] = process
        _BY_FUNCTION[function] = process
        return function

    return register


def alias(function: Callable[..., Any], process: Process) -> None:
    """Let a function count as that of a declared process, of which it is another name."""
    _BY_FUNCTION[function] = process


def declared(function: Any) -> Process | None:
    """The process that a function was declared as, if it was."""
    try:
        return _BY_FUNCTION.get(function)
    except TypeError:  # not hashable, so not a function of ours
        return None


def _schema(process_id: str, name: str, hint: Any) -> Schema:
    for part in get_args(hint) if get_origin(hint) is Annotated else ():
        if isinstance(part, Schema):
            return part
    raise TypeError(f"{process_id}: {name!r} is not annotated with a type of the vocabulary")
