"""Laws find the parameters that points were made of, cover them with their intervals, and do not claim too much."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize

from benchmarks.scaling import fit

THREADS = (1, 2, 4, 8, 16)


def model(n, parallel, serial, crosstalk):
    return parallel / n + serial * (n - 1) / n + crosstalk * (n - 1)


def measured(threads, parallel=10.0, serial=0.0, crosstalk=0.0, seed=0, rounds=3, within=0.03, between=0.0):
    """Rounds of a sweep: they differ by `within`, and all those of a point share an error of `between`."""
    random = np.random.default_rng(seed)
    times = {}
    for n in threads:
        shared = np.exp(random.normal(0, between))
        times[n] = model(n, parallel, serial, crosstalk) * shared * np.exp(random.normal(0, within, rounds))
    return times


# --- without noise


@pytest.mark.parametrize(("serial", "crosstalk"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.02), (0.0, 0.1)])
def test_the_parameters_are_found_again(serial, crosstalk):
    law = fit.usl(measured(THREADS, serial=serial, crosstalk=crosstalk, within=0.0))
    assert (law.parallel, law.serial, law.crosstalk) == pytest.approx((10.0, serial, crosstalk), abs=1e-9)


def test_amdahls_limit_is_one_by_the_serial_share():
    law = fit.amdahl(measured(THREADS, serial=0.5, within=0.0))
    assert law.serial_share == pytest.approx(0.05)
    assert law.limit == pytest.approx(20.0)


def test_the_limit_of_the_universal_law_is_where_threads_cost_more_than_they_bring():
    law = fit.usl(measured(THREADS, serial=0.5, crosstalk=0.02, within=0.0))
    n = np.linspace(1, 200, 200_000)
    assert law.limit == pytest.approx(np.max(10.0 / model(n, 10.0, 0.5, 0.02)), rel=1e-6)


def test_the_smallest_number_of_threads_is_the_unit():
    times = {8 * n: values for n, values in measured(THREADS, serial=0.5, within=0.0).items()}
    law = fit.amdahl(times)
    assert law.unit == 8
    assert law.limit == pytest.approx(20.0)
    assert law.seconds(16) == pytest.approx(model(2, 10.0, 0.5, 0.0))


def test_karp_and_flatts_share_is_the_serial_one_and_constant():
    shares = fit.karp_flatt(measured(THREADS, serial=0.5, within=0.0))
    assert list(shares) == [2, 4, 8, 16]
    assert list(shares.values()) == pytest.approx([0.05] * 4)


def test_karp_and_flatts_share_rises_with_crosstalk():
    shares = list(fit.karp_flatt(measured(THREADS, crosstalk=0.05, within=0.0)).values())
    assert shares == sorted(shares)
    assert shares[-1] > 2 * shares[0]


# --- against scipy


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_is_the_one_of_scipys_bounded_optimizer(seed):
    times = measured(THREADS, serial=0.4, crosstalk=0.01, seed=seed, within=0.05)
    n, middle = np.array(THREADS), np.array([np.median(times[k]) for k in THREADS])
    found, _ = optimize.curve_fit(
        model, n, middle, p0=(10, 0.1, 0.01), sigma=middle, bounds=(0, np.inf), ftol=1e-14, xtol=1e-14, gtol=1e-14
    )
    law = fit.usl(times)
    assert (law.parallel, law.serial, law.crosstalk) == pytest.approx(tuple(found), rel=1e-3, abs=1e-4)


# --- intervals


@pytest.mark.parametrize(("law", "serial", "crosstalk"), [(fit.amdahl, 0.5, 0.0), (fit.usl, 0.5, 0.01)])
def test_intervals_hold_what_the_points_were_made_of(law, serial, crosstalk):
    held = 0
    for seed in range(20):
        low, high = law(measured(THREADS, serial=serial, crosstalk=crosstalk, seed=seed)).serial_share_interval
        held += low <= serial / 10.0 <= high
    assert held >= 18


def test_more_noise_makes_intervals_wider():
    def width(within):
        low, high = fit.amdahl(measured(THREADS, serial=0.5, within=within, rounds=5)).serial_share_interval
        return high - low

    assert width(0.2) > 2 * width(0.005)


def test_a_drift_of_the_machine_makes_intervals_wider():
    times = measured(THREADS, serial=0.5, within=0.005)
    (low, high), (calm_low, calm_high) = (fit.amdahl(times, drift).limit_interval for drift in (0.15, 0.0))
    assert low < calm_low
    assert high > calm_high


# --- what must not be claimed


def test_a_limit_within_reach_is_told():
    law = fit.amdahl(measured(THREADS, serial=2.0))
    low, high = law.limit_interval
    assert low < 5.0 < high
    assert law.verdict == f"speed-up ends between {low:.3g}× and {high:.3g}×"


@pytest.mark.parametrize("threads", [(1, 2, 4), (1, 2, 4, 8)])
@pytest.mark.parametrize("between", [0.0, 0.05, 0.15])
def test_few_points_of_a_perfectly_parallel_kernel_do_not_prove_that_it_ends(threads, between):
    laws = [fit.amdahl(measured(threads, seed=seed, between=between)) for seed in range(20)]
    assert not [law.verdict for law in laws if "these points show no limit" not in law.verdict]


def test_a_naive_fit_would_have_claimed_that():
    """Or the test above would show nothing."""
    times = [measured((1, 2, 4), seed=seed, between=0.15) for seed in range(40)]
    assert sum(fit.amdahl(one).limit <= 11 for one in times) >= 3


def test_nothing_is_said_beyond_four_times_the_measured_threads():
    law = fit.amdahl(measured((1, 2, 4), serial=0.5))
    assert law.seconds(16) > 0
    with pytest.raises(fit.FitError, match="17 threads lie beyond the reach of points from 1 to 4 threads"):
        law.seconds(17)
    with pytest.raises(fit.FitError, match="beyond the reach"):
        law.seconds_interval(1024)


@pytest.mark.parametrize(("law", "threads"), [(fit.amdahl, (1, 2)), (fit.usl, (1, 2, 4))])
def test_as_many_parameters_as_points_are_refused(law, threads):
    with pytest.raises(fit.FitError, match=f"of which {len(threads)} were measured"):
        law(measured(threads))


def test_more_threads_that_take_longer_have_their_best_at_one():
    law = fit.amdahl({1: [1.0, 1.0, 1.0], 2: [2.0, 2.0, 2.0], 4: [3.0, 3.0, 3.0]})
    assert law.limit == 1.0


@pytest.mark.parametrize("times", [(5, 1, 1.5, 3), (20, 1, 2, 3), (1, 3, 9, 30)])
def test_where_nothing_seems_parallel_there_still_are_intervals(times):
    """A machine that others use at the same time gives such points, and replicates without a parallel part."""
    law = fit.usl({n: [time, 1.2 * time, 0.9 * time] for n, time in zip((1, 2, 4, 8), times, strict=True)})
    assert (law.replicates[:, 0] == 0).any()
    for interval in (law.serial_share_interval, law.crosstalk_share_interval, law.limit_interval):
        assert not np.isnan(interval).any()
    assert law.limit_interval[0] >= 1
    assert "nan" not in law.verdict


def test_no_serial_share_is_no_limit():
    assert math.isinf(fit.amdahl(measured(THREADS, within=0.0)).limit)
