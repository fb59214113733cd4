"""Code of users: where it comes from, what must be in it, and how it runs on values through `openeo.udf`.

It runs with all the rights of the process that runs it, as nothing here keeps it from files or the network: a backend
for others must give each of them workers (and a client, see the setting `openeo.udf-trial`) that may do no harm.
"""

from __future__ import annotations

import ast
import platform
import traceback
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dask
import numpy as np
import xarray as xr

from openeo_processes_dask import dimensions
from openeo_processes_dask.exceptions import (
    FileNotFound,
    InvalidRuntime,
    InvalidVersion,
    ProcessParameterInvalid,
    UserCodeFailed,
    shown,
)

if TYPE_CHECKING:
    from openeo.udf.udf_data import UdfData

RUNTIME = "Python"
LARGEST = 2**20  # bytes of code that is read from a file or an address
TIMEOUT = 30.0  # seconds
FUNCTIONS = ("apply_datacube", "apply_hypercube", "apply_timeseries", "apply_vectorcube")
_FILE = "<string>"  # as openeo calls the file of the code


def source(given: Any) -> str:
    """The code: itself if it has several lines, else what lies at the address, or in the file of the user.

    Files lie in the folder of the setting `openeo.user-files`, which paths cannot leave; addresses are read from the
    hosts of the setting `openeo.url-hosts` only.

    Raises
    ------
    FileNotFound
        If there is no such file.
    ProcessParameterInvalid
        If it is no text, or the address is not allowed or cannot be read.
    """
    if not isinstance(given, str) or not given.strip():
        raise ProcessParameterInvalid(f"udf must be code, an address or a path, not {given!r}")
    if "\n" in given or "\r" in given:
        return given
    return _fetched(given) if given.lower().startswith(("http://", "https://")) else _read(given)


def _read(path: str) -> str:
    root = dask.config.get("openeo.user-files", None)
    if root is None:
        raise FileNotFound(
            f"no file {path!r}: the setting openeo.user-files names no folder, and code has several lines"
        )
    folder = Path(root).resolve()
    found = (folder / path.lstrip("/")).resolve()
    if not found.is_relative_to(folder) or not found.is_file():
        raise FileNotFound(f"no file {path!r} among those of the user")
    with found.open("rb") as file:
        return _decoded(file.read(LARGEST + 1), path)


def _fetched(address: str) -> str:
    host = urllib.parse.urlsplit(address).hostname
    allowed = dask.config.get("openeo.url-hosts", None) or []
    if host not in allowed:
        raise ProcessParameterInvalid(f"udf: nothing is read from {host!r}; the setting openeo.url-hosts has {allowed}")
    try:
        with _opener().open(address, timeout=TIMEOUT) as answer:
            return _decoded(answer.read(LARGEST + 1), address)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise ProcessParameterInvalid(f"udf: {address} cannot be read: {error}") from error


class _StayThere(urllib.request.HTTPRedirectHandler):
    """Does not follow to other addresses, which nobody has allowed."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_StayThere)


def _decoded(content: bytes, name: str) -> str:
    if len(content) > LARGEST:
        raise ProcessParameterInvalid(f"udf: {name} has more than {LARGEST} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ProcessParameterInvalid(f"udf: {name} holds no text") from error


def require_runtime(runtime: Any, version: Any) -> None:
    """Raise InvalidRuntime or InvalidVersion if this interpreter is not what is asked for."""
    if not isinstance(runtime, str) or runtime.casefold() != RUNTIME.casefold():
        raise InvalidRuntime(f"there is no runtime {shown(runtime)}, only {RUNTIME!r}")
    own = platform.python_version()
    parts = own.split(".")
    known = [".".join(parts[: n + 1]) for n in range(len(parts))]
    if version is not None and str(version) not in known:
        raise InvalidVersion(f"there is no version {version!r} of {RUNTIME}, only {known}")


def require_function(code: str) -> None:
    """Raise ProcessParameterInvalid if this is no Python, or holds none of the functions that openeo looks for."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise ProcessParameterInvalid(f"udf: this is no Python: {error}") from error
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    generic = any(len(node.args.args) == 1 and node.args.args[0].annotation is not None for node in found)
    imported = any(isinstance(node, (ast.ImportFrom, ast.Assign)) for node in tree.body)
    if not generic and not imported and not {node.name for node in found} & set(FUNCTIONS):
        raise ProcessParameterInvalid(
            f"udf: none of {', '.join(FUNCTIONS)} or a function of UdfData is among {[n.name for n in found]}"
        )


# --- running


def on_cube(code: str, cube: xr.DataArray, context: Any) -> xr.DataArray:
    """What the code makes of a cube in memory; one with geometries brings them as features.

    Raises
    ------
    UserCodeFailed
        If the code raises something, or returns something else than one cube.
    """
    from openeo.udf.feature_collection import FeatureCollection
    from openeo.udf.udf_data import UdfData
    from openeo.udf.xarraydatacube import XarrayDataCube

    found = dimensions.of_role(cube, "geometry")
    features = [FeatureCollection("data", _frame(cube, found[0]))] if found and found[0] in cube.coords else None
    # Some code changes what it gets.
    data = UdfData(_proj(cube), [XarrayDataCube(cube.copy())], features, user_context=_context(context))
    cubes = _run(code, data).get_datacube_list() or []
    if len(cubes) != 1:
        raise UserCodeFailed(f"the user's code returned {len(cubes)} cubes instead of one")
    made = cubes[0].get_array()
    return made if made.name == cube.name else made.rename(cube.name)


def on_features(code: str, features: Any, context: Any) -> Any:
    """What the code makes of a table of features."""
    from openeo.udf.feature_collection import FeatureCollection
    from openeo.udf.udf_data import UdfData

    data = UdfData(feature_collection_list=[FeatureCollection("data", features.copy())], user_context=_context(context))
    made = _run(code, data)
    return _only([one.data for one in made.get_structured_data_list() or []]) or _only(
        [one.data for one in made.get_feature_collection_list() or []]
    )


def on_plain(code: str, values: Any, context: Any) -> Any:
    """What the code makes of plain values: it gets and returns structured data."""
    from openeo.udf.structured_data import StructuredData
    from openeo.udf.udf_data import UdfData

    data = UdfData(structured_data_list=[StructuredData(values)], user_context=_context(context))
    return _only([one.data for one in _run(code, data).get_structured_data_list() or []])


def _only(found: Sequence[Any]) -> Any:
    return found[0] if len(found) == 1 else list(found) or None


def _context(context: Any) -> dict[str, Any]:
    return dict(context) if isinstance(context, dict) else {} if context is None else {"context": context}


def _proj(cube: xr.DataArray) -> dict[str, Any]:
    crs = dimensions.crs(cube)
    if crs is None:
        return {}
    code = crs.to_epsg()
    return {"EPSG": code} if code else {"WKT": crs.to_wkt()}


def _frame(cube: xr.DataArray, name: str) -> Any:
    import geopandas

    return geopandas.GeoDataFrame(geometry=cube.coords[name].values, crs=dimensions.crs(cube))


def _run(code: str, data: UdfData) -> UdfData:
    from openeo.udf.run_code import run_udf_code

    with _Failures(code), np.errstate(all="warn"):
        return run_udf_code(code, data)


class _Failures:
    """Says of whatever the code raises what and where: its class may not exist where the message is read."""

    def __init__(self, code: str):
        self.code = code

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> Literal[False]:
        if isinstance(error, Exception):
            raise UserCodeFailed(_said(self.code, error)) from None
        return False


def _said(code: str, error: BaseException) -> str:
    """The error and where in the user's code it came from."""
    lines = code.splitlines()
    text = f"{type(error).__name__}: {error}"
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
    shown = [
        f"  line {f.lineno} in {f.name}: {lines[f.lineno - 1].strip() if f.lineno and f.lineno <= len(lines) else ''}"
        for f in places[-3:]
    ]
    return "\n".join([f"the user's code failed: {text}", *shown])
