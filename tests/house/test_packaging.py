"""What the package imports it also asks for, and nothing committed ties it to one machine or index."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = (ROOT / "constraints.txt").read_text().splitlines()
REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def canonical(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list) -> set[str]:
    """Canonical names of a list of requirements, without their bounds."""
    return {canonical(REQUIREMENT.match(line).group()) for line in requirements if isinstance(line, str)}


def imported_from(folder: str) -> set[str]:
    """Top-level names that the files of a folder import, wherever in the file."""
    names = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"openeo_processes_dask", "benchmarks", "tests"}


def undeclared(modules: set[str], declared: set[str]) -> dict[str, list[str]]:
    """Modules that none of the declared distributions brings, with those that do."""
    bringers = importlib.metadata.packages_distributions()
    return {
        module: bringers.get(module, [])
        for module in modules
        if declared.isdisjoint(map(canonical, bringers.get(module, [])))
    }


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Iterator[zipfile.ZipFile]:
    """The wheel that an installation builds."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from poetry.core.masonry.api import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=120)
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        yield opened


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel):
    package = ROOT / "openeo_processes_dask"
    wanted = {
        str(file.relative_to(ROOT)) for ending in ("py", "json", "typed") for file in package.rglob(f"*.{ending}")
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == wanted | {"openeo_processes_dask/py.typed"}


def test_the_wheel_names_the_extras_that_others_ask_for(wheel):
    (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    assert set(message_from_bytes(wheel.read(metadata)).get_all("Provides-Extra")) == {"implementations", "ml"}


def test_what_the_package_imports_is_a_requirement():
    assert undeclared(imported_from("openeo_processes_dask"), named(PROJECT["project"]["dependencies"])) == {}


def test_what_the_benchmarks_and_tests_import_is_in_a_group():
    groups = PROJECT["dependency-groups"]
    declared = named(PROJECT["project"]["dependencies"]) | named(groups["bench"])
    assert undeclared(imported_from("benchmarks"), declared) == {}
    assert undeclared(imported_from("tests"), declared | named(groups["test"])) == {}


def test_every_requirement_is_pinned():
    groups = PROJECT["dependency-groups"].values()
    wanted = named(PROJECT["project"]["dependencies"]).union(*map(named, groups))
    assert wanted <= named(PINS)


def test_constraints_are_nothing_but_pins():
    assert [pin for pin in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[^ @;]+", pin)] == []


def test_no_committed_file_names_a_package_index():
    files = tracked_files()
    if not files:
        pytest.skip("not a git checkout")
    # In pieces, or this file would be the one that names them.
    forbidden = [b"pypi." + b"org", b"python" + b"hosted.", b"--index" + b"-url", b"--extra-index" + b"-url"]
    found = {
        str(file.relative_to(ROOT)): word
        for file in files
        if file.is_file()
        for word in forbidden
        if word in file.read_bytes()
    }
    assert found == {}
