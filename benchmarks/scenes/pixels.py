"""Pixels of one date: the real Sentinel-2 sample under a season, clouds, their shadows and the edge of a swath."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import math
import statistics
from collections.abc import Iterator

import numpy as np

REFLECTIVE = ("B02", "B03", "B04", "B08")
LAYERS = (*REFLECTIVE, "SCL")
NODATA = 0
BRIGHTEST = 10_000  # reflectance 1.0

SHADOW, VEGETATION, BARE, WATER, CLOUD_MEDIUM, CLOUD_HIGH = 3, 4, 5, 6, 8, 9

WAVES = 12
WAVELENGTHS = (60, 220)  # pixels; clouds of half a kilometre to two
SHADOW_SHIFT = (-14, -9)  # pixels from a cloud to its shadow: the morning sun stands in the south-east


@functools.cache
def sample() -> np.ndarray:
    """Digital numbers (reflectance × 10,000) of the sample that spyndex ships: B02, B03, B04, B08 by 300 by 300."""
    import spyndex  # takes a second, and only who writes a scene needs it

    return spyndex.datasets.open("sentinel").transpose("band", "x", "y").to_numpy().astype("float32")


def mirrored(size: int, shift: int, length: int) -> np.ndarray:
    """Indices that walk to and fro over `length` pixels until there are `size` of them."""
    position = (np.arange(size) + shift) % (2 * length)
    return np.where(position < length, position, 2 * length - 1 - position)


@dataclasses.dataclass(frozen=True)
class Acquisition:
    """One overpass: where the clouds are and what the ground looks like follows from its number and the seed."""

    number: int
    moment: dt.datetime
    size: int
    clouds: float
    seed: int

    def layers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Give one layer after the other, so that a large scene needs the memory of a few layers only."""
        opacity, shadow, seen = self._opacity(), self._shadow(), self._seen()
        shadow &= opacity == 0
        ground = self._ground()
        for band, surface in zip(REFLECTIVE, self._surface(), strict=True):
            value = surface[ground]
            value[shadow] *= 0.45
            value += opacity * (5_500 + 2_000 * opacity - value)
            value = np.clip(np.rint(value), 1, BRIGHTEST).astype("uint16")
            value[~seen] = NODATA
            yield band, value
        classes = _classes()[ground]
        classes[shadow] = SHADOW
        classes[opacity > 0] = CLOUD_MEDIUM
        classes[opacity > 0.6] = CLOUD_HIGH
        classes[~seen] = NODATA
        yield "SCL", classes

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, purpose])

    def _ground(self) -> tuple[np.ndarray, ...]:
        """Rows and columns of the sample: two overpasses never lie on the same pixel exactly."""
        down, right = self._random(0).integers(0, 3, 2)
        _, rows, cols = sample().shape
        return np.ix_(mirrored(self.size, int(down), rows), mirrored(self.size, int(right), cols))

    def _surface(self) -> np.ndarray:
        """Give the sample in another season: plants get greener until July, the air more or less hazy."""
        green = 0.15 * math.sin(2 * math.pi * (self.moment.timetuple().tm_yday - 105) / 365)
        plants = np.clip((_sample_ndvi() - 0.2) / 0.6, 0, 1)
        surface = sample() + 9.0 * (self.number % 3)
        surface[REFLECTIVE.index("B08")] *= 1 + green * plants
        surface[REFLECTIVE.index("B04")] *= 1 - green * plants
        return surface

    def _field(self, down: int = 0, right: int = 0) -> np.ndarray:
        """Smooth random field with mean 0 and variance 1 that is the same at a pixel whatever the size."""
        random = self._random(1)
        frequency = 2 * math.pi / random.uniform(*WAVELENGTHS, WAVES)
        angle, phase = random.uniform(0, 2 * math.pi, (2, WAVES))
        vertical = np.outer(np.arange(self.size) - down, frequency * np.sin(angle))
        horizontal = np.outer(np.arange(self.size) - right, frequency * np.cos(angle)) + phase
        # cos(a + b) = cos a cos b - sin a sin b: the sum of all waves is one product of matrices
        left = np.concatenate([np.cos(vertical), -np.sin(vertical)], axis=1, dtype="float32")
        above = np.concatenate([np.cos(horizontal), np.sin(horizontal)], axis=1, dtype="float32")
        return left @ above.T * np.float32(math.sqrt(2 / WAVES))

    def _threshold(self) -> float:
        share = float(self._random(2).uniform(0, 2 * self.clouds))
        return statistics.NormalDist().inv_cdf(1 - min(max(share, 1e-6), 1 - 1e-6))

    def _opacity(self) -> np.ndarray:
        return np.clip((self._field() - np.float32(self._threshold())) / np.float32(0.4), 0, 1)

    def _shadow(self) -> np.ndarray:
        return self._field(*SHADOW_SHIFT) > self._threshold() + 0.1

    def _seen(self) -> np.ndarray:
        """Leave out what lies beyond the swath on two dates of three, and one corner that is never seen."""
        row, col = np.ogrid[: self.size, : self.size]
        seen = row + col >= self.size // 12
        slope = 0.25 * (row - self.size / 2)
        if self.number % 3 == 1:
            seen = seen & (col < 0.85 * self.size + slope)
        elif self.number % 3 == 2:
            seen = seen & (col > 0.1 * self.size + slope)
        return seen


@functools.cache
def _sample_ndvi() -> np.ndarray:
    _, _, red, nir = sample()
    return (nir - red) / (nir + red)


@functools.cache
def _classes() -> np.ndarray:
    """Scene classification of the sample: what a cloudless Sentinel-2 product would say, roughly."""
    _, green, _, nir = sample()
    return np.select([green > nir, _sample_ndvi() > 0.45], [WATER, VEGETATION], BARE).astype("uint8")
