"""Writes the specification of a process from its declaration: signature, types and docstring say it all."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openeo_processes_dask import aliases, exceptions
from openeo_processes_dask.declare import DECLARED, Process
from openeo_processes_dask.vocabulary import NOT_GIVEN

FOLDER = Path(__file__).parent / "openeo-processes"
# What any process raises on arguments that do not fit its parameters; the specifications do not list these.
_OF_ANY_PROCESS = {"ProcessParameterInvalid", "ProcessParameterMissing", "ProcessParameterUnsupported"}
_SECTION = re.compile(r"^(Parameters|Returns|Raises|Notes|Examples|See Also|References|Warnings)\n-+\n", re.MULTILINE)


def document(process: Process) -> dict[str, Any]:
    """The JSON document of a process."""
    sections = _sections(inspect.getdoc(process.function) or "")
    summary, _, description = sections[""].partition("\n")
    said = _entries(sections.get("Parameters", ""))
    found: dict[str, Any] = {
        "id": process.id,
        "summary": summary.rstrip("."),
        "description": _paragraphs(description) or summary,
        "categories": list(process.categories),
    }
    if process.experimental:
        found["experimental"] = True
    found["parameters"] = [_parameter(process, name, said.get(name)) for name in process.parameters]
    result = process.schemas["return"]
    found["returns"] = {
        "description": _paragraphs(sections.get("Returns", "")) or result.description,
        "schema": result.document,
    }
    codes = [code for code in _entries(sections.get("Raises", "")) if code not in _OF_ANY_PROCESS]
    if codes:
        found["exceptions"] = {code: {"message": _message(code)} for code in codes}
    return found


def documents() -> dict[str, dict[str, Any]]:
    """The documents of all processes by id, and by older names, which are marked as such."""
    current = {process.id: document(process) for process in DECLARED.values()}
    older = {old: {"id": old, "deprecated": True} for old in aliases.PROCESSES}
    return current | {old: current[aliases.PROCESSES[old]] | marks for old, marks in older.items()}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the documents of all processes, one file each, and remove those of processes that are gone."""
    folder.mkdir(exist_ok=True)
    files = {folder / f"{name}.json": text(found) for name, found in documents().items()}
    for path, content in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
    for path in set(folder.glob("*.json")) - set(files):
        path.unlink()
    return sorted(files)


def text(found: dict[str, Any]) -> str:
    """A document as it is written to its file."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _parameter(process: Process, name: str, said: str | None) -> dict[str, Any]:
    schema, default = process.schemas[name], process.parameters[name].default
    found: dict[str, Any] = {"name": name, "description": said or schema.description, "schema": schema.document}
    if schema.deprecated:
        found["deprecated"] = True
    if default is not inspect.Parameter.empty:
        found["optional"] = True
        if default is not NOT_GIVEN:
            found["default"] = _json(default)
    return found


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _json(inner) for name, inner in value.items()}
    return [_json(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _message(code: str) -> str:
    meaning = getattr(exceptions, code).__doc__ or code
    return str(meaning).strip().splitlines()[0]


def _sections(docstring: str) -> dict[str, str]:
    """The sections of a docstring by their headings; what comes before them has none."""
    parts = _SECTION.split(docstring)
    return {"": parts[0].strip(), **dict(zip(parts[1::2], parts[2::2], strict=True))}


def _entries(section: str) -> dict[str, str]:
    """The names in a section and what is said of each."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", section.strip()):
        name, _, said = entry.partition("\n")
        if name.strip():
            found[name.split(":")[0].strip()] = _paragraphs(textwrap.dedent(said))
    return found


def _paragraphs(prose: str) -> str:
    """Lines that were broken to fit are joined; paragraphs and lists stay apart."""
    blocks = [block for block in re.split(r"\n\s*\n", prose.strip()) if block]
    return "\n\n".join(
        block if block.lstrip().startswith(("- ", "* ")) else " ".join(block.split()) for block in blocks
    )


def main() -> None:
    """Write all documents beside this module."""
    from openeo_processes_dask import process_implementations  # noqa: F401 - it declares them

    write()


if __name__ == "__main__":
    main()
