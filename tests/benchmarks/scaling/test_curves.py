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


@pytest.mark.parametrize(
    ("probes", "doubted", "rejected"),
    [
        ((8.0, 8.5), False, False),
        ((8.0, 11.0), True, False),
        ((8.0, 5.0), True, False),
        ((8.0, 17.0), True, True),
        ((17.0, 8.0), True, True),
    ],
)
def test_a_sweep_on_a_machine_that_drifts_is_doubted_and_then_rejected(probes, doubted, rejected):
    made = curve(STRONG, probes=probes)
    made.record["flags"] = dict(judged(made))
    assert made.rejected == rejected
    assert ("drift" in made.flags) == doubted
    assert bool(made.laws) == (not rejected)
    assert (made.why_no_law == "the sweep is rejected") == rejected


def test_a_sweep_without_both_probes_does_not_know_its_drift():
    assert "not known" in dict(judged(curve(STRONG, probes=None)))["drift"]


@pytest.mark.parametrize(("slowest", "said"), [(2.4, None), (2.9, "rounds on 4 threads differ by a factor of 1.4")])
def test_rounds_that_differ_are_doubtful(slowest, said):
    assert dict(judged(curve({**STRONG, 4: [2.0, 2.1, slowest]}))).get("spread-4") == said


def test_a_run_that_took_too_long_is_left_out_and_said_so():
    made = curve({**STRONG, 4: [2.0, 9.0, 2.2]})
    assert made.of("compute_seconds")[4] == [2.0, 2.2]
    assert made.everything("compute_seconds")[4] == [2.0, 9.0, 2.2]
    assert dict(judged(made)) == {
        "late-4": "1 of 3 runs on 4 threads are left out: more than 1.5 times the fastest, 2 s (9 s)"
    }
    assert made.laws[0].seconds(4) == pytest.approx(2.1, rel=0.1)


def test_a_point_whose_fastest_run_stands_alone_is_rejected_and_the_others_fitted():
    made = curve({**STRONG, 8: [1.0, 7.0, 8.0], 16: [0.7, 0.7, 0.7]})
    found = dict(judged(made))
    assert list(found) == ["point-8"]
    assert found["point-8"].endswith("of its 3 runs come within 1.5 times the fastest, 1 s; others took 7 s, 8 s")
    assert not made.rejected
    assert list(made.seconds) == [1, 2, 4, 16]
    assert made.rejected_speed_up() == {8: [8.0, pytest.approx(8 / 7), 1.0]}
    assert [law.name for law in made.laws] == ["Amdahl", "USL"]


def test_a_point_less_than_a_law_needs_is_no_law():
    made = curve({**STRONG, 4: [1.0, 7.0, 8.0]})
    assert made.laws == []
    assert "needs 3 numbers of threads, of which 2" in str(made.why_no_law)


def test_where_the_smallest_number_is_rejected_the_next_one_is_the_unit():
    made = curve({**STRONG, 1: [1.0, 7.0, 8.0]})
    assert made.unit == 2
    assert made.speed_up(4) == pytest.approx([4 / 2.5, 4 / 2.5, 4 / 2.4])


def test_a_sweep_with_a_single_point_left_is_rejected():
    made = curve({**STRONG, 1: [1.0, 7.0, 8.0], 2: [1.0, 7.0, 8.0]})
    made.record["flags"] = dict(judged(made))
    assert made.rejected
    assert made.flags["points"].endswith("1 of 3 points are left, too few for a curve")


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
