"""Inputs of the benchmarks: a real scene on disk, synthetic cubes of any size, two Landsat scenes where they exist."""

from .landsat import landsat8
from .overlapping import Overlapping, overlapping
from .sentinel import Scene, sentinel2
from .synthetic import synthetic

__all__ = ["Overlapping", "Scene", "landsat8", "overlapping", "sentinel2", "synthetic"]
