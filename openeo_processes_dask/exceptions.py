"""What can go wrong, one class per openEO error code.

OpenEOException
├── ProcessGraphInvalid          a malformed process graph, or its several problems in `.problems`
├── the graph and its arguments  Process…, ResultNode…, ReferenceUnresolved
├── arrays                       Array…, MinMaxSwapped, Quantiles…, DivisionByZero, MultiplicandMissing
├── dimensions and labels        Dimension…, Label…, Band…, TooManyDimensions, Temporal…
├── cubes                        …DataCube…, OverlapResolverMissing, Kernel…, Geometr…, Unit…
├── files and collections        CollectionNotFound, NoDataAvailable, File…, Format…, Properties…, CRSInvalid,
│                                StorageFailure
└── outside code                 Invalid…, UserCodeFailed
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

MOST_TOLD = 20  # problems of a process graph; `.problems` holds all of them
_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxarray = 12
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3


def shown(value: Any) -> str:
    """A value as messages show it: arrays by type and shape, large values in part."""
    shape = getattr(value, "shape", ())
    if hasattr(value, "dtype") and shape:
        return f"an array of {value.dtype} of the shape {tuple(shape)}"
    return _SHORT.repr(value)


class OpenEOException(Exception):
    """Something in an openEO process or process graph went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0])

    @property
    def code(self) -> str:
        """The openEO error code."""
        return type(self).__name__


# --- the process graph and its arguments


class ProcessGraphInvalid(OpenEOException):
    """The process graph is malformed, or has several problems."""

    def __init__(self, message: str | None = None, problems: Sequence[OpenEOException] = ()) -> None:
        self.problems = tuple(problems)
        lines = [f"{len(self.problems)} problems"] if problems else []
        lines += [f"  {problem.code}: {problem}" for problem in self.problems[:MOST_TOLD]]
        lines += [f"  and {len(self.problems) - MOST_TOLD} more"] if len(self.problems) > MOST_TOLD else []
        super().__init__(message or "\n".join(lines) or None)


class ProcessGraphMissing(OpenEOException):
    """There is no process graph in what was given."""


class ProcessGraphCyclic(OpenEOException):
    """Nodes of the process graph wait for each other."""


class ProcessUnsupported(OpenEOException):
    """No process with this id exists."""


class ProcessParameterMissing(OpenEOException):
    """A required parameter got no value."""


class ProcessParameterUnsupported(OpenEOException):
    """The process has no parameter with this name."""


class ProcessParameterInvalid(OpenEOException):
    """A parameter got a value that it cannot take."""


class ReferenceUnresolved(OpenEOException):
    """A reference names a node that does not exist in its graph."""


class ResultNodeMissing(OpenEOException):
    """No node of the process graph is marked as its result."""


class ResultNodeAmbiguous(OpenEOException):
    """More than one node of the process graph is marked as its result."""


# --- arrays


class ArrayElementNotAvailable(OpenEOException):
    """The array has no element at this index or label."""


class ArrayElementParameterConflict(OpenEOException):
    """An element was asked for by index and by label at once."""


class ArrayElementParameterMissing(OpenEOException):
    """An element was asked for by neither index nor label."""


class ArrayLabelConflict(OpenEOException):
    """Two arrays to be joined share labels."""


class ArrayLengthMismatch(OpenEOException):
    """The numbers of values and labels differ."""


class ArrayNotLabeled(OpenEOException):
    """A label was given for an array that has none."""


class AscendingProbabilitiesRequired(OpenEOException):
    """The probabilities of quantiles do not ascend."""


class DivisionByZero(OpenEOException):
    """A division by zero, where it has no value."""


class MinMaxSwapped(OpenEOException):
    """The lower bound lies above the upper bound."""


class MultiplicandMissing(OpenEOException):
    """A product needs two numbers."""


class QuantilesParameterConflict(OpenEOException):
    """Quantiles were asked for by probabilities and by number at once."""


class QuantilesParameterMissing(OpenEOException):
    """Quantiles were asked for by neither probabilities nor number."""


# --- dimensions and labels


class BandExists(OpenEOException):
    """The new band's name is taken."""


class BandFilterParameterMissing(OpenEOException):
    """Bands were to be filtered, but by nothing."""


class DimensionAmbiguous(OpenEOException):
    """The cube has no dimension of bands, or several."""


class DimensionExists(OpenEOException):
    """The new dimension's name is taken."""


class DimensionLabelCountMismatch(OpenEOException):
    """A dimension with more than one label cannot be dropped without a reducer."""


class DimensionMismatch(OpenEOException):
    """The dimensions of two cubes do not fit together."""


class DimensionMissing(OpenEOException):
    """The cube lacks a dimension of the kind that the process works on."""


class DimensionNotAvailable(OpenEOException):
    """The cube has no dimension with this name."""


class DistinctDimensionLabelsRequired(OpenEOException):
    """The new labels are not distinct, so labels must be given."""


class LabelExists(OpenEOException):
    """The new label is taken."""


class LabelMismatch(OpenEOException):
    """As many labels must be given as are to be replaced."""


class LabelNotAvailable(OpenEOException):
    """The dimension has no such label."""


class LabelsNotEnumerated(OpenEOException):
    """Without source labels the labels must count up from zero."""


class TargetDimensionExists(OpenEOException):
    """The name of the target dimension is taken."""


class TemporalExtentEmpty(OpenEOException):
    """An interval ends before it starts, or when it starts."""


class TooManyDimensions(OpenEOException):
    """The cube has several temporal dimensions, so one must be named."""


# --- cubes


class CountMismatch(OpenEOException):
    """Fewer points were asked for than there are geometries."""


class DataCubeEmpty(OpenEOException):
    """The file format cannot store a cube without values."""


class DataCubePropertiesImmutable(OpenEOException):
    """A process on neighbourhoods changed the dimensions."""


class DigitalElevationModelInvalid(OpenEOException):
    """The elevation model does not fit the cube."""


class GeometriesOverlap(OpenEOException):
    """Geometries overlap where each pixel may belong to one only."""


class IncompatibleDataCubes(OpenEOException):
    """The cube and its mask do not fit together."""


class IncompatibleGeometryTypes(OpenEOException):
    """Geometries of different kinds cannot be merged."""


class KernelDimensionsUneven(OpenEOException):
    """A kernel needs an odd number of elements along each axis."""


class NirBandAmbiguous(OpenEOException):
    """The near-infrared band cannot be told from the metadata: name it."""


class OverlapResolverMissing(OpenEOException):
    """The cubes overlap and nothing says which value counts."""


class RedBandAmbiguous(OpenEOException):
    """The red band cannot be told from the metadata: name it."""


class UnitMismatch(OpenEOException):
    """A distance in metres needs a reference system in metres."""


# --- files and collections


class CollectionNotFound(OpenEOException):
    """There is no collection with this id."""


class CRSInvalid(OpenEOException):
    """The coordinate reference system cannot be understood."""


class FileNotFound(OpenEOException):
    """There is no such file."""


class FileContentInvalid(OpenEOException):
    """The file is not what its name or its user says."""


class FileExists(OpenEOException):
    """A result of this name exists and overwriting was not asked for."""


class FilePathInvalid(OpenEOException):
    """The path is not one that may be used here."""


class FormatUnsuitable(OpenEOException):
    """The file format cannot hold these data."""


class FormatUnsupported(OpenEOException):
    """No such file format is known here."""


class NoDataAvailable(OpenEOException):
    """Nothing lies in the extents asked for."""


class PropertiesUnsupported(OpenEOException):
    """This source cannot be filtered by properties."""


class StorageFailure(OpenEOException):
    """The result could not be stored, such as on a full disk."""


# --- outside code


class InvalidOgcApiProcess(OpenEOException):
    """There is no OGC API process with this id."""


class InvalidRuntime(OpenEOException):
    """This language for user-defined functions is not supported."""


class InvalidVersion(OpenEOException):
    """This version of the language is not supported."""


class UserCodeFailed(OpenEOException):
    """Code of a user raised an error, or returned something else than it should."""
