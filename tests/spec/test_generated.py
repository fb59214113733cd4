"""The documents on disk are those that the declarations give, and the catalogue serves them all."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

from openeo_processes_dask import aliases, process_implementations, specs
from openeo_processes_dask.declare import DECLARED
from openeo_processes_dask.specs import generate
from openeo_processes_dask.vocabulary import NO_OPTIONS

PYTHONS = {"_all", "_and", "_any", "_if", "_int", "_max", "_min", "_not", "_or", "_round", "_sum"}


def test_the_documents_on_disk_are_fresh() -> None:
    on_disk = {path.stem: path.read_text("utf-8") for path in generate.FOLDER.glob("*.json")}
    expected = {name: generate.text(found) for name, found in generate.documents().items()}
    assert on_disk == expected, "run `python -m openeo_processes_dask.specs.generate`"


def test_writing_replaces_and_removes(tmp_path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "mean.json").write_text("old")
    (folder / "gone.json").write_text("{}")
    generate.write(folder)
    assert {path.stem for path in folder.glob("*")} == {*DECLARED, *aliases.PROCESSES}
    assert json.loads((folder / "mean.json").read_text("utf-8"))["id"] == "mean"


def test_a_process_answers_to_all_its_names() -> None:
    assert specs.mean["id"] == "mean"
    assert specs._min is specs.min_ is specs.min
    assert isinstance(specs._if, dict)


def test_a_name_that_is_no_process_is_no_attribute() -> None:
    assert not hasattr(specs, "median_of_nothing")
    assert not hasattr(specs, "__wrapped__")


def test_star_import_gives_every_process_and_hides_nothing_of_python() -> None:
    namespace: dict[str, object] = {}
    exec("from openeo_processes_dask.specs import *", namespace)
    names = set(namespace) - {"__builtins__"}
    assert names == set(specs.__all__)
    assert {name.strip("_") for name in names} == {*DECLARED, *aliases.PROCESSES}
    assert {name for name in names if name.startswith("_")} <= PYTHONS
    assert all(isinstance(namespace[name], dict) for name in names)


def test_every_function_of_the_flat_namespace_has_a_document() -> None:
    functions = [function for _, function in inspect.getmembers(process_implementations, inspect.isfunction)]
    assert {getattr(specs, function.__name__)["id"] for function in functions} == {*DECLARED, *aliases.PROCESSES}


def test_importing_the_catalogue_imports_no_process() -> None:
    check = (
        "import sys, openeo_processes_dask.specs as s; loaded = {'numpy', 'xarray', 'dask'} & set(sys.modules); "
        "assert not loaded, loaded; assert s.mean['id'] == 'mean'"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_every_document_says_something() -> None:
    for process in DECLARED.values():
        found = generate.document(process)
        assert found["summary"], process.id
        assert found["returns"]["description"], process.id
        assert all(parameter["description"] for parameter in found["parameters"]), process.id
        assert all(each["message"] for each in found.get("exceptions", {}).values()), process.id


def test_defaults_are_json() -> None:
    assert generate._json(NO_OPTIONS) == {}
    assert generate._json(()) == []
    json.dumps([generate.document(process) for process in DECLARED.values()])
