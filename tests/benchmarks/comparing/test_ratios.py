"""A ratio has an interval, and the same code against itself says what is a difference."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.comparing.ratios import Ratio, ratio, smallest_difference


def test_a_ratio_is_of_medians_and_above_one_where_the_other_is_slower():
    found = ratio([2.0, 2.2, 2.1, 9.0, 2.1], [1.0, 1.1, 1.05, 1.0, 1.05])
    assert found.value == pytest.approx(2.0)
    assert found.low <= found.value <= found.high


def test_the_interval_holds_what_is_true():
    rng = np.random.default_rng(1)
    inside = 0
    for turn in range(100):
        found = ratio(3 * rng.lognormal(0, 0.2, 7), rng.lognormal(0, 0.2, 7), seed=turn)
        inside += found.low <= 3 <= found.high
    assert inside >= 80


def test_the_same_code_sets_the_smallest_difference_in_both_directions():
    assert smallest_difference([1.05, 0.8, 1.0]) == pytest.approx(1.25)
    assert smallest_difference([]) == 1.0


@pytest.mark.parametrize(
    ("interval", "differs"), [((1.3, 1.5), True), ((1.1, 1.5), False), ((0.5, 0.7), True), ((0.7, 0.95), False)]
)
def test_a_difference_is_beyond_it_with_all_of_its_interval(interval, differs):
    assert Ratio(sum(interval) / 2, *interval).differs(1.25) == differs
