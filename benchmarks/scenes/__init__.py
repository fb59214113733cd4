"""Inputs of the benchmarks: a real scene on disk, synthetic cubes of any size, two Landsat scenes where they exist."""

from .landsat import landsat8
from .sentinel import Scene, sentinel2
from .synthetic import synthetic

__all__ = ["Scene", "landsat8", "sentinel2", "synthetic"]
