"""Sweeps made up for tests: records as the store has them, of times that are known."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks import store
from benchmarks.scaling.curves import Curve, Point

PER_THREAD = 16


def record(
    times: dict[int, list[float]],
    mode: str = "strong",
    label: str = "embedded",
    probes: tuple[float, float] | None = (1.0, 1.0),
    title: str = "cubes.indices.Ndvi",
    **fields: Any,
) -> dict[str, Any]:
    """The record of a sweep with these seconds of each round."""
    most = max(times, default=1)

    def point(threads: int, round_: int, seconds: float, probe: str = "", restricted: bool = True) -> Point:
        chunks = PER_THREAD * (threads if mode == "weak" else most)
        costs = {"compute_seconds": seconds, "bytes_moved": 1e6 * (threads - 1), "peak_worker_memory": 1e9 / threads}
        return Point(threads, threads, restricted, round_, probe, 1_000_000 * chunks, chunks, costs)

    points = [point(n, round_, one) for n, rounds in times.items() for round_, one in enumerate(rounds)]
    if times:
        points.append(point(most, 0, times[most][0] * 1.1, restricted=False))
    if probes:
        first, last = probes
        points = [point(min(times), -1, first, "first"), *points, point(min(times), 9, last, "last")]
    growth = [
        {"bytes": 10**6 * n, "chunks": n, "graph": {"tasks": n + n // 8, "critical_path": 3, "edges": n}}
        for n in (16, 64, 256)
    ]
    made = store.record(
        "sweep",
        suite=title,
        settings={"title": title, "mode": mode, "threads": list(times), "rounds": 3},
        points=[asdict(one) for one in points],
        growth=growth,
    )
    made["target"] = {"label": label}
    made["crew"] = {"workers": most, "threads": most, "hosts": 1, "memory": 8 * 10**9}
    return {**made, **fields}


def curve(times: dict[int, list[float]], **options: Any) -> Curve:
    """The same, read."""
    return Curve(record(times, **options))
