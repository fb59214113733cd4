"""Suite: a benchmark says what it measures and builds it; how that is measured is said here, once."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import itertools
import os
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import distributed
import numpy as np
import xarray as xr
from asv_runner.benchmarks.mark import SkipNotImplemented

from openeo_processes_dask.declare import DECLARED, declared
from openeo_processes_dask.vocabulary import Scaling

from . import inputs, metrics, target
from .measures import MEASURES
from .scenes import synthetic

GRAPHS = ("tasks", "edges", "critical_path", "width", "graph_bytes")
TIMED = {"build_seconds": "time_build", "compute_seconds": "time_compute"}  # which asv repeats by itself


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
        "default": Size((24, 4, 256, 256), (6, 4, 128, 128)),  # 25 MB in 16 chunks
        "smallest": Size((6, 4, 32, 32), (3, 4, 16, 16)),
    }

    # To asv: one call is one sample.
    timeout = 120.0
    rounds = 1
    number = 1
    repeat = (2, 4, 0.5)
    warmup_time = 0.0  # what runs before anything is timed is in `hold`
    method = 2  # raised whenever something is measured in another way, so that old numbers are not compared with new

    current: ClassVar[Suite]  # which asv has set up last

    def __init__(self) -> None:
        self.size = os.environ.get(target.SIZE, "default")
        self.prepare: inputs.Preparation = metrics.in_memory
        self.cube: xr.DataArray
        self.client: distributed.Client
        self.small: Any = None
        self.warm = False
        # asv's fork server makes suites before it forks, so that none of its many processes need do this again.
        _first_graph()

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
        Suite.current = self
        self.draw(*params)

    def time_build(self, *params: Any) -> None:
        self.skip_unless_lazy()
        self.build(*params)

    time_build.warmup_time = 0.001  # type: ignore[attr-defined]

    def time_compute(self, *params: Any) -> None:
        self.work(*params)

    # asv calls a function's own setup after the class's, and without `self`.
    time_compute.setup = lambda *params: Suite.current.hold_warm(*params)  # type: ignore[attr-defined]

    @property
    def version(self) -> str:
        """Another one for asv when what this suite builds has changed: numbers before are then not compared."""
        return _version(type(self))

    def tracked(self, measure: str, *params: Any) -> float:
        """One number of a case; those that need a run come of the same run for all that ask in one run of asv."""
        if measure in GRAPHS:
            self.skip_unless_lazy()
            return metrics.once(self._name(params, "graph"), lambda: self.counts(*params))[measure]
        return metrics.once(self._name(params, "run"), lambda: self._costs(*params))[measure]

    # --- what the command line and the tests call

    def draw(self, *params: Any) -> None:
        """Make inputs that can be built on and counted, and not computed: they need no cluster."""
        self.prepare = metrics.in_memory
        self.inputs(*params)

    def hold(self, *params: Any) -> None:
        """Make inputs in the memory of the target's workers, and build what is to be computed of them."""
        self.client = target.connect()
        self.prepare = _holder()
        self.inputs(*params)
        self.small = inputs.on_workers(self.build(*params)) if self.lazy() else None

    def hold_warm(self, *params: Any) -> None:
        """The same after a first run in this process, which may import and compile on the workers and is not timed."""
        if not self.warm:
            self.run(*params)
            self.warm = True
        self.hold(*params)

    def graph(self, *params: Any) -> metrics.Graph:
        """Exact counts of what is built, without a cluster and without computing anything."""
        self.draw(*params)
        return metrics.graph_of(self.build(*params))

    def counts(self, *params: Any) -> dict[str, int]:
        """The exact counts by their names in `measures`, and what was computed in this process for them."""
        self.draw(*params)
        with metrics.run_locally():  # what an eager process computes of blank blocks stays here
            with metrics.Tally() as building:
                built = self.build(*params)
            graph = metrics.graph_of(built)
        return {**graph.counts(), "eager_tasks": building.tasks}

    def work(self, *params: Any) -> None:
        """Compute what `hold` has built; a process that needs values at once does all of its work in `build`."""
        if self.small is None:
            self.build(*params)
        else:
            self.client.compute(self.small).result(timeout=self.timeout)

    def run(self, *params: Any) -> metrics.Run:
        """Work once on the cluster and say what it cost."""
        self.hold(*params)
        return metrics.measure(self.client, lambda: self.build(*params), lambda: self.work(*params))

    def _costs(self, *params: Any) -> dict[str, float]:
        """The costs of two runs: the first one's time on these workers, and all of the second."""
        cold = self.run(*params).compute_seconds
        return {**self.run(*params).costs(), "cold_seconds": cold}

    def _name(self, params: Sequence[Any], what: str) -> str:
        return f"{type(self).__module__}.{type(self).__name__}{tuple(params)} {what} {target.local_code().hash}"

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
        self.agree(built, np.asarray(self.expected(*params)))

    @staticmethod
    def agree(built: np.ndarray, wanted: np.ndarray) -> None:
        """Compare two results, but for rounding.

        Raises
        ------
        AssertionError
            If they differ.
        """
        assert built.shape == wanted.shape, f"shapes {built.shape} and {wanted.shape} mismatch"
        largest = np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0.0)
        np.testing.assert_allclose(built, wanted, rtol=1e-5, atol=1e-6 * float(largest), equal_nan=True)

    @classmethod
    def ids(cls) -> list[str]:
        """The ids of the processes that this suite measures."""
        found = [(process := declared(m)) and process.id if callable(m) else m for m in cls.measures]
        unknown = [m for m, id_ in zip(cls.measures, found, strict=True) if id_ not in DECLARED]
        if unknown:
            raise TypeError(f"{cls.__name__} measures {unknown}, which no process was declared as")
        return [str(id_) for id_ in found]

    @classmethod
    def lazy(cls) -> bool:
        """Whether there is a graph to measure: none of the processes says that it needs values at once."""
        return all(DECLARED[id_].scaling is not Scaling.EAGER for id_ in cls.ids())

    @classmethod
    def skip_unless_lazy(cls) -> None:
        """Tell asv that there is no such number."""
        if not cls.lazy():
            raise SkipNotImplemented(f"{cls.__name__} builds no graph")

    @classmethod
    def cases(cls) -> list[tuple[Any, ...]]:
        """The combinations of parameters, as asv makes them."""
        params = cls.params if cls.params and isinstance(cls.params[0], (list, tuple)) else [cls.params]
        return list(itertools.product(*params)) if cls.params else [()]


def asv_name(measure: str) -> str:
    """The name of the method by which asv knows a measure."""
    return TIMED.get(measure, f"track_{measure}")


def _tracker(measure: str) -> Callable[..., float]:
    def track(self: Suite, *params: Any) -> float:
        return self.tracked(measure, *params)

    track.__name__ = track.pretty_name = asv_name(measure)  # type: ignore[attr-defined]
    track.unit = MEASURES[measure].unit  # type: ignore[attr-defined]
    return track


for _measure in MEASURES:
    if _measure not in TIMED:
        setattr(Suite, asv_name(_measure), _tracker(_measure))


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


class Calls(Family):
    """Processes on single values, such as a text: what a thousand calls cost. There is no graph to measure."""

    calls = 1000

    @property
    @abstractmethod
    def examples(self) -> dict[str, tuple[tuple[Any, ...], Any]]:
        """By process: arguments, and what must come of them. A suite has them as an attribute of the class."""

    def __init_subclass__(cls, **options: Any) -> None:
        cls.measures = tuple(vars(cls)["examples"])
        super().__init_subclass__(**options)

    def inputs(self, process: str) -> None:
        self.call = functools.partial(self.process(process), *self.examples[process][0])

    def build(self, process: str) -> None:
        call = self.call
        for _ in range(self.calls):
            call()

    def check(self, process: str) -> None:
        np.testing.assert_equal(self.process(process)(*self.examples[process][0]), self.examples[process][1])

    def hold(self, process: str) -> None:
        raise SkipNotImplemented(f"{type(self).__name__} computes nothing on workers")

    @classmethod
    def lazy(cls) -> bool:
        return False

    def time_build(self, process: str) -> None:
        self.build(process)


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


@functools.cache
def _version(suite: type[Suite]) -> str:
    sources = [inspect.getsource(c) for c in suite.__mro__ if issubclass(c, Suite) and c is not Suite]
    return hashlib.sha256("\n".join([*sources, str(suite.method)]).encode()).hexdigest()[:16]


@functools.cache
def _first_graph() -> metrics.Graph:
    """The first of a process: it imports what is imported late, and looks up the cube's reference system."""
    return metrics.graph_of(metrics.in_memory(synthetic((1, 1, 1, 1), (1, 1, 1, 1))) + 1)


def _lazy(cube: xr.DataArray) -> xr.DataArray:
    return cube


def forget_inputs() -> None:
    """Let the inputs of this process go: they may have been lost with what went wrong."""
    _HELD.clear()


_HELD: dict[int, inputs.Held] = {}


def _holder() -> inputs.Held:
    """What holds the inputs of this process, as long as its client lives."""
    client = target.connect()
    if id(client) not in _HELD:
        _HELD.clear()
        _HELD[id(client)] = inputs.Held(client)
    return _HELD[id(client)]
