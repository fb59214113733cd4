"""Lets the suites of this project run on another implementation of the same name: their imports get stand-ins.

Suites call processes as functions of this project. Another implementation declares nothing, and takes child processes
as the public parser hands them over. In a process that has that one installed, the modules that suites import are made
up: each process is a stand-in, which hands its arguments over by name, as the parser would, once it is called.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

NAME = "openeo_processes_dask"
Catalogue = Mapping[str, Mapping[str, Any]]  # by id of a process: what the caller's declaration says of it


class Lacking(NotImplementedError):
    """The other implementation has no such process."""


def catalogue() -> dict[str, dict[str, Any]]:
    """What a stand-in has to know of each process that is declared here."""
    import openeo_processes_dask.process_implementations  # noqa: F401  (declares them)
    from openeo_processes_dask.declare import DECLARED

    return {
        id_: {
            "parameters": list(process.parameters),
            "callbacks": {name: list(values) for name, values in process.callbacks.items()},
            "scaling": process.scaling.name,
        }
        for id_, process in DECLARED.items()
    }


def is_needed() -> bool:
    """Whether the implementation that is installed is another one."""
    return importlib.util.find_spec(f"{NAME}.declare") is None


def suite_modules(known: Catalogue, names: Sequence[str]) -> dict[str, ModuleType | ImportError]:
    """Import modules of suites on stand-ins for the implementation that is installed."""
    peer = _Peer(known)
    own = _take_out()
    finder = _Finder(peer, known)
    sys.meta_path.insert(0, finder)
    try:
        return {name: _imported(name) for name in names}
    finally:
        sys.meta_path.remove(finder)
        _take_out()
        sys.modules.update(own)


def _imported(name: str) -> ModuleType | ImportError:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        return error


def _take_out() -> dict[str, ModuleType]:
    taken = {name: module for name, module in sys.modules.items() if name == NAME or name.startswith(f"{NAME}.")}
    for name in taken:
        del sys.modules[name]
    return taken


class _Peer:
    """The processes of the other implementation, as its documentation says that they are handed to the parser."""

    def __init__(self, known: Catalogue):
        from openeo_pg_parser_networkx import ProcessRegistry
        from openeo_pg_parser_networkx.process_registry import Process

        core = importlib.import_module(f"{NAME}.process_implementations.core")
        specs = importlib.import_module(f"{NAME}.specs")
        self.known = known
        self.functions: dict[str, Callable[..., Any]] = {}
        self.registry = ProcessRegistry(wrap_funcs=[core.process])
        for function in (*core.standard_processes, *_left_out(str(core.__file__))):
            id_ = function.__name__.strip("_")
            spec = getattr(specs, id_, None) or getattr(specs, f"_{id_}", None)
            if isinstance(spec, dict) and id_ not in self.functions:
                self.functions[id_] = function
                self.registry[id_] = Process(spec=spec, implementation=function)

    def call(self, id_: str, *given: Any, **named: Any) -> Any:
        """Call a process with what a suite has given, by the names of the specification."""
        if id_ not in self.functions:
            raise Lacking(f"there is no process {id_!r}")
        says = self.known[id_]
        arguments = {**dict(zip(says["parameters"], given, strict=False)), **named}
        callbacks = says["callbacks"]
        ready = {n: self.child(v, callbacks[n]) if n in callbacks else v for n, v in arguments.items() if v is not None}
        return self.registry[id_].implementation(**ready)

    def plain(self, id_: str, *given: Any) -> Callable[[], Any]:
        """The function of a process with its arguments and nothing around it, as short calls of ours have nothing."""
        if id_ not in self.functions:
            raise Lacking(f"there is no process {id_!r}")
        return functools.partial(self.functions[id_], **dict(zip(self.known[id_]["parameters"], given, strict=False)))

    def child(self, process: Any, values: Sequence[str]) -> Any:
        """A child process as the parser makes it: of an id, of a process graph, of a function of values."""
        from openeo_pg_parser_networkx import OpenEOProcessGraph

        if isinstance(process, StandIn):
            process = process.id
        if isinstance(process, str):
            process = {"process_graph": {"only": self._node(process, values)}}
        if isinstance(process, Mapping):
            return OpenEOProcessGraph(pg_data=dict(process)).to_callable(self.registry)

        def function(*given: Any, **ignored: Any) -> Any:
            return process(*given)

        return function

    def _node(self, id_: str, values: Sequence[str]) -> dict[str, Any]:
        if id_ not in self.functions:
            raise Lacking(f"there is no process {id_!r}")
        takes = inspect.signature(self.functions[id_]).parameters
        arguments = {value: {"from_parameter": value} for value in values if value in takes and value != "context"}
        return {"process_id": id_, "arguments": arguments, "result": True}


def _left_out(core: str) -> Iterator[Callable[..., Any]]:
    """Processes that modules list and the registry misses.

    They are not imported, hidden by another name, or left out with their family for one optional library that is not
    there.
    """
    folder = pathlib.Path(core).parent
    for path in sorted([*folder.glob("[a-z]*.py"), *folder.glob("ml/[a-z]*.py")]):
        name = ".".join([NAME, *path.relative_to(folder.parent).with_suffix("").parts])
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules.get(name) or importlib.util.module_from_spec(spec)
        with contextlib.suppress(ImportError):
            if name not in sys.modules:
                spec.loader.exec_module(module)
            yield from (found for name in getattr(module, "__all__", ()) if callable(found := getattr(module, name)))


class StandIn:
    """A process of the other implementation, to be called as one of ours."""

    def __init__(self, id_: str, peer: _Peer, says: Mapping[str, Any]):
        self.id = id_
        self.peer = peer
        self.function = self  # as a declared process has it
        self.scaling = says["scaling"]

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.peer.call(self.id, *given, **named)

    def plain(self, *given: Any) -> Callable[[], Any]:
        """The other implementation's own function with its arguments, to be called very often."""
        return self.peer.plain(self.id, *given)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes modules up under the name of the package."""

    def __init__(self, peer: _Peer, known: Catalogue):
        self.processes = {id_: StandIn(id_, peer, says) for id_, says in known.items()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != NAME:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__path__ = []
        if spec.name == f"{NAME}.declare":
            module.__dict__.update(DECLARED=self.processes, declared=_declared)
        elif spec.name == f"{NAME}.vocabulary":
            scalings = sorted({process.scaling for process in self.processes.values()} | {"EAGER"})
            scaling = Enum("Scaling", {name: name for name in scalings})  # type: ignore[misc]
            for process in self.processes.values():
                process.scaling = scaling[process.scaling]
            module.__dict__.update(Scaling=scaling)
        else:
            module.__dict__["__getattr__"] = self.attribute
        return module

    def exec_module(self, module: ModuleType) -> None: ...

    def attribute(self, name: str) -> Any:
        """A process by the name of its function; other names may be those of modules."""
        if name.strip("_") in self.processes and not name.startswith("__"):
            return self.processes[name.strip("_")]
        raise AttributeError(name)


def _declared(process: Any) -> Any:
    return process if isinstance(process, StandIn) else SimpleNamespace(id=None)
