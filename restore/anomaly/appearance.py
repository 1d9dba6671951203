"""How a picture looks as a whole: level, contrast, sharpness, size, and features of a network.

Good parts look alike in these; what does not is darker, blurred, of another size, or no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from restore.anomaly.part import Part
from restore.anomaly.scale import shrunk
from restore.weights.store import Weights

__all__ = ["TRAITS", "Appearance", "Onlooker", "Trait", "traits_for"]

Plane = NDArray[np.float32]

_SIDE_PX = 256
"""Longest side of the picture that the network describes: it is about the whole, not details."""
_LEAST_SIDE = 16
"""Every network's sides are multiples of it, or of a divisor."""
_MOST_PIXELS = 4_000_000
_BAND_ROWS = 64
_LEAST_LEVEL = 1 / 1024
_LEAST_STEP = 1 / 4096
_WINDOW_PX = 5
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_GAIN = np.sqrt(np.pi / 2) / 6


_DARK_DETAILS = "details that are light on good parts are dark: inverted?"
_LIGHT_DETAILS = "details that are dark on good parts are light: inverted?"


@dataclass(frozen=True)
class Trait:
    """A property of a picture as a whole.

    Attributes:
        name: Name.
        tolerance: Difference that always counts as small, in the trait's unit.
        low, high: What to say of a picture that has less or more of it than any good part.
    """

    name: str
    tolerance: float
    low: str
    high: str


TRAITS = (
    Trait("level", 0.05, "darker than any good part", "brighter than any good part"),
    Trait("width", 0.03, "narrower than any good part", "wider than any good part"),
    Trait("height", 0.03, "less high than any good part", "higher than any good part"),
    Trait("contrast", 0.05, "less contrast than any good part", "more contrast than any good part"),
    Trait("sharpness", 0.05, "more blurred than any good part", "sharper than any good part"),
    Trait("noise", 0.1, "smoother than any good part", "noisier than any good part"),
    Trait("polarity", 0.05, _DARK_DETAILS, _LIGHT_DETAILS),
    Trait("coarse polarity", 0.05, _DARK_DETAILS, _LIGHT_DETAILS),
)
"""Traits of every picture; those of colour follow them, see ``traits_for``."""


def traits_for(channels: int) -> tuple[Trait, ...]:
    """Return the traits of pictures of so many channels: with several, also the balance of each."""
    if channels == 1:
        return TRAITS
    numbered = tuple(f"channel {number}" for number in range(1, channels + 1))
    names = ("red", "green", "blue") if channels == 3 else numbered
    return TRAITS + tuple(
        Trait(name, 0.01, f"less {name} than any good part", f"more {name} than any good part")
        for name in names
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance:
    """How a picture looks as a whole.

    Level is stored as log-odds; width, height, contrast and noise as logarithms; sharpness as the
    log-ratio of differences between neighbours and between neighbours at half the size; polarity,
    at full and half size, from -1 (dark details) to 1 (light ones); the balance of a channel as its
    mean less that of all.

    Attributes:
        traits: Values of ``traits_for`` its channels, ``[T]``.
        features: What a network sees, ``[D]``.
        bit_depth: Bit depth of the picture.
        used_bits: Bits that its largest sample needs at that depth.
    """

    traits: NDArray[np.float64]
    features: NDArray[np.float64]
    bit_depth: int
    used_bits: int


class Onlooker:
    """Describes pictures by traits, and by the features of a detector's network.

    It runs on the processor in float32, so that no device or precision changes what is familiar.

    Args:
        weights: Weights of the detector.
        scale: Integer factor by which its pictures are scaled down.
    """

    def __init__(self, weights: Weights, scale: int) -> None:
        self._weights, self._scale = weights, scale

    def __call__(self, part: Part) -> Appearance:
        """Describe a part of the network's number of channels."""
        peak = float(np.nanmax(part.pixels, initial=0))
        codes = min(max(peak, 0.0), 1.0) * (2.0**part.bit_depth - 1)
        return Appearance(
            traits=np.array(_traits(part.pixels)),
            features=self._features(part.pixels),
            bit_depth=part.bit_depth,
            used_bits=int(np.ceil(np.log2(np.rint(codes) + 1))) if part.bit_depth < 32 else 32,
        )

    @cached_property
    def _network(self) -> torch.nn.Module:
        return self._weights.build()

    def _features(self, pixels: Plane) -> NDArray[np.float64]:
        longest = -(-max(pixels.shape[1:]) // self._scale)
        small = shrunk(pixels, self._scale * max(1, -(-longest // _SIDE_PX)))
        missing = [-size % _LEAST_SIDE for size in small.shape[1:]]
        whole = np.pad(_clean(small), ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
        with torch.inference_mode():
            described = self._network.describe(torch.from_numpy(whole)[None])  # type: ignore[operator]
        features: NDArray[np.float64] = described[0].double().numpy()
        return features


def _traits(pixels: Plane) -> list[float]:
    channels, height, width = pixels.shape
    step = max(1, -(-height * width // _MOST_PIXELS))
    rows = height if step == 1 else _BAND_ROWS
    bands = [_clean(pixels[:, top : top + rows]) for top in range(0, height, step * rows)]
    means = np.mean([band.mean(axis=(1, 2)) for band in bands], axis=0)
    grays = [band.mean(axis=0) for band in bands]
    level = float(means.mean())
    contrast = np.sqrt(np.mean([np.square(gray - level).mean() for gray in grays]))
    halves = [shrunk(gray[None], 2)[0] for gray in grays]
    fine, coarse = (np.mean([_steps(gray) for gray in each]) for each in (grays, halves))
    values = [
        np.log((level + _LEAST_LEVEL) / (1 - level + _LEAST_LEVEL)),
        np.log(width),
        np.log(height),
        np.log(contrast + _LEAST_LEVEL),
        np.log((fine + _LEAST_STEP) / (coarse + _LEAST_STEP)),
        np.log(np.mean([_noise(gray) for gray in grays]) + _LEAST_STEP),
        _polarity(grays),
        _polarity(halves),
    ]
    balance = [] if channels == 1 else list(means - level)
    return [float(value) for value in (*values, *balance)]


def _noise(gray: Plane) -> float:
    """Return the standard deviation of white noise that looks so (Immerkaer, CVIU 1996)."""
    return float(_NOISE_GAIN * np.abs(ndimage.convolve(gray, _NOISE_KERNEL, mode="mirror")).mean())


def _polarity(grays: Sequence[Plane]) -> float:
    """Return whether details are lighter (1) or darker (-1) than their surroundings."""
    details = [gray - ndimage.uniform_filter(gray, _WINDOW_PX, mode="mirror") for gray in grays]
    signed = np.mean([(each * np.abs(each)).mean() for each in details])
    square = np.mean([np.square(each).mean() for each in details])
    # The cube root keeps the sign apart from the size.
    return float(np.cbrt(signed / (square + _LEAST_LEVEL**2)))


def _steps(gray: Plane) -> float:
    """Return the mean absolute difference of neighbours."""
    steps = [np.abs(np.diff(gray, axis=axis)) for axis in (0, 1)]
    return float(np.mean([step.mean() for step in steps if step.size] or [0.0]))


def _clean(pixels: Plane) -> Plane:
    return np.clip(np.nan_to_num(pixels, posinf=1), 0, 1)
