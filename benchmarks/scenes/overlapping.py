"""Four images of one instant that overlap in the middle and differ there, and a catalogue of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from . import folders
from .sentinel import Scene

BAND = "B04"
SEEN = "2023-04-03T10:00:00Z"


@dataclasses.dataclass(frozen=True)
class Overlapping:
    """A folder with the images, in the order in which they count, and an ItemCollection."""

    folder: Path

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"part{number}.tif" for number in range(4)]

    @property
    def catalog(self) -> Path:
        return self.folder / "parts.json"


def overlapping(scene: Scene) -> Overlapping:
    """Write the images beside a scene, of whose first date they are quarters with a rim, or find them there."""
    made = Overlapping(scene.folder.with_name(f"{scene.folder.name}-overlapping"))
    names = (made.catalog.name, *(path.name for path in made.files))
    parameters = {"layout": 1, "scene": scene.folder.name, "size": scene.size}
    folders.write_folder(made.folder, parameters, lambda place: _write(place, scene), names=names)
    return made


def _write(place: Path, scene: Scene) -> None:
    import numpy as np
    import rasterio
    from rasterio.windows import Window

    half, rim = scene.size // 2, scene.size // 16
    items = []
    with rasterio.open(scene.files[f"{scene.moments[0]:%Y-%m-%d}", BAND]) as file:
        place_of = {"crs": file.crs, "nodata": 0, "dtype": "uint16", "width": half + rim, "height": half + rim}
        for number, path in enumerate(Overlapping(place).files):
            row, column = (side * (half - rim) for side in divmod(number, 2))
            window = Window(column, row, half + rim, half + rim)
            values = file.read(1, window=window)
            profile = place_of | {"transform": file.window_transform(window), "blocksize": 256, "compress": "deflate"}
            with rasterio.open(path, "w", driver="COG", count=1, **profile) as part:
                part.write(np.where(values == 0, 0, np.minimum(values, 60_000) + number), 1)
            items.append(
                {
                    "type": "Feature",
                    "id": path.stem,
                    "properties": {"datetime": SEEN},
                    "assets": {"a": {"href": f"./{path.name}", "type": "image/tiff", "roles": ["data"]}},
                }
            )
    (place / "parts.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
