"""The openEO processes on dask."""

__version__ = "2026.11.0"
