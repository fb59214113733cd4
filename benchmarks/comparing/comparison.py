"""Measures the same suites on several sides in turns, with this code against itself beside them."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..terminal import Step
from .ratios import Ratio, ratio, smallest_difference
from .sides import Answer, Side, SideError

TIMEOUT = 300.0  # seconds for one round of one case
MEASURED = ("build_seconds", "compute_seconds")


class Case(NamedTuple):
    """What is compared: a suite by its name, its parameters, and the size of its inputs."""

    suite: str
    params: tuple[Any, ...]
    size: str
    title: str
    wanted: float | None = None  # how many times faster than the other side


@dataclass
class Measured:
    """What one side has shown of a case."""

    rounds: list[Answer] = field(default_factory=list)
    error: str | None = None
    right: bool | None = None  # equal to what the suite expects; None where that was not asked
    wrong: str | None = None

    def samples(self, name: str) -> list[float]:
        """All values of a number, `seconds` for those of building and computing together."""
        if name == "seconds":
            return [sum(answer[part] for part in MEASURED) for answer in self.rounds]
        return [answer[name] for answer in self.rounds]

    def median(self, name: str) -> float:
        return statistics.median(self.samples(name))


@dataclass
class Row:
    """One case on all sides: this code, another, and this code again."""

    case: Case
    own: Measured
    other: Measured
    null: Measured

    def ratio(self, name: str = "seconds") -> Ratio | None:
        """The other side ÷ this one, if both have rounds."""
        return ratio(self.other.samples(name), self.own.samples(name)) if self._both(self.other) else None

    def null_ratio(self, name: str = "seconds") -> Ratio | None:
        """The same for this code against itself."""
        return ratio(self.null.samples(name), self.own.samples(name)) if self._both(self.null) else None

    def _both(self, other: Measured) -> bool:
        return bool(self.own.rounds and other.rounds and not self.own.error and not other.error)


def compared(own: Side, other: Side, null: Side, cases: Sequence[Case], rounds: int, step: Step) -> Iterator[Row]:
    """Measure each case on all sides in turns, in another order each round."""
    order = random.Random(0)
    for number, case in enumerate(cases):
        row = Row(case, Measured(), Measured(), Measured())
        sides = [(own, row.own), (other, row.other), (null, row.null)]
        for side, measured in sides:
            step(number / len(cases), f"{case.title}: {side.name}")
            _begin(side, measured, case, checked=side is not null)
        for turn in range(rounds):
            order.shuffle(sides)
            for side, measured in sides:
                step((number + turn / rounds) / len(cases), f"{case.title}: {side.name}")
                if measured.error is None:
                    _asked(side, measured, job="round")
        yield row


def _begin(side: Side, measured: Measured, case: Case, checked: bool) -> None:
    """Check a case on a small cube, let a side make its inputs, and run it once, which counts for nothing."""
    named = {"suite": case.suite, "params": list(case.params)}
    if checked:
        try:
            side.ask(TIMEOUT, job="check", size="smallest", **named)
            measured.right = True
        except SideError as error:
            measured.right, measured.wrong = False, str(error)
    try:
        side.ask(TIMEOUT, job="hold", size=case.size, **named)
        side.ask(TIMEOUT, job="round")
    except SideError as error:
        measured.error = str(error)


def _asked(side: Side, measured: Measured, **request: Any) -> None:
    try:
        measured.rounds.append(side.ask(TIMEOUT, **request))
    except SideError as error:
        measured.error = str(error)


def smallest(rows: Sequence[Row]) -> float:
    """The smallest ratio that is called a difference in these rows."""
    return smallest_difference([found.value for row in rows if (found := row.null_ratio())])
