"""What is read from the record of a sweep: speed-ups, efficiencies, drift, and what makes it doubtful."""

from __future__ import annotations

import pytest

from benchmarks.scaling.sweep import judged
from tests.benchmarks.scaling.sweeps import curve

STRONG = {1: [8.0, 8.0, 8.4], 2: [4.0, 4.4, 4.0], 4: [2.5, 2.5, 2.4]}
WEAK = {1: [1.0, 1.0, 1.1], 2: [1.0, 1.2, 1.1], 4: [1.25, 1.3, 1.2]}


def test_speed_up_is_over_the_median_of_the_smallest_number_of_threads():
    made = curve(STRONG)
    assert made.speed_up(2) == pytest.approx([2.0, 8 / 4.4, 2.0])
    assert made.ideal(4) == 4.0
    assert made.efficiency(4) == pytest.approx([0.8, 0.8, 8 / 2.4 / 4])


def test_threads_that_do_not_divide_the_chunks_cannot_all_be_used():
    made = curve({1: [9.0], 3: [3.3], 5: [2.0]})  # 80 chunks
    assert made.ideal(3) == pytest.approx(80 / 27)
    assert made.ideal_at(3.7) == made.ideal(3)


def test_weak_times_are_of_more_work():
    made = curve(WEAK, mode="weak")
    assert made.of("compute_seconds")[4] == [1.25, 1.3, 1.2]
    assert made.efficiency(4) == pytest.approx([1 / 1.25, 1 / 1.3, 1 / 1.2])


def test_runs_that_the_scheduler_placed_are_apart():
    made = curve(STRONG)
    assert made.of("compute_seconds", restricted=False) == {4: [pytest.approx(2.75)]}
    assert made.free_speed_up()[4] == [pytest.approx(8 / 2.75)]


def test_probes_are_no_points_of_the_curve():
    assert curve(STRONG, probes=(100.0, 100.0)).seconds == STRONG


@pytest.mark.parametrize(("probes", "rejected"), [((8.0, 8.5), False), ((8.0, 11.0), True), ((8.0, 5.0), True)])
def test_a_sweep_on_a_machine_that_drifts_is_rejected(probes, rejected):
    made = curve(STRONG, probes=probes)
    made.record["flags"] = dict(judged(made))
    assert made.rejected == rejected
    assert ("drift" in made.flags) == rejected


def test_a_sweep_without_both_probes_does_not_know_its_drift():
    assert "not known" in dict(judged(curve(STRONG, probes=None)))["drift"]


@pytest.mark.parametrize(
    ("slowest", "said"), [(2.5, None), (3.6, "rounds on 4 threads"), (9.0, "rejected: rounds on 4")]
)
def test_rounds_that_differ_much_are_doubtful(slowest, said):
    found = dict(judged(curve({**STRONG, 4: [2.0, 2.1, slowest]}))).get("spread-4")
    assert found is None if said is None else found.startswith(said)


def test_few_chunks_are_doubtful():
    made = curve({1: [1.0]}, probes=(1.0, 1.0))
    made.points = [type(point)(**{**vars(point), "chunks": 3}) for point in made.points]
    assert dict(judged(made))["chunks"] == "3 chunks for 1 threads are fewer than 4 for each"


def test_what_was_said_of_single_runs_is_counted():
    made = curve(STRONG)
    for point in made.points[:2]:
        point.flags["foreign-load"] = "somebody else"
    assert dict(judged(made))["foreign-load"] == f"somebody else (in 2 of {len(made.points)} runs)"


def test_laws_are_fitted_where_the_points_carry_them():
    assert [law.name for law in curve(STRONG).laws] == ["Amdahl"]
    two = curve({1: [2.0], 2: [1.0]})
    assert two.laws == []
    assert "needs 3 numbers of threads" in str(two.why_no_law)
