"""GeoParquet as geopandas writes it, in every encoding: what geopandas reads again, and each byte once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import geopandas
import numpy as np
import pytest
import shapely

from benchmarks import reading
from openeo_processes_dask import exceptions, vectors
from openeo_processes_dask.process_implementations.cubes import load_uploaded_files


def rows(count: int = 5, crs: Any = 4326) -> geopandas.GeoDataFrame:
    places = np.random.default_rng(0).uniform(0, 10, (count, 2))
    columns = {"name": [f"p{i}" for i in range(count)], "size": np.arange(count) / 2}
    return geopandas.GeoDataFrame(columns, geometry=shapely.points(places), crs=crs)


def load(path: Path) -> Any:
    with dask.config.set({"openeo.uploads": str(path.parent)}):
        return load_uploaded_files([path.name], "GeoParquet")


@pytest.mark.parametrize("crs", [4326, 32632, None, "OGC:CRS84"])
@pytest.mark.parametrize(("encoding", "count"), [("WKB", 0), ("WKB", 1), ("WKB", 5), ("geoarrow", 1), ("geoarrow", 5)])
def test_what_geopandas_writes_is_what_it_reads(tmp_path: Path, encoding: str, crs: Any, count: int) -> None:
    rows(count, crs).to_parquet(tmp_path / "a.parquet", geometry_encoding=encoding, schema_version="1.1.0")
    expected = geopandas.read_parquet(tmp_path / "a.parquet")
    found = vectors.read(load(tmp_path / "a.parquet"))
    assert shapely.equals(found.shapes, expected.geometry.values).all()
    assert len(found.shapes) == count
    assert found.crs == expected.crs
    assert {name: list(values) for name, values in found.properties.items()} == {
        name: expected[name].tolist() for name in ("name", "size")
    }


def test_geometries_may_be_missing_and_columns_may_be_an_index(tmp_path: Path) -> None:
    made = rows().set_index("name")
    made.loc["p3", "geometry"] = None
    made.to_parquet(tmp_path / "a.parquet")
    found = vectors.read(load(tmp_path / "a.parquet"))
    assert found.shapes[3] is None or shapely.is_empty(found.shapes[3])
    assert shapely.equals(found.shapes[[0, 1, 2, 4]], rows().geometry.values[[0, 1, 2, 4]]).all()
    assert list(found.properties["size"]) == [0, 0.5, 1, 1.5, 2]


def test_another_column_of_geometries_is_no_primary_one(tmp_path: Path) -> None:
    made = rows()
    made["around"] = geopandas.GeoSeries(shapely.buffer(made.geometry.values, 1), crs=4326)
    made.to_parquet(tmp_path / "a.parquet")
    assert shapely.get_type_id(vectors.read(load(tmp_path / "a.parquet")).shapes).tolist() == [0] * 5


def test_a_table_without_geometries_is_refused(tmp_path: Path) -> None:
    rows().drop(columns="geometry").to_parquet(tmp_path / "a.parquet")
    with pytest.raises(exceptions.FormatUnsuitable, match=r"a\.parquet cannot be read as GeoParquet"):
        load(tmp_path / "a.parquet")


@pytest.mark.skipif(not reading.COUNTER.exists(), reason="this system does not count what is read")
def test_each_byte_is_read_once(tmp_path: Path) -> None:
    rows(100_000).to_parquet(tmp_path / "a.parquet", compression=None)
    load(tmp_path / "a.parquet")
    with reading.counted() as read:
        load(tmp_path / "a.parquet")
    size = (tmp_path / "a.parquet").stat().st_size
    assert size < read.bytes < 1.2 * size
