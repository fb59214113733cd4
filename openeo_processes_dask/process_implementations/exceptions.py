"""A known address: the openEO errors."""

from openeo_processes_dask.exceptions import *  # noqa: F403
