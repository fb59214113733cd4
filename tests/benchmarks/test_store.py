"""The store only grows, and whatever happens to its last line, the others can be read."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measures, store, target


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(store.PLACE, str(tmp_path / "records.jsonl"))
    return store.path()


def made(**fields: object) -> store.Record:
    return store.record("suite", suite="cubes.indices.Ndvi", params={}, samples={"tasks": [16]}, **fields)


def test_what_is_appended_is_read_in_order(place):
    store.append(made(round=0), made(round=1))
    store.append(made(round=2))
    assert [one["round"] for one in store.records()] == [0, 1, 2]
    assert len(place.read_text().splitlines()) == 3


def test_nothing_is_read_where_nothing_was_written():
    assert list(store.records()) == []
    assert list(store.records(newest=True)) == []


def test_a_record_says_what_made_it(monkeypatch):
    monkeypatch.delenv(target.ADDRESS, raising=False)  # which the mini-backend's shell has
    one = made()
    assert one["schema"] == store.SCHEMA
    assert one["code"] == target.local_code().hash
    assert {"python", "dask", "numpy"} <= set(one["versions"])
    assert one["target"] == {"label": "embedded"}


def test_addresses_are_not_stored(monkeypatch):
    monkeypatch.setenv(target.ADDRESS, "tcp://192.0.2.7:8786")
    assert "192.0.2.7" not in json.dumps(made())


def test_records_are_found_by_their_fields():
    store.append(made() | {"kind": "sweep"}, made(), made(target={"label": "prod"}))
    assert len(list(store.records(kind="sweep"))) == 1
    assert len(list(store.records(kind="suite", label="prod"))) == 1
    assert list(store.records(suite="nothing")) == []


def test_the_newest_are_those_of_the_last_run():
    store.append(made(run="a"), made(run="b"), made(run="b"))
    assert [one["run"] for one in store.records(newest=True)] == ["b", "b"]


@pytest.mark.parametrize("torn", [b'{"schema": 1, "kind": "sui', b'{"schema": 1}garbage', b"\xff\xfe", b"[]", b"7"])
def test_a_torn_line_costs_itself_and_nothing_else(place, torn):
    store.append(made(round=0))
    with place.open("ab") as file:
        file.write(torn)
    assert [one["round"] for one in store.records()] == [0]
    store.append(made(round=1))
    assert [one["round"] for one in store.records()] == [0, 1]


def test_records_of_a_later_schema_are_passed_over():
    store.append(made(schema=store.SCHEMA + 1), made())
    assert len(list(store.records())) == 1


def test_numbers_that_are_not_finite_come_back_as_not_told():
    store.append(made() | {"samples": {"bytes_moved": [1.5, math.nan, np.float64(2), np.int64(3)]}})
    (one,) = store.records()
    np.testing.assert_equal(store.samples(one, "bytes_moved"), [1.5, math.nan, 2, 3])
    assert store.samples(one, "tasks") == []


def test_a_full_disk_is_said_and_leaves_what_was_there(place, monkeypatch):
    store.append(made(round=0))
    before = place.read_bytes()
    written = []

    def full(descriptor: int) -> None:
        written.append(place.stat().st_size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(store.StoreError, match="No space left on device"):
        store.append(made(round=1))
    assert written[0] > len(before)
    assert place.read_bytes() == before


def test_a_device_that_is_always_full_is_said():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(store.StoreError, match="/dev/full: No space left"):
        store.append(made(), to=Path("/dev/full"))


def test_several_processes_write_whole_lines(place):
    code = "from benchmarks import store\nfor n in range(50): store.append(store.record('suite', pad='x' * 5000))"
    root = Path(__file__).parents[2]
    writers = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for _ in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    assert len(list(store.records())) == len(place.read_bytes().splitlines()) == 150


def test_processes_of_one_run_have_one_name(monkeypatch):
    monkeypatch.setenv(store.RUN, "shared")
    store.run_name.cache_clear()
    assert made()["run"] == "shared"
    store.run_name.cache_clear()


def test_every_measure_has_a_unit_and_a_trust():
    names = [name for trust in measures.Trust for name in measures.of(trust)]
    assert sorted(names) == sorted(measures.MEASURES)
    assert {measure.unit for measure in measures.MEASURES.values()} == {"tasks", "edges", "bytes", "seconds"}
