"""Imports only go down: words, kernels, processes, catalogue, execution."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "openeo_processes_dask"
NAME = PACKAGE.name
FLOORS = [
    {"exceptions", "vocabulary", "declare", "aliases"},
    {
        "kernels",
        "dimensions",
        "arguments",
        "coarsening",
        "geometries",
        "segments",
        "turns",
        "globe",
        "vectors",
        "zones",
        "overlap",
        "expressions",
        "foreign",
        "selecting",
        "graphs",
        "callbacks",
        "checking",
        "lazy",
        "reducing",
        "scheduling",
        "rows",
        "grouping",
        "values",
        "grids",
        "passages",
        "places",
        "usercode",
        "neighborhoods",
        "blocks",
    },
    {"process_implementations"},
    {"specs"},
    {"execution"},
]
KERNELS_KNOW_NOT = {"xarray", "dask", f"{NAME}.exceptions", f"{NAME}.callbacks", f"{NAME}.expressions"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    package = (NAME, *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def floor_of(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part == "__init__":
        assert not imported(path) - {"__future__"}, "importing the package costs nothing"
        return
    own = floor_of(part)
    for name in imported(path):
        assert not name.startswith(("benchmarks", "tests", "examples")), f"{path} looks out of the house: {name}"
        if name.startswith(f"{NAME}.") and name != f"{NAME}.__version__":
            assert floor_of(name.split(".")[1]) <= own, f"floor {own} imports {name} from above"
        if part == "kernels":
            assert name not in KERNELS_KNOW_NOT, f"a kernel does not know {name}"


def test_every_part_has_a_floor() -> None:
    parts = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in FILES} - {"__init__"}
    assert parts == set().union(*FLOORS)
    assert len(FILES) > 20
