"""A cluster without the package gets it where one asks for that, and is refused with the remedy where not."""

from __future__ import annotations

import pytest

from benchmarks import shipping, target
from benchmarks.cubes.indices import Ndvi
from tests.clusters import separate_processes


def test_what_is_shipped_follows_from_the_files_alone():
    shipping.packed.cache_clear()
    first = shipping.packed(target.PACKAGE)
    shipping.packed.cache_clear()
    assert shipping.packed(target.PACKAGE) == first


def test_a_cluster_without_the_package_is_refused_unless_it_is_shipped(tmp_path, monkeypatch):
    with separate_processes(tmp_path, package=False) as address:
        monkeypatch.setenv(target.ADDRESS, address)
        with pytest.raises(target.TargetError, match=r"cannot import .* --ship"):
            target.connect()
        monkeypatch.setenv(shipping.SHIP, "1")
        client = target.connect()
        try:
            here = target.local_code()
            assert {code.hash for code in target.remote_code(client).values()} == {here.hash}
            suite = Ndvi()
            suite.size = "smallest"
            assert suite.run().computed > 0
            # Workers that are started anew, by their nannies, get it too.
            client.restart(timeout=60)
            assert {code.hash for code in target.remote_code(client).values()} == {here.hash}
        finally:
            target.close()
