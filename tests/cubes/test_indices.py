"""The vegetation index."""

from __future__ import annotations

import numpy as np
import pytest

from openeo_processes_dask import exceptions
from openeo_processes_dask.process_implementations import cubes
from tests.cubes import cases
from tests.laziness import nothing_computed


def expected(array: np.ndarray, nodata: int | None = None) -> np.ndarray:
    red, nir = cases.gapped(array, nodata)[:, 1], cases.gapped(array, nodata)[:, 2]
    with np.errstate(all="ignore"):
        return (nir - red) / (nir + red)


@pytest.mark.parametrize("chunks", [None, cases.AWKWARD, {"bands": -1, "y": 4}])
@pytest.mark.parametrize(("dtype", "nodata"), [("float32", None), ("uint8", 0), ("uint16", None), ("int16", 0)])
def test_ndvi_equals_numpy_for_any_type(chunks: dict | None, dtype: str, nodata: int | None) -> None:
    array = cases.values(dtype=dtype)
    cube = cases.cube(array, chunks, nodata=nodata).assign_coords(common_name=("bands", ["blue", "red", "nir"]))
    with nothing_computed():
        result = cubes.ndvi(cube)
    assert result.dims == ("t", "y", "x")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected(array, nodata), rtol=1e-4, atol=1e-6)


def test_bands_in_one_chunk_cost_one_task_a_chunk() -> None:
    cube = cases.cube(chunks={"t": 2, "y": 4})
    result = cubes.ndvi(cube, nir="B08", red="B04")
    assert cases.tasks(result.data) - cases.tasks(cube.data) == cube.data.npartitions


def test_a_target_band_is_added() -> None:
    array = cases.values()
    cube = cases.cube(array, cases.AWKWARD)
    result = cubes.ndvi(cube, nir="B08", red="B04", target_band="ndvi")
    assert result.bands.values.tolist() == ["B02", "B04", "B08", "ndvi"]
    np.testing.assert_array_equal(result.values[:, :3], array)
    np.testing.assert_allclose(result.values[:, 3], expected(array), rtol=1e-4)


def test_bad_bands_have_their_codes() -> None:
    cube = cases.cube()
    with pytest.raises(exceptions.NirBandAmbiguous, match=r"'nir'.*B02"):
        cubes.ndvi(cube)
    with pytest.raises(exceptions.RedBandAmbiguous, match="'red'"):
        cubes.ndvi(cube, nir="B08")
    with pytest.raises(exceptions.BandExists, match="'B02'"):
        cubes.ndvi(cube, nir="B08", red="B04", target_band="B02")
    with pytest.raises(exceptions.DimensionAmbiguous):
        cubes.ndvi(cube.isel(bands=0, drop=True))


def test_bands_in_several_chunks_are_found_wherever_they_lie() -> None:
    array = cases.values((2, 3, 3, 3))
    cube = cases.cube(array, {"bands": 2})
    names = cube.bands.values.tolist()
    found = cubes.ndvi(cube, nir=names[2], red=names[1])
    np.testing.assert_allclose(found, (array[:, 2] - array[:, 1]) / (array[:, 2] + array[:, 1]), rtol=1e-6)
