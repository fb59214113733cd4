"""Suite: a benchmark says what it measures and builds it; how that is measured is said here, once."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import itertools
import os
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import xarray as xr

from openeo_processes_dask.declare import DECLARED, declared
from openeo_processes_dask.vocabulary import Scaling

from . import inputs, metrics, target
from .scenes import synthetic


class Size(NamedTuple):
    """Shape and chunks of a suite's cube: dates, bands, rows, columns."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]


class Suite(ABC):
    """What asv, pytest and the command line measure: a suite writes `measures` and `build()`.

    `self.cube` is the input. Its blocks lie in the workers' memory before anything is timed, so that the process and
    not the source is the subject. What is built is brought down to one number on the workers, so that carrying it
    here is not measured either.
    """

    measures: ClassVar[Sequence[Callable[..., Any] | str]] = ()
    params: ClassVar[Sequence[Any]] = ()
    param_names: ClassVar[Sequence[str]] = ()
    sizes: ClassVar[dict[str, Size]] = {
        "default": Size((24, 4, 384, 384), (6, 4, 192, 192)),  # 57 MB in 16 chunks
        "smallest": Size((6, 4, 32, 32), (3, 4, 16, 16)),
    }

    # To asv: one call is one sample; the first, which may import and compile on the workers, is not counted.
    timeout = 120.0
    rounds = 1
    number = 1
    repeat = (2, 5, 0.5)
    warmup_time = 0.001
    method = 1  # raised whenever something is measured in another way, so that old numbers are not compared with new

    def __init__(self) -> None:
        self.size = os.environ.get(target.SIZE, "default")
        self.prepare: inputs.Preparation = metrics.in_memory
        self.cube: xr.DataArray

    # --- what a suite writes

    @abstractmethod
    def build(self, *params: Any) -> Any:
        """The lazy result of the processes that are measured, from `self.cube`."""

    def inputs(self, *params: Any) -> None:
        """Make the inputs; a suite that needs more than `self.cube` says so here."""
        self.cube = self.input()

    def expected(self, *params: Any) -> Any:
        """What `build` must give, computed in another way from inputs that are plain numpy.

        Unless a suite says it better, the process itself without dask.
        """
        return self.build(*params)

    # --- what a suite uses

    def input(self, shape: Sequence[int] = (), chunks: Sequence[int] = (), **options: Any) -> xr.DataArray:
        """A synthetic cube, by default of the suite's size, prepared for what is being measured."""
        size = self.sizes[self.size]
        return self.prepare(synthetic(shape or size.shape, chunks or size.chunks, salt=inputs.salt(), **options))

    # --- what asv calls

    def setup(self, *params: Any) -> None:
        self.client = target.connect()
        self.prepare = _holder()
        self.inputs(*params)
        self.small = inputs.on_workers(self.build(*params))

    def time_build(self, *params: Any) -> None:
        self.build(*params)

    def time_compute(self, *params: Any) -> None:
        self.client.compute(self.small).result(timeout=self.timeout)

    def track_tasks(self, *params: Any) -> float:
        return self.graph(*params).tasks

    def track_graph_bytes(self, *params: Any) -> float:
        return self.graph(*params).bytes

    def track_eager_tasks(self, *params: Any) -> float:
        with metrics.Tally(self.client) as tally:
            self.build(*params)
        return tally.tasks

    def track_bytes_moved(self, *params: Any) -> float:
        return self.run().bytes_moved

    def track_peak_worker_memory(self, *params: Any) -> float:
        return self.run().peak_worker_memory

    track_tasks.unit = "tasks"  # type: ignore[attr-defined]
    track_graph_bytes.unit = "bytes"  # type: ignore[attr-defined]
    track_eager_tasks.unit = "tasks"  # type: ignore[attr-defined]
    track_bytes_moved.unit = "bytes"  # type: ignore[attr-defined]
    track_peak_worker_memory.unit = "bytes"  # type: ignore[attr-defined]

    @property
    def version(self) -> str:
        """Another one for asv when what this suite builds has changed: numbers before are then not compared."""
        sources = [inspect.getsource(c) for c in type(self).__mro__ if issubclass(c, Suite) and c is not Suite]
        return hashlib.sha256("\n".join([*sources, str(self.method)]).encode()).hexdigest()[:16]

    # --- what the command line and the tests call

    def graph(self, *params: Any) -> metrics.Graph:
        """Exact counts of what is built, without a cluster and without computing anything."""
        self.prepare = metrics.in_memory
        self.inputs(*params)
        return metrics.graph_of(self.build(*params))

    def run(self) -> metrics.Run:
        """Compute once on the cluster, after `setup`, and say what it cost."""
        return metrics.measure(self.client, self.small)

    def check(self, *params: Any) -> None:
        """Compare what is built, computed in this process, with what is expected.

        Raises
        ------
        AssertionError
            If they differ.
        """
        self.prepare = _lazy
        self.inputs(*params)
        built = np.asarray(inputs.loaded(self.build(*params)))
        self.prepare = inputs.loaded
        self.inputs(*params)
        wanted = np.asarray(self.expected(*params))
        largest = np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0.0)
        np.testing.assert_allclose(built, wanted, rtol=1e-4, atol=1e-6 * float(largest), equal_nan=True)

    @classmethod
    def ids(cls) -> list[str]:
        """The ids of the processes that this suite measures."""
        found = [(process := declared(m)) and process.id if callable(m) else m for m in cls.measures]
        unknown = [m for m, id_ in zip(cls.measures, found, strict=True) if id_ not in DECLARED]
        if unknown:
            raise TypeError(f"{cls.__name__} measures {unknown}, which no process was declared as")
        return [str(id_) for id_ in found]

    @classmethod
    def eager(cls) -> bool:
        """Whether one of the processes says that it needs values at once."""
        return any(DECLARED[id_].scaling is Scaling.EAGER for id_ in cls.ids())

    @classmethod
    def cases(cls) -> list[tuple[Any, ...]]:
        """The combinations of parameters, as asv makes them."""
        params = cls.params if cls.params and isinstance(cls.params[0], (list, tuple)) else [cls.params]
        return list(itertools.product(*params)) if cls.params else [()]


class Family(Suite):
    """Processes that look alike: each is a value of the parameter `process`."""

    param_names = ("process",)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.measures:
            cls.params = [cls.ids()]

    @staticmethod
    def process(id_: str) -> Callable[..., Any]:
        """The function of a process."""
        return DECLARED[id_].function


def suites() -> dict[str, type[Suite]]:
    """All suites by the name that asv gives them: their module within benchmarks, and their class."""
    return {f"{module}.{cls.__name__}": cls for module, cls in _classes()}


def _classes() -> Iterator[tuple[str, type[Suite]]]:
    package = importlib.import_module(__package__)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for cls in vars(module).values():
            own = inspect.isclass(cls) and cls.__module__ == found.name
            if own and issubclass(cls, Suite) and not inspect.isabstract(cls):
                yield found.name.removeprefix(f"{package.__name__}."), cls


def _lazy(cube: xr.DataArray) -> xr.DataArray:
    return cube


_HELD: dict[int, inputs.Held] = {}


def _holder() -> inputs.Held:
    """What holds the inputs of this process, as long as its client lives."""
    client = target.connect()
    if id(client) not in _HELD:
        _HELD.clear()
        _HELD[id(client)] = inputs.Held(client)
    return _HELD[id(client)]
