"""The three workflows of examples/workflows, on a real scene on disk."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed

from openeo_processes_dask.execution import execute

from . import metrics
from .scenes import Scene, sentinel2

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ROOT / "examples" / "workflows"
SCENES = "OPENEO_BENCHMARKS_SCENES"  # a folder that the workers see too
SUFFIXES = {"ndvi_composite": ".tif", "monthly_ndvi": ".nc", "stac_to_grid": ".zarr"}
PIXELS = {"default": (1024, 12), "suites": (512, 12), "smallest": (64, 6)}  # rows and columns, dates


@dataclass(frozen=True)
class Outcome:
    """What one workflow cost, end to end, and where its result lies."""

    name: str
    summary: str
    path: Path
    build_seconds: float
    seconds: float
    tasks: int  # in the optimized graph, before saving
    computed: int  # on the cluster in all, saving included
    eager: int  # of these, while building


def names() -> list[str]:
    """The workflows, in the order in which they are told."""
    return list(SUFFIXES)


def scene(size: str = "default") -> Scene:
    """The scene on disk; it is written when it is first asked for. Suites, which read it often, have a smaller one."""
    pixels, dates = PIXELS[size]
    folder = Path(os.environ.get(SCENES) or ROOT / ".asv" / "scenes")
    return sentinel2(folder / f"sentinel-2_{pixels}x{dates}", size=pixels, dates=dates)


def document(name: str) -> dict[str, Any]:
    """The process graph with its parameters, as JSON has it."""
    return json.loads((DOCUMENTS / f"{name}.json").read_text())


def parameters(name: str, source: Scene, path: Path | None = None) -> dict[str, Any]:
    """What a workflow is told: where the scene lies, and where the result goes."""
    place = str(path or "unused")
    if name == "stac_to_grid":  # the middle of the scene, in degrees where its pixels are in metres
        return {"url": str(source.catalog), "spatial_extent": source.extent(0.8), "path": place}
    return {"id": str(source.cogs), "path": place}


def lazy(name: str, source: Scene) -> Any:
    """What a workflow would save."""
    graph = document(name)
    (last,) = (node for node in graph["process_graph"].values() if node.get("result"))
    return execute(graph, parameters(name, source), node=last["arguments"]["data"]["from_node"])


def run(name: str, source: Scene, folder: Path, client: distributed.Client) -> Outcome:
    """Run a workflow from the files to the file, on the cluster of a client."""
    path = folder.absolute() / f"{name}{SUFFIXES[name]}"
    folder.mkdir(parents=True, exist_ok=True)
    _remove(path)
    began = time.perf_counter()
    with metrics.Tally(client) as building:
        result = lazy(name, source)
    built = time.perf_counter()
    tasks = metrics.graph_of(result).tasks
    with metrics.Tally(client) as running:
        start = time.perf_counter()
        execute(document(name), parameters(name, source, path))
        end = time.perf_counter()
    return Outcome(
        name=name,
        summary=document(name)["summary"],
        path=path,
        build_seconds=built - began,
        seconds=end - start,
        tasks=tasks,
        computed=running.tasks,
        eager=building.tasks,
    )


def _remove(path: Path) -> None:
    """What an earlier run wrote there, and the STAC document beside it."""
    path.with_name(f"{path.name}.stac.json").unlink(missing_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
