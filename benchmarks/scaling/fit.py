"""Laws of scaling fitted to a sweep: Amdahl's and the universal one, with intervals, and with an end to their reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

REACH = 4.0  # times the largest measured number of threads; a fit says nothing of what lies beyond
REPLICATES = 600
LEVEL = 95.0  # per cent
NOISE_FLOOR = 0.02  # relative error of a point that even a quiet machine has, common to all of its rounds
NOISE_CEILING = 1.0  # more than a factor of e says nothing any more
ROUNDING = 1e-12  # a share below that is none
FEWEST = 3  # numbers of threads

Seconds = Mapping[int, Sequence[float]]  # by number of threads: one for each round
Interval = tuple[float, float]


class FitError(ValueError):
    """The points do not carry what is asked of them: says why."""


@dataclass(frozen=True)
class Law:
    """A law of scaling fitted by non-negative least squares of relative errors.

    `T(n) = parallel / n + serial · (n - 1) / n + crosstalk · (n - 1)`, where `parallel` is the time of one unit of
    threads and `n` counts such units: the smallest number of threads that was measured. Amdahl's law is the one
    without crosstalk.
    """

    name: str
    unit: int  # threads
    measured: int  # threads, the largest number
    parallel: float  # seconds
    serial: float
    crosstalk: float
    error: float  # relative, of a point, with the degrees of freedom that are left
    replicates: np.ndarray  # the same three numbers, a row for each replicate of the bootstrap

    def seconds(self, threads: float) -> float:
        """The time on so many threads.

        Raises
        ------
        FitError
            Beyond four times the largest number of threads that was measured.
        """
        self._within_reach(threads)
        return float(_terms(threads / self.unit) @ self._coefficients)

    def seconds_interval(self, threads: float) -> Interval:
        """Where that time lies in 95 of 100 repetitions."""
        self._within_reach(threads)
        return _interval(self.replicates @ _terms(threads / self.unit))

    @property
    def serial_share(self) -> float:
        """The share of the work that no second unit of threads can take over."""
        return self.serial / self.parallel

    @property
    def serial_share_interval(self) -> Interval:
        return self._share_interval(1)

    @property
    def crosstalk_share_interval(self) -> Interval:
        return self._share_interval(2)

    @property
    def limit(self) -> float:
        """The largest speed-up that the law allows, over one unit of threads; infinite where it names none."""
        return float(_limits(self._coefficients[None])[0])

    @property
    def limit_interval(self) -> Interval:
        return _interval(_limits(self.replicates))

    @property
    def verdict(self) -> str:
        """What may be said of a limit: only one that lies, with its whole interval, within the reach of the points."""
        low, high = self.limit_interval
        if high <= REACH * self.measured / self.unit:
            return f"speed-up ends between {low:.3g}× and {high:.3g}×"
        told = "none" if math.isinf(self.limit) else f"{self.limit:.3g}×"
        above = "no end" if math.isinf(high) else f"{high:.3g}×"
        return f"these points show no limit (best guess {told}, anything from {low:.3g}× to {above} fits)"

    @property
    def _coefficients(self) -> np.ndarray:
        return np.array([self.parallel, self.serial, self.crosstalk])

    def _share_interval(self, column: int) -> Interval:
        share, parallel = self.replicates[:, column], self.replicates[:, 0]
        with np.errstate(divide="ignore"):  # where nothing is parallel, the share of anything else has no end
            return _interval(np.divide(share, parallel, out=np.zeros_like(share), where=share > 0))

    def _within_reach(self, threads: float) -> None:
        if not self.unit <= threads <= REACH * self.measured:
            raise FitError(
                f"{threads:g} threads lie beyond the reach of points from {self.unit} to {self.measured} threads:"
                f" a fit is believed up to {REACH:g} times the largest; `project` gives a bound beyond"
            )


def amdahl(seconds: Seconds, drift: float = 0.0, seed: int = 0) -> Law:
    """Amdahl's law: a part of the work is not shared out.

    Raises
    ------
    FitError
        If there are fewer than three numbers of threads.
    """
    return _fitted("Amdahl", seconds, 2, drift, seed)


def usl(seconds: Seconds, drift: float = 0.0, seed: int = 0) -> Law:
    """The universal scalability law: besides, each thread waits for each other one.

    Raises
    ------
    FitError
        If there are fewer than four numbers of threads.
    """
    return _fitted("USL", seconds, 3, drift, seed)


def karp_flatt(seconds: Seconds) -> dict[int, float]:
    """The serial share that each number of threads would show if it were alone; rising means overhead that grows.

    A share below zero is a speed-up above the ideal.
    """
    times = {threads: float(np.median(rounds)) for threads, rounds in sorted(seconds.items())}
    unit = min(times)
    shares = {}
    for threads, time in times.items():
        if (n := threads / unit) > 1:
            shares[threads] = (time / times[unit] - 1 / n) / (1 - 1 / n)
    return shares


def _fitted(name: str, seconds: Seconds, parameters: int, drift: float, seed: int) -> Law:
    """Fit, and fit again what other rounds and other luck would have given.

    Rounds tell how much a point varies within a sweep, not what all rounds of a point have in common: the hosts that
    it runs on, the placement of its blocks. What is known of that, the drift of the sweep and the distance of the
    points from the law, varies the points of each replicate, the less sharply known the fewer points there are.
    """
    threads = np.array(sorted(seconds))
    if len(threads) < max(FEWEST, parameters + 1):
        raise FitError(
            f"{name} has {parameters} parameters and needs {max(FEWEST, parameters + 1)} numbers of threads,"
            f" of which {len(threads)} were measured"
        )
    rounds = [np.asarray(seconds[n], float) for n in threads]
    n = threads / threads[0]
    middle = np.array([np.median(r) for r in rounds])
    best = _solve(n, middle, parameters)
    residuals = _terms(n) @ best / middle - 1
    left = len(threads) - parameters
    error = float(np.sqrt(np.sum(residuals**2) / left))
    random = np.random.default_rng(seed)
    replicates = np.empty((REPLICATES, 3))
    for replicate in replicates:
        drawn = np.array([np.median(random.choice(r, len(r))) for r in rounds])
        told = error * math.sqrt(left / random.chisquare(left))  # Student's distribution, in the end
        spread = min(max(told, abs(math.log1p(drift)), NOISE_FLOOR), NOISE_CEILING)
        replicate[:] = _solve(n, drawn * np.exp(random.normal(0, spread, len(n))), parameters)
    parallel, serial, crosstalk = map(float, best)
    return Law(name, int(threads[0]), int(threads[-1]), parallel, serial, crosstalk, error, replicates)


def _terms(n: float | np.ndarray) -> np.ndarray:
    n = np.asarray(n, float)
    return np.stack([1 / n, (n - 1) / n, n - 1], axis=-1)


def _solve(n: np.ndarray, seconds: np.ndarray, parameters: int) -> np.ndarray:
    """Non-negative least squares of the relative errors."""
    found = np.zeros(3)
    found[:parameters], _ = optimize.nnls(_terms(n)[:, :parameters] / seconds[:, None], np.ones(len(n)))
    found[found < ROUNDING * found.sum()] = 0.0
    return found


def _limits(coefficients: np.ndarray) -> np.ndarray:
    """The largest speed-up of each row: at infinity, or where crosstalk begins to cost more than threads bring."""
    parallel, serial, crosstalk = coefficients.T
    with np.errstate(divide="ignore", invalid="ignore"):
        at_infinity = parallel / serial
        peak = np.maximum(np.sqrt(np.maximum(parallel - serial, 0) / crosstalk), 1)
        at_peak = parallel / np.einsum("ij,ij->i", _terms(np.where(np.isfinite(peak), peak, 1)), coefficients)
    # With one unit there is none to lose; where nothing is parallel there is none to win, and 0 / 0 is that one.
    return np.fmax(np.where(crosstalk > 0, at_peak, at_infinity), 1)


def _interval(values: np.ndarray) -> Interval:
    # Quantiles between a number and infinity would be NaN, so that the nearest of the values are taken.
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail], method="nearest")
    return float(low), float(high)
