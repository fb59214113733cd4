"""The words of the openEO specifications: argument types that carry their JSON schema, and promises of scaling."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final

import xarray as xr


class Scaling(enum.Enum):
    """How the work of a process grows with the cube: what every process promises where it is declared."""

    BLOCKWISE = "one task per block; no block meets another"
    TREE = "partial results per block, then a tree that combines them"
    SCAN = "block after block along a dimension, each of which hands on what the next one starts from"
    OVERLAP = "blocks with halos of their neighbours"
    SHUFFLE = "one rechunk, so that a dimension lies in one chunk, then one task per block"
    EAGER = "needs values now"


class NotGiven:
    """The default of an optional parameter for which the specification names no default."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven()
NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


class Schema:
    """The JSON schema of a parameter or a result, and a few words on it.

    `callback` holds the names of the values that a child process receives, in the order of the specification.
    """

    def __init__(
        self,
        document: dict[str, Any] | list[Any],
        description: str = "",
        callback: tuple[str, ...] = (),
        deprecated: bool = False,
    ):
        self.document = document
        self.description = description
        self.callback = callback
        self.deprecated = deprecated

    def __repr__(self) -> str:
        return f"Schema({self.document!r})"


def _type(*names: str, **more: Any) -> dict[str, Any]:
    return {"type": names[0] if len(names) == 1 else list(names), **more}


def _cube(*dimensions: dict[str, Any]) -> dict[str, Any]:
    return _type("object", subtype="datacube", **({"dimensions": list(dimensions)} if dimensions else {}))


def _array(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _type("array", items=items, **more)


def _process(values: dict[str, Any], returns: dict[str, Any], *, context: bool = True) -> dict[str, Any]:
    parameters = [{"name": name, "schema": schema} for name, schema in values.items()]
    if context:
        parameters.append({"name": "context", "schema": {}, "optional": True, "default": None})
    return _type("object", subtype="process-graph", parameters=parameters, returns={"schema": returns})


_SPATIAL = {"type": "spatial", "axis": ["x", "y"]}
_TEMPORAL = {"type": "temporal"}
_BANDS = {"type": "bands"}
_GEOMETRY = {"type": "geometry"}
_NULL = _type("null")
_NUMBER = _type("number")
_MAYBE_NUMBER = _type("number", "null")
_LABEL = [_type("number"), _type("string")]
_BAND = _type("string", subtype="band-name")
_DATE_TIME = _type("string", format="date-time", subtype="date-time")
_DATE = _type("string", format="date", subtype="date")
_CRS = [_type("integer", subtype="epsg-code", minimum=1000), _type("string", subtype="wkt2-definition")]
_LABELED = _array({}, subtype="labeled-array")
_GEOJSON = _type("object", subtype="geojson")

# --- plain values
Anything = Annotated[Any, Schema({}, "Any value.")]
Number = Annotated[Any, Schema(_MAYBE_NUMBER, "A number or no-data.")]
NumberFromZero = Annotated[Any, Schema({**_MAYBE_NUMBER, "minimum": 0}, "A number of at least zero, or no-data.")]
Replacement = Annotated[
    Any,
    Schema(
        [_NUMBER, _type("boolean"), _type("string"), _NULL], "What replaces masked values; null for the no-data value."
    ),
]
Sign = Annotated[Any, Schema({**_MAYBE_NUMBER, "enum": [-1, 0, 1, None]}, "Minus one, zero, one or no-data.")]
PositiveNumber = Annotated[Any, Schema({**_MAYBE_NUMBER, "minimumExclusive": 0}, "A number above zero, or no-data.")]
NumberFromOne = Annotated[Any, Schema({**_MAYBE_NUMBER, "minimum": 1}, "A number of at least one, or no-data.")]
UnitNumber = Annotated[
    Any, Schema({**_MAYBE_NUMBER, "minimum": -1, "maximum": 1}, "A number from -1 to 1, or no-data.")
]
InnerUnitNumber = Annotated[
    Any,
    Schema({**_MAYBE_NUMBER, "minimumExclusive": -1, "maximumExclusive": 1}, "A number between -1 and 1, or no-data."),
]
WholeNumber = Annotated[Any, Schema(_type("integer", "null"), "A whole number, or no-data.")]
Integer = Annotated[int, Schema(_type("integer"), "A whole number.")]
PlainNumber = Annotated[Any, Schema(_NUMBER, "A number.")]
NormalizedNumber = Annotated[Any, Schema({**_NUMBER, "minimum": -1, "maximum": 1}, "A number between -1 and 1.")]
Delta = Annotated[Any, Schema({**_MAYBE_NUMBER, "minimumExclusive": 0}, "The largest difference that counts as equal.")]
Flag = Annotated[bool, Schema(_type("boolean"), "True or false.")]
Truth = Annotated[Any, Schema(_type("boolean", "null"), "True, false or no-data.")]
Scalar = Annotated[
    Any, Schema(_type("number", "boolean", "string", "null"), "A number, a truth value, a text or no-data.")
]
Index = Annotated[Any, Schema(_type("integer", minimum=0), "A position, counted from zero.")]
Label = Annotated[Any, Schema(_LABEL, "A label.")]
Text = Annotated[str, Schema(_type("string"), "A text.")]
Separator = Annotated[str, Schema(_type("string", minLength=1), "A text that stands between parts of a label.")]

# --- arrays
Numbers = Annotated[Any, Schema(_array(_MAYBE_NUMBER), "Numbers, no-data among them.")]
Truths = Annotated[Any, Schema(_array(_type("boolean", "null")), "Truth values, no-data among them.")]
Values = Annotated[Any, Schema(_array({}), "Values of any type.")]
Extrema = Annotated[
    Any,
    Schema(
        [_array(_NUMBER, minItems=2, maxItems=2), _array(_NULL, minItems=2, maxItems=2)],
        "The smallest and the largest value.",
    ),
]
Probabilities = Annotated[
    Any,
    Schema(
        [_array({**_NUMBER, "minimum": 0, "maximum": 1}, uniqueItems=True), _type("integer", minimum=2)],
        "Probabilities that ascend, or the number of intervals of equal probability.",
    ),
]
OptionalLabel = Annotated[Any, Schema([*_LABEL, _NULL], "A label; null for none.")]
LabelList = Annotated[
    Any, Schema(_array(_type("number", "string"), uniqueItems=True), "Labels that differ from each other.")
]
Labels = Annotated[Any, Schema(_array(_type("number", "string")), "Labels.")]
AnyArray = Annotated[Any, Schema(_type("array"), "An array.")]
LabeledArray = Annotated[Any, Schema(_type("array", subtype="labeled-array", items={}), "A labelled array.")]
Position = Annotated[Any, Schema([_NULL, _type("integer", minimum=0)], "A position, or null where there is none.")]
Positions = Annotated[Any, Schema(_array(_type("integer", minimum=0)), "Positions, counted from zero.")]
Repetitions = Annotated[int, Schema(_type("integer", minimum=1), "How many times.")]
Sortable = Annotated[
    Any,
    Schema(_array({"anyOf": [_NUMBER, _NULL, _DATE_TIME, _DATE]}), "Numbers, or dates and times, and no-data."),
]
IntervalCount = Annotated[
    Any, Schema(_type("integer", minimum=2), "The number of intervals of equal probability.", deprecated=True)
]

# --- texts, dates and messages
_INSTANT = [_DATE_TIME, _DATE]
MaybeText = Annotated[Any, Schema(_type("string", "null"), "A text or no-data.")]
Texts = Annotated[
    Any, Schema(_array(_type("string", "number", "boolean", "null")), "Texts, or what is written as one.")
]
AnyText = Annotated[Any, Schema(_type("string", "number", "boolean", "null"), "A text, or what is written as one.")]
TextPosition = Annotated[
    Any, Schema(_type("integer", "null", minimum=0), "A position in a text, or null where there is none.")
]
Instant = Annotated[Any, Schema(_INSTANT, "A date, or a date and time.")]
InstantOrTime = Annotated[
    Any,
    Schema(
        [*_INSTANT, _type("string", subtype="time", pattern="^\\d{2}:\\d{2}:\\d{2}$")],
        "A date, a date and time, or a time of the day.",
    ),
]
UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "year")
LEVELS = ("error", "warning", "info", "debug")
TimeUnit = Annotated[str, Schema(_type("string", enum=list(UNITS)), "The unit of time.")]
LogLevel = Annotated[str, Schema(_type("string", enum=list(LEVELS)), "How severe it is.")]

# --- cubes
Cube = Annotated[xr.DataArray, Schema(_cube(), "A data cube.")]
RasterCube = Annotated[xr.DataArray, Schema(_cube(_SPATIAL), "A cube with the dimensions x and y.")]
TemporalCube = Annotated[xr.DataArray, Schema(_cube(_TEMPORAL), "A cube with a temporal dimension.")]
BandCube = Annotated[xr.DataArray, Schema(_cube(_BANDS), "A cube with a dimension of bands.")]
RasterBandCube = Annotated[xr.DataArray, Schema(_cube(_SPATIAL, _BANDS), "A cube with x, y and bands.")]
VectorCube = Annotated[xr.DataArray, Schema(_cube(_GEOMETRY), "A cube with a dimension of geometries.")]
PointCube = Annotated[
    xr.DataArray,
    Schema(_cube({**_GEOMETRY, "geometry_type": ["Point", "MultiPoint"]}), "A cube with a dimension of points."),
]
RasterOrVectorCube = Annotated[
    xr.DataArray, Schema([_cube(_SPATIAL), _cube(_GEOMETRY)], "A raster cube or a vector cube.")
]
DimensionName = Annotated[str, Schema(_type("string"), "The name of a dimension.")]
OptionalDimensionName = Annotated[
    str | None, Schema(_type("string", "null"), "The name of a dimension; null where there is but one choice.")
]
DimensionNames = Annotated[Any, Schema(_array(_type("string"), uniqueItems=True), "Names of dimensions.")]
SeveralDimensionNames = Annotated[
    Any, Schema(_array(_type("string"), uniqueItems=True, minItems=2), "Names of two or more dimensions.")
]
BandName = Annotated[str, Schema(_BAND, "The name or common name of a band.")]
BandNames = Annotated[Any, Schema(_array(_BAND), "Names or common names of bands.")]
OptionalBandNames = Annotated[
    Any, Schema([_array(_BAND, minItems=1), _NULL], "Names or common names of bands; null for all.")
]
NewBandName = Annotated[str | None, Schema([_type("string", pattern="^\\w+$"), _NULL], "The name of a new band.")]
Wavelengths = Annotated[
    Any, Schema(_array(_array(_NUMBER, minItems=2, maxItems=2)), "Ranges of wavelengths in micrometres.")
]

# --- extents
_BBOX = _type(
    "object",
    subtype="bounding-box",
    required=["west", "south", "east", "north"],
    properties={
        **dict.fromkeys(("west", "south", "east", "north"), _NUMBER),
        "base": {**_MAYBE_NUMBER, "default": None},
        "height": {**_MAYBE_NUMBER, "default": None},
        "crs": {"anyOf": _CRS, "default": 4326},
    },
)
_INTERVAL = _array({"anyOf": [_DATE_TIME, _DATE, _NULL]}, subtype="temporal-interval", minItems=2, maxItems=2)
_DISTINCT_INTERVAL = {**_INTERVAL, "uniqueItems": True}
_TIME = _type("string", subtype="time", pattern="^\\d{2}:\\d{2}:\\d{2}$")
_INTERVAL_OR_TIMES = {**_DISTINCT_INTERVAL, "items": {"anyOf": [_DATE_TIME, _DATE, _TIME, _NULL]}}
Intervals = Annotated[
    Any,
    Schema(
        _array(_INTERVAL_OR_TIMES, subtype="temporal-intervals", minItems=1),
        "Intervals of dates or of times of the day, each with its start (included) and end (excluded).",
    ),
]
BoundingBox = Annotated[Any, Schema(_BBOX, "West, south, east and north, and the CRS they are given in.")]
Interval = Annotated[Any, Schema(_INTERVAL, "Start (included) and end (excluded); null where open.")]
OptionalInterval = Annotated[
    Any, Schema([_DISTINCT_INTERVAL, _NULL], "Start (included) and end (excluded); null for all times.")
]
SpatialExtent = Annotated[
    Any,
    Schema([_BBOX, _GEOJSON, _cube(_GEOMETRY), _NULL], "A bounding box or polygons; null for the whole extent."),
]
_OLD_GEOJSON = {**_GEOJSON, "deprecated": True}
Polygons = Annotated[
    Any,
    Schema(
        [_cube({**_GEOMETRY, "geometry_type": ["Polygon", "MultiPolygon"]}), _OLD_GEOJSON],
        "Polygons, as a vector cube or GeoJSON.",
    ),
]
Geometries = Annotated[
    Any, Schema([_cube(_GEOMETRY), _OLD_GEOJSON], "Points, lines or polygons, as a vector cube or GeoJSON.")
]
CollectionSpatialExtent = Annotated[
    Any,
    Schema(
        [_BBOX, {**_GEOJSON, "deprecated": True}, _cube(_GEOMETRY), _NULL],
        "A bounding box or polygons; null for the whole extent.",
    ),
]

# --- code of users
Code = Annotated[
    str,
    Schema(
        [
            _type("string", format="uri", subtype="uri", pattern="^https?://"),
            _type("string", subtype="file-path", pattern="^[^\r\n\\:'\"]+$"),
            _type("string", subtype="udf-code", pattern="(\r\n|\r|\n)"),
        ],
        "Code, or the address or path of a file with code.",
    ),
]
Runtime = Annotated[str, Schema(_type("string", subtype="udf-runtime"), "The language of the code.")]
CodeVersion = Annotated[
    str | None, Schema([_type("string", subtype="udf-runtime-version"), _NULL], "The version of the language.")
]

# --- vectors
GeoJson = Annotated[Any, Schema(_GEOJSON, "A GeoJSON object of points, lines or polygons.")]
PropertyNames = Annotated[Any, Schema(_array(_type("string"), uniqueItems=True), "Names of properties.")]
Width = Annotated[Any, Schema({**_NUMBER, "not": {"const": 0}}, "A distance in metres, not zero.")]
Spacing = Annotated[Any, Schema({**_NUMBER, "minimumExclusive": 0}, "A distance in metres, above zero.")]
OptionalCount = Annotated[Any, Schema([_type("integer", minimum=1), _NULL], "How many at most; null for no limit.")]
OptionalInteger = Annotated[Any, Schema(_type("integer", "null"), "A whole number, or null.")]
TargetProjection = Annotated[Any, Schema(_CRS, "The target CRS: an EPSG code or WKT2.")]
RELATIONS = ("intersects", "disjoint", "equals", "touches", "crosses", "overlaps", "contains", "within")
Relation = Annotated[
    str, Schema(_type("string", enum=list(RELATIONS)), "What the base geometries have to do with a geometry.")
]

# --- choices
PERIODS = (
    "hour",
    "day",
    "week",
    "dekad",
    "month",
    "season",
    "tropical-season",
    "year",
    "decade",
    "decade-ad",
)
METHODS = (
    "average",
    "bilinear",
    "cubic",
    "cubicspline",
    "lanczos",
    "max",
    "med",
    "min",
    "mode",
    "near",
    "q1",
    "q3",
    "rms",
    "sum",
)
CORNERS = ("lower-left", "upper-left", "lower-right", "upper-right")
BOUNDARIES = ("pad", "trim")
WindowBoundary = Annotated[
    str, Schema(_type("string", enum=list(BOUNDARIES)), "What becomes of windows that the cube does not fill.")
]
PixelWindow = Annotated[
    Any, Schema(_array(_type("integer", minimum=1), minItems=2, maxItems=2), "Pixels along x and along y.")
]
DIMENSION_TYPES = ("bands", "geometry", "spatial", "temporal", "other")
DimensionType = Annotated[str, Schema(_type("string", enum=list(DIMENSION_TYPES)), "The type of a dimension.")]
Period = Annotated[str, Schema(_type("string", enum=list(PERIODS)), "The period of the calendar.")]
NORMAL_PERIODS = ("day", "month", "season", "tropical-season", "climatology-period")
ANOMALY_PERIODS = (*PERIODS, "climatology-period", "single-period")
NormalPeriod = Annotated[str, Schema(_type("string", enum=list(NORMAL_PERIODS)), "The period to make normals of.")]
AnomalyPeriod = Annotated[str, Schema(_type("string", enum=list(ANOMALY_PERIODS)), "The period of the normals.")]
Years = Annotated[
    Any,
    Schema(
        _array(_type("integer", subtype="year"), uniqueItems=True, minItems=2, maxItems=2),
        "The first and the last year, both included.",
    ),
]
Method = Annotated[str, Schema(_type("string", enum=list(METHODS)), "The resampling method.")]
BORDERS = ("replicate", "reflect", "reflect_pixel", "wrap")
Border = Annotated[
    Any,
    Schema(
        [_type("string", enum=list(BORDERS)), _NUMBER], "How a plane goes on beyond its borders, or with which value."
    ),
]
Kernel = Annotated[
    Any,
    Schema(
        _array(_array(_NUMBER), subtype="kernel"),
        "Weights in rows: an odd number of rows, of an odd number of weights each.",
    ),
]
Corner = Annotated[str, Schema(_type("string", enum=list(CORNERS)), "The corner where both grids meet.")]
Resolution = Annotated[
    Any,
    Schema(
        [{**_NUMBER, "minimum": 0}, _array({**_NUMBER, "minimum": 0}, minItems=2, maxItems=2)],
        "The size of a pixel in units of the target CRS, for both axes or for x and y; 0 keeps it.",
    ),
]
Projection = Annotated[Any, Schema([*_CRS, _NULL], "The target CRS; null keeps it.")]

# --- sources and files
CollectionId = Annotated[
    str, Schema(_type("string", subtype="collection-id", pattern="^[\\w\\-\\.~/]+$"), "The id of a collection.")
]
Url = Annotated[
    str, Schema(_type("string", format="uri", subtype="uri", pattern="^https?://"), "The address of the source.")
]
InputFormat = Annotated[str, Schema(_type("string", subtype="input-format"), "The name of a file format.")]
InputOptions = Annotated[
    Mapping[str, Any], Schema(_type("object", subtype="input-format-options"), "Options of the file format.")
]
FilePaths = Annotated[
    Sequence[str],
    Schema(
        _array(_type("string", subtype="file-path", pattern="^[^\r\n\\:'\"]+$"), subtype="file-paths"),
        "Paths in the user's folder.",
    ),
]
WorkspaceId = Annotated[
    str, Schema(_type("string", pattern="^[\\w\\-\\.~]+$", subtype="workspace-id"), "The id of a workspace.")
]
WorkspacePath = Annotated[str | None, Schema(_type("string", "null"), "A path in the workspace.")]
_EXPORTED = {"pattern": "^[A-Za-z0-9_\\-\\.~/]+$"}
NewCollectionId = Annotated[
    str,
    Schema(
        [_type("string", **_EXPORTED), _type("string", subtype="collection-id", **_EXPORTED)],
        "The id of a collection, new or old.",
    ),
]
ExportedCollectionId = Annotated[
    str, Schema(_type("string", subtype="collection-id", **_EXPORTED), "The id of a collection.")
]
Changes = Annotated[Mapping[str, Any], Schema(_type("object"), "What changes; null removes.")]
OutputFormat = Annotated[str, Schema(_type("string", subtype="output-format"), "The name of a file format.")]
OutputOptions = Annotated[
    Mapping[str, Any], Schema(_type("object", subtype="output-format-options"), "Options of the file format.")
]
Stac = Annotated[Any, Schema(_type("object", subtype="stac"), "A STAC object.")]

# --- callbacks: what a child process receives and returns
Callback = Any
Process = Annotated[Callback, Schema(_process({"x": {}}, {}), "A process on each value `x`.", ("x",))]
ArrayProcess = Annotated[
    Callback,
    Schema(
        _process({"data": _LABELED}, _array({})),
        "A process on the labelled array `data` that returns an array.",
        ("data",),
    ),
]
Reducer = Annotated[
    Callback,
    Schema(_process({"data": _LABELED}, {}), "A process that makes one value of the labelled array `data`.", ("data",)),
]
PixelReducer = Annotated[
    Callback,
    Schema(
        _process({"data": _array({})}, {}),
        "A process that makes one value of the array `data`, whose order is not defined.",
        ("data",),
    ),
]
OverlapResolver = Annotated[
    Callback | None,
    Schema(_process({"x": {}, "y": {}}, {}), "A process that makes one value of `x` and `y`.", ("x", "y")),
]
Condition = Annotated[
    Any,
    Schema(
        [_process({"x": {}}, _type("boolean")), _type("boolean", const=True), _NULL],
        "A process that tells which values `x` count; true for all, null for those that are valid.",
        ("x",),
    ),
]
LabelCondition = Annotated[
    Callback,
    Schema(
        _process({"value": _LABEL}, _type("boolean")), "A process that tells which labels `value` stay.", ("value",)
    ),
]
_ELEMENT = {"x": {}, "index": _type("integer", minimum=0)}
_ELEMENT_LABEL = {"name": "label", "schema": [*_LABEL, _NULL], "default": None, "optional": True}


def _on_elements(returns: dict[str, Any]) -> dict[str, Any]:
    document = _process(_ELEMENT, returns)
    document["parameters"].insert(2, _ELEMENT_LABEL)
    return document


ElementProcess = Annotated[
    Callback,
    Schema(_on_elements({}), "A process on each element `x`, its `index` and `label`.", ("x", "index", "label")),
]
ElementCondition = Annotated[
    Callback,
    Schema(
        _on_elements(_type("boolean")),
        "A process that tells which elements `x`, with `index` and `label`, are kept.",
        ("x", "index", "label"),
    ),
]
_DURATION_PATTERN = (
    r"^(-?)P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)([DW]))?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
)
_CHUNK_SIZE = _type(
    "object",
    subtype="chunk-size",
    required=["dimension", "value"],
    properties={
        "dimension": _type("string"),
        "value": {
            "default": None,
            "anyOf": [
                _NULL,
                {**_NUMBER, "minimum": 0},
                _type("string", subtype="duration", pattern=_DURATION_PATTERN),
            ],
        },
        "unit": {"default": None, "anyOf": [_NULL, _type("string", enum=["px", "m"])]},
    },
)
WindowSizes = Annotated[
    Any, Schema(_array(_CHUNK_SIZE), "For each dimension a size: so many labels, metres or a duration; null for all.")
]
WindowOverlaps = Annotated[
    Any, Schema([_NULL, _array(_CHUNK_SIZE)], "For each dimension how much is seen around a window; null for nothing.")
]
_POLYGONS = _cube({**_GEOMETRY, "geometry_type": ["Polygon", "MultiPolygon"]})
PolygonCube = Annotated[Any, Schema(_POLYGONS, "Polygons, as a vector cube.")]
CubeProcess = Annotated[
    Callback,
    Schema(
        _process({"data": _cube(_SPATIAL)}, {"schema": _cube(_SPATIAL)}),
        "A process on a part of the cube, `data`, that returns one with the same dimensions.",
        ("data",),
    ),
]
_WINDOW = [_cube(_SPATIAL), _type("array", subtype="labeled-array")]
WindowProcess = Annotated[
    Callback,
    Schema(
        _process({"data": _WINDOW}, [_cube(_SPATIAL), _type("array")]),
        "A process on a window of the cube, `data`, that returns as many values.",
        ("data",),
    ),
]
_CURVE_PARAMETERS = _array(_NUMBER, minItems=1)
LabeledNumbers = Annotated[
    Any, Schema(_array(_NUMBER, subtype="labeled-array"), "Values with labels, which say where each was taken.")
]
CurveParameters = Annotated[Any, Schema(_CURVE_PARAMETERS, "Numbers, as many as the function has parameters.")]
FittedFunction = Annotated[
    Callback,
    Schema(
        _process({"x": _MAYBE_NUMBER, "parameters": _CURVE_PARAMETERS}, _NUMBER, context=False),
        "A function of the label `x` and the array `parameters`.",
        ("x", "parameters"),
    ),
]
KnownFunction = Annotated[
    Callback,
    Schema(
        _process({"x": _NUMBER, "parameters": _CURVE_PARAMETERS}, _NUMBER, context=False),
        "A function of the label `x` and the array `parameters`.",
        ("x", "parameters"),
    ),
]
PredictedLabels = Annotated[
    Any,
    Schema(
        [_NULL, _array({"anyOf": [_NUMBER, _DATE, _DATE_TIME]}, uniqueItems=True)],
        "The labels, numbers or dates, to predict values for.",
    ),
]
MetadataFilter = Annotated[
    Mapping[str, Callback] | None,
    Schema(
        [
            _type(
                "object",
                subtype="metadata-filter",
                additionalProperties=_process({"value": {}}, _type("boolean"), context=False),
            ),
            _NULL,
        ],
        "Conditions on properties, by name.",
        ("value",),
    ),
]
