"""Planted regressions: each is caught by an exact number or by the reference; the same code raises no alarm."""

from __future__ import annotations

import re

import pytest

from benchmarks import budgets, measuring, store
from benchmarks.measures import Trust, of
from benchmarks.suite import Suite
from benchmarks.terminal import Step

from . import planted


def quiet(share: float, doing: str) -> None: ...


STEP: Step = quiet


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch):
    monkeypatch.setenv(store.PLACE, str(tmp_path / "records.jsonl"))
    yield
    planted.KEPT.clear()


def exact(client, suite: type[Suite], rounds: int = 1) -> dict[str, set[float]]:
    """All values that the exact numbers have taken."""
    case = measuring.Case("planted", suite, ())
    (record,) = measuring.measured(client, [case], rounds, STEP)
    assert record["error"] is None
    return {name: set(store.samples(record, name)) for name in of(Trust.EXACT)}


def alarms(client, planted_suite: type[Suite], sound: type[Suite] = planted.Sound) -> set[str]:
    """The exact numbers that have grown."""
    before, after = exact(client, sound), exact(client, planted_suite)
    return {name for name in before if max(after[name]) > max(before[name])}


def test_ten_runs_of_the_same_code_raise_no_alarm(external):
    runs = [exact(external, planted.Sound) for _ in range(10)]
    assert all(run == runs[0] for run in runs)
    assert all(len(values) == 1 for values in runs[0].values())
    counts = [planted.Sound().counts() for _ in range(10)]
    assert all(not list(budgets.changes({"planted": again}, {"planted": counts[0]})) for again in counts)


def test_an_eager_compute_is_caught(external):
    assert "eager_tasks" in alarms(external, planted.Eager)
    assert planted.Eager().counts()["eager_tasks"] > 0  # without a cluster too


def test_a_collapse_into_one_chunk_is_caught(external):
    assert "largest_chunk" in alarms(external, planted.OneChunk)


def test_a_graph_that_grows_with_the_square_of_chunks_is_caught(external):
    assert {"edges", "tasks"} <= alarms(external, planted.Quadratic)


def test_a_detour_through_other_chunks_is_caught(external):
    assert {"tasks", "bytes_read"} <= alarms(external, planted.TransferTwice)


def test_a_doubled_transfer_is_caught(external):
    once, twice = (suite().run().bytes_moved for suite in (planted.Transfer, planted.DoubledTransfer))
    assert 1.8 * once < twice < 2.2 * once
    assert "largest_chunk" in alarms(external, planted.DoubledTransfer, planted.Transfer)


def test_blocks_kept_in_memory_are_caught(external):
    assert "kept_bytes" in alarms(external, planted.Keeping)


def test_a_wrong_result_is_caught():
    planted.Sound().check()
    with pytest.raises(AssertionError, match=re.escape("Mismatched elements")):
        planted.Wrong().check()


def test_a_suite_that_fails_is_a_record_with_its_reason_and_the_next_is_measured(external):
    cases = [measuring.Case("failing", planted.Failing, ()), measuring.Case("sound", planted.Sound, ())]
    failing, sound = measuring.measured(external, cases, 1, STEP)
    assert failing["error"] == "ValueError: planted"
    assert sound["error"] is None
    assert [record["suite"] for record in store.records()] == ["failing", "sound"]


def test_a_suite_that_hangs_is_ended_and_the_next_is_measured(external):
    cases = [measuring.Case("hanging", planted.Hanging, ()), measuring.Case("sound", planted.Sound, ())]
    hanging, sound = measuring.measured(external, cases, 1, STEP)
    assert "TimeoutError" in hanging["error"]
    assert sound["error"] is None
