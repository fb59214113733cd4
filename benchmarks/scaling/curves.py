"""What a record of a sweep says: times, speed-ups and efficiencies by number of threads."""

from __future__ import annotations

import functools
import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from . import fit
from .crew import staircase
from .subjects import WEAK

REJECTED = "rejected: "  # a flag that begins so leaves nothing to conclude


@dataclass(frozen=True)
class Point:
    """One run."""

    threads: int
    workers: int
    restricted: bool  # to a part of the workers; else the scheduler chose among all
    round: int
    probe: str  # "first", "last": to see drift; "" if it belongs to the curve
    bytes: int  # of the inputs
    chunks: int
    samples: dict[str, float]  # by names of `measures.MEASURES`
    flags: dict[str, str] = field(default_factory=dict)


class Curve:
    """A sweep, read from its record."""

    def __init__(self, record: dict[str, Any]):
        self.record = record
        self.points = [Point(**point) for point in record["points"]]

    # --- what it is

    @property
    def title(self) -> str:
        return str(self.record["settings"]["title"])

    @property
    def mode(self) -> str:
        return str(self.record["settings"]["mode"])

    @property
    def label(self) -> str:
        return str(self.record["target"]["label"])

    @property
    def error(self) -> str | None:
        """Why it ended early."""
        found = self.record["error"]
        return None if found is None else str(found)

    @property
    def flags(self) -> dict[str, str]:
        return dict(self.record["flags"])

    @property
    def rejected(self) -> bool:
        """Whether nothing should be concluded from it."""
        return any(says.startswith(REJECTED) for says in self.flags.values())

    # --- what was measured

    def of(self, measure: str, restricted: bool = True) -> dict[int, list[float]]:
        """All values of a measure by number of threads, those of probes left out."""
        found: dict[int, list[float]] = defaultdict(list)
        for point in self.points:
            value = point.samples.get(measure)
            if point.restricted == restricted and not point.probe and value is not None and math.isfinite(value):
                found[point.threads].append(value)
        return dict(sorted(found.items()))

    def chunks(self) -> dict[int, int]:
        """By number of threads."""
        return {point.threads: point.chunks for point in self.points if point.restricted}

    @functools.cached_property
    def seconds(self) -> dict[int, list[float]]:
        """Of the work that one unit of threads has: a weak sweep's times are those of more work."""
        times = self.of("compute_seconds")
        if self.mode != WEAK:
            return times
        return {threads: [value * min(times) / threads for value in values] for threads, values in times.items()}

    @property
    def unit(self) -> int | None:
        """The smallest number of threads, over which speed-ups are told."""
        return min(self.seconds, default=None)

    def speed_up(self, threads: int) -> list[float]:
        """Over one unit of threads, of each round."""
        return self._over_unit(self.seconds[threads])

    def free_speed_up(self) -> dict[int, list[float]]:
        """The same of runs that the scheduler placed as it liked; only a strong sweep's can be compared."""
        return {threads: self._over_unit(times) for threads, times in self.of("compute_seconds", False).items()}

    def ideal(self, threads: int) -> float:
        """The speed-up that chunks of equal cost allow, over one unit of threads."""
        return self.ideal_at(threads, self.chunks()[threads])

    def ideal_at(self, threads: float, chunks: int | None = None) -> float:
        """The same between the measured numbers of threads: with the chunks of a strong sweep, unless it is said."""
        unit = self.unit or 1
        first = self.chunks()[unit]
        # Per chunk, because a weak sweep has more of them; a thread that is begun is none.
        return staircase(chunks or first, math.floor(threads + 1e-9)) / staircase(first, unit)

    def efficiency(self, threads: int) -> list[float]:
        """Speed-up by what the chunks allow."""
        return [value / self.ideal(threads) for value in self.speed_up(threads)]

    @property
    def drift(self) -> float | None:
        """By how much the best of the last probes differs from the best of the first."""
        best: dict[str, float] = {}
        for point in self.points:
            if point.probe:
                value = point.samples["compute_seconds"]
                best[point.probe] = min(value, best.get(point.probe, math.inf))
        return best["last"] / best["first"] - 1 if {"first", "last"} <= set(best) else None

    # --- what follows

    @functools.cached_property
    def laws(self) -> list[fit.Law]:
        """The laws that the points carry."""
        found = []
        for law in (fit.amdahl, fit.usl):
            try:
                found.append(law(self.seconds, self.drift or 0.0))
            except fit.FitError:
                continue
        return found

    @property
    def why_no_law(self) -> str | None:
        """What is missing for the simplest law."""
        try:
            fit.amdahl(self.seconds, self.drift or 0.0) if not self.laws else None
        except fit.FitError as error:
            return str(error)
        return None

    def _over_unit(self, times: list[float]) -> list[float]:
        one = statistics.median(self.seconds[min(self.seconds)])
        return [one / value for value in times]
