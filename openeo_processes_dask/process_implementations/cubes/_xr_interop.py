"""A known address: importing it makes `.openeo` available on xarray objects."""

from openeo_processes_dask.dimensions import (
    BANDS_GUESSES,
    TEMPORAL_GUESSES,
    X_GUESSES,
    Y_GUESSES,
    OpenEOExtensionDa,
    OpenEOExtensionDs,
)

__all__ = ["BANDS_GUESSES", "TEMPORAL_GUESSES", "X_GUESSES", "Y_GUESSES", "OpenEOExtensionDa", "OpenEOExtensionDs"]
