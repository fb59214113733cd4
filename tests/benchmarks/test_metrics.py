"""The exact metrics are exact, and what should not happen is seen by them."""

from __future__ import annotations

import math
import uuid

import dask.array as da
import numpy as np
import pytest
from dask import delayed

from benchmarks import inputs, metrics, target
from benchmarks.cubes.apply import Apply
from benchmarks.cubes.reduce import ReduceDimension, ReduceDimensionAcrossChunks
from benchmarks.scenes import synthetic
from benchmarks.suite import Suite

SMALL = {"shape": (6, 4, 32, 32), "chunks": (3, 4, 16, 16)}  # 8 chunks


class Patched(Suite):
    """A suite in which something is wrong on purpose; not where suites are looked for."""

    def __init__(self):
        super().__init__()
        self.size = "smallest"


class Lazy(Patched):
    def build(self):
        return self.cube + 1


class Eager(Patched):
    def build(self):
        return self.cube / float(self.cube.max().compute())


class InOneChunk(Patched):
    def build(self):
        return self.cube.chunk(dict.fromkeys(self.cube.dims, -1)) + 1


class Wrong(Lazy):
    def expected(self):
        return self.cube + 2


def in_memory():
    return metrics.in_memory(synthetic(**SMALL))


# --- graphs


def test_a_blockwise_step_is_a_task_for_each_chunk():
    graph = metrics.graph_of(in_memory() + 1)
    assert (graph.tasks, graph.edges, graph.critical_path) == (8, 0, 1)


def test_a_reduction_over_chunks_is_a_tree():
    graph = metrics.graph_of(da.reductions.sum(in_memory().data, axis=0))
    assert (graph.tasks, graph.edges, graph.critical_path) == (8 + 4, 8, 2)


def test_inputs_in_memory_are_no_tasks():
    assert metrics.graph_of(in_memory()).tasks == 0


def test_counting_computes_nothing_and_gives_the_same_again():
    with metrics.Tally() as tally:
        counts = {metrics.graph_of(in_memory().mean("t")) for _ in range(3)}
    assert len(counts) == 1
    assert tally.tasks == 0


def test_a_callback_of_many_nodes_is_one_task_for_each_chunk():
    suite = Apply()
    counted = {nodes: suite.graph(nodes).tasks for nodes in (1, 5, 50)}
    assert set(counted.values()) == {16}


def test_a_collapse_into_one_chunk_shows_in_the_graph():
    assert Lazy().graph().tasks == 8
    assert InOneChunk().graph().tasks < 8


# --- computing while building


def test_tasks_of_local_schedulers_are_counted():
    with metrics.Tally() as tally:
        in_this_process = synthetic(**SMALL).data.map_blocks(np.negative)
        in_this_process.compute(scheduler="threads")
        in_this_process.compute(scheduler="sync")
    assert tally.tasks >= 2 * 8


@pytest.mark.parametrize(("suite", "eager"), [(Lazy, False), (Eager, True)])
def test_computing_while_building_is_seen(suite, eager, embedded):
    assert (suite().run().eager_tasks > 0) == eager


def test_computing_while_building_is_seen_without_a_cluster():
    with metrics.run_locally(), metrics.Tally() as tally:
        synthetic(**SMALL).max().compute()
    assert tally.tasks > 0


# --- runs


def test_a_step_within_blocks_moves_nothing_but_its_small_result(embedded):
    assert Lazy().run().bytes_moved < 1000


def test_what_moves_between_chunks_is_the_same_in_each_run(embedded):
    def across() -> int:
        suite = ReduceDimensionAcrossChunks()
        suite.size = "smallest"
        return suite.run("median").bytes_moved

    moved = [across() for _ in range(3)]
    half = math.prod(SMALL["shape"]) * 4 // 2
    assert moved[0] > 0.9 * half
    assert max(moved) <= 1.05 * min(moved)


def test_the_memory_of_threads_in_this_process_is_not_told(embedded):
    assert math.isnan(Lazy().run().peak_worker_memory)


def test_the_memory_of_worker_processes_is_their_peak(external):
    if not metrics.pathlib.Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux keeps a peak that can be reset")
    before = metrics.measure(external, lambda: None, lambda: None).peak_worker_memory
    large = da.ones((20_000_000,), chunks=-1, dtype="float64").map_blocks(np.negative)
    result = metrics.measure(external, lambda: None, lambda: external.compute(inputs.on_workers(large)).result(60))
    after = metrics.measure(external, lambda: None, lambda: None).peak_worker_memory
    assert result.peak_worker_memory - before > 150e6
    assert after < result.peak_worker_memory - 100e6


def test_a_second_run_finds_no_copies_of_the_first(embedded):
    held = inputs.Held(embedded)
    cube = synthetic(**SMALL, salt="copies")
    first, second = held(cube), held(cube)
    assert first.data.name != second.data.name
    embedded.compute(inputs.on_workers(first.chunk(t=-1))).result(60)  # copies half of the blocks to the other worker
    third = held(cube)
    assert [len(places) for places in embedded.who_has(third).values()] == [1] * 8
    np.testing.assert_array_equal(first.compute(), third.compute())


def test_processes_of_one_run_share_what_they_have_measured(tmp_path, monkeypatch):
    monkeypatch.setenv(metrics.RECORDS, str(tmp_path))
    first = metrics.once("a suite", lambda: {"tasks": 1})
    again = metrics.once("a suite", lambda: {"tasks": 2})
    assert (first, again) == ({"tasks": 1}, {"tasks": 1})
    assert metrics.once("another", lambda: {"tasks": 2}) == {"tasks": 2}


def test_all_workers_are_known_whatever_the_client_last_asked_for(external):
    external.wait_for_workers(2, timeout=60)
    external.sync(external._update_scheduler_info, n_workers=0)  # what it does by itself every few seconds
    assert len(metrics.workers(external)) == 2


# --- results


def test_a_wrong_result_is_seen():
    Lazy().check()
    with pytest.raises(AssertionError, match="Mismatched elements"):
        Wrong().check()


def test_a_suite_of_no_process_says_so():
    class Unknown(Lazy):
        measures = ("no_such_process",)

    with pytest.raises(TypeError, match="no_such_process"):
        Unknown.ids()


def test_what_is_built_has_another_version_when_it_changes():
    assert Lazy().version != Eager().version
    assert ReduceDimension().version != ReduceDimensionAcrossChunks().version
    assert Lazy().version == Lazy().version


# --- sizes


def _pieces(block):
    """As many arrays as dask would not all look at, of sizes that differ."""
    return [np.zeros(number) for number in range(60)]


def test_bytes_of_lists_are_counted_and_not_estimated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(target.ADDRESS, raising=False)  # workers elsewhere have dask's own way
    with target.session(threads_per_worker=1) as client:

        def once():
            made = [delayed(_pieces)(number, dask_key_name=f"pieces-{uuid.uuid4()}") for number in range(4)]
            run = metrics.measure(client, lambda: None, lambda: client.gather(client.compute(made)))
            return run.output_bytes, run.largest_chunk

        assert len({once() for _ in range(4)}) == 1
        made, largest = once()
        assert made == 4 * largest
        assert 8 * sum(range(60)) < largest < 8 * sum(range(60)) + 60 * 200
