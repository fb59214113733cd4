"""Two overlapping Landsat 8 scenes that lie beside the repository on some machines, and a STAC catalogue of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

from . import folders

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "landsat8"
COLLECTION = "landsat-8"
DESCRIPTION = "Two Landsat 8 scenes of 18 May 2020, path 224, rows 77 and 78. Courtesy of the U.S. Geological Survey."
ROWS = (77, 78)
BANDS = {"B3": ("green", 0.561), "B4": ("red", 0.655)}
SEEN = dt.datetime(2020, 5, 18, 13, 45, tzinfo=dt.UTC)


@dataclasses.dataclass(frozen=True)
class Landsat:
    """The files by scene and band, and the catalogue that points at them."""

    files: dict[str, dict[str, Path]]
    catalog: Path

    @property
    def collection(self) -> Path:
        return self.catalog.parent / COLLECTION / "collection.json"


def landsat8(folder: str | Path, shared: str | Path | None = None) -> Landsat | None:
    """Write a catalogue of the two scenes into a folder; None where the scenes are absent.

    Parameters
    ----------
    folder
        Gets `catalog.json` and the subfolder `landsat-8`; the items point at the files where they are.
    shared
        The folder that holds the GeoTIFFs; else `../shared/data/landsat8` beside the repository.
    """
    source = Path(shared).absolute() if shared is not None else BESIDE
    files = {_scene(row): {band: source / f"{_scene(row)}_{band}.TIF" for band in BANDS} for row in ROWS}
    if not all(path.is_file() for scene in files.values() for path in scene.values()):
        return None
    target = Path(folder).absolute()
    parameters = {"layout": 1, "source": str(source)}
    folders.write_folder(target, parameters, lambda place: _write(place, files), names=("catalog.json", COLLECTION))
    return Landsat(files, target / "catalog.json")


def _scene(row: int) -> str:
    return f"LC08_L1TP_224{row:03}_20200518_20200518_01_RT"


def _write(place: Path, files: dict[str, dict[str, Path]]) -> None:
    import rasterio

    from .catalogue import GEOTIFF, Band, Entry, write_catalogue

    entries = []
    for scene, paths in files.items():
        with rasterio.open(paths["B4"]) as file:
            epsg, transform, shape = file.crs.to_epsg(), file.transform, file.shape
        entries.append(Entry(scene, SEEN, epsg, transform, shape, {band: str(path) for band, path in paths.items()}))
    bands = [Band(name, "uint16", *about) for name, about in BANDS.items()]
    write_catalogue(place, COLLECTION, DESCRIPTION, bands, entries, GEOTIFF)
