"""Which suite is meant, and how its cubes grow."""

from __future__ import annotations

import itertools

import pytest

from benchmarks.cubes.apply import Apply
from benchmarks.scaling import subjects
from benchmarks.scaling.subjects import Subject, SubjectError, find

NDVI = "cubes.indices.Ndvi"
MEDIAN = "cubes.reduce.ReduceDimensionAcrossChunks-median"


@pytest.mark.parametrize("name", [MEDIAN, MEDIAN.lower(), "ReduceDimensionAcrossChunks-median", "acrosschunks-median"])
def test_a_part_of_a_name_that_no_other_has_is_enough(name):
    found = find(name)
    assert (found.title, found.case, found.params) == (MEDIAN, ("median",), {"reducer": "median"})


def test_a_name_that_is_part_of_others_is_found_where_it_is_whole():
    assert find("ReduceDimension-mean").title == "cubes.reduce.ReduceDimension-mean"


@pytest.mark.parametrize(
    ("name", "said"),
    [("cubes.", "may be any of: .*more"), ("reduce", "may be any of: "), ("nonsense", "no suite that builds")],
)
def test_what_is_meant_must_be_plain(name, said):
    with pytest.raises(SubjectError, match=said):
        find(name)


def test_suites_without_a_graph_are_no_subjects():
    assert not any("SaveResult" in title or "Text" in title for title in subjects.subjects())


@pytest.mark.parametrize("mode", ["strong", "weak"])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_thread_has_four_chunks_of_every_plane(mode, threads):
    subject = find(NDVI)
    size = subject.size_for(mode, threads, 100_000)
    columns = size.shape[2] // size.chunks[2] * (size.shape[3] // size.chunks[3])
    assert columns >= subjects.PER_THREAD * threads
    assert subject.drawn(size).chunks == columns * 4


def test_a_weak_cube_grows_with_the_threads_and_its_chunks_do_not():
    subject = find(NDVI)
    one, four = (subject.size_for("weak", threads) for threads in (1, 4))
    assert one.chunks == four.chunks
    assert four.shape == (*one.shape[:2], 4 * one.shape[2], one.shape[3])


def test_chunks_are_as_large_as_allowed():
    block = find(NDVI).block(8_000_000)
    assert block == (6, 4, 256, 256)
    assert 2_000_000 < 4 * block[0] * block[1] * block[2] * block[3] <= 8_000_000


def test_a_cube_of_so_many_bytes_has_at_least_those():
    subject = find(NDVI)
    assert 1.0 <= subject.drawn(subject.size_of(50_000_000, 1_000_000)).bytes / 50_000_000 < 1.5


def test_a_suite_whose_inputs_do_not_grow_is_refused():
    class Fixed(Apply):
        def inputs(self, nodes):
            self.cube = self.input((6, 4, 16, 16), (3, 4, 16, 16))

    fixed = Subject("fixed", Fixed, (1,))
    with pytest.raises(SubjectError, match="a size of their own"):
        fixed.drawn(fixed.size((4, 4)))


@pytest.mark.parametrize("title", [NDVI, "cubes.reduce.ReduceDimensionAcrossChunks-mean", MEDIAN])
def test_tasks_grow_in_proportion_to_the_chunks(title):
    grown = subjects.growth(find(title), 100_000)
    chunks = [one.chunks for one in grown]
    assert chunks == [16, 64, 256, 1024]
    for small, large in itertools.pairwise(grown):
        assert large.graph.tasks <= 4.2 * small.graph.tasks
