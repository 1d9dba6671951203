"""Primaries and transfer curves: the constants of sRGB, and conversion from other primaries."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from restore.image.picture import Picture

__all__ = [
    "D50",
    "REC601_LUMA",
    "REC709_LUMINANCE",
    "SRGB_EXPONENT",
    "SRGB_KNEE",
    "SRGB_OFFSET",
    "SRGB_PRIMARIES",
    "SRGB_SLOPE",
    "SRGB_TO_XYZ",
    "adaptation_to_d50",
    "in_srgb_primaries",
    "linear_to_srgb",
    "rgb_to_xyz",
    "srgb_to_linear",
    "white_adaptation",
]

_Float = TypeVar("_Float", bound=np.floating)

REC601_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue samples in luma, the gray of BSD68 and most denoising papers."""

REC709_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Weights of red, green and blue light, in sRGB's primaries, in luminance."""

SRGB_PRIMARIES = "0.64 0.33 0.3 0.6 0.15 0.06 0.3127 0.329"
"""Chromaticities of sRGB as ``Picture`` holds them: x and y of red, green, blue and white."""

SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Linear sRGB to CIE XYZ under D65 (IEC 61966-2-1)."""

D50 = np.array([0.9642, 1.0, 0.8249])
"""The white point of ICC profiles, CIE XYZ."""

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def adaptation_to_d50(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chromatic adaptation matrix ``[3, 3]`` from ``white`` to D50, in CIE XYZ.

    The linear Bradford transform, as in colour profiles (ICC.1:2022, annex E).
    """
    gains = (_BRADFORD @ D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD)


def in_srgb_primaries(light: Picture) -> Picture:
    """Convert linear light to sRGB's primaries.

    Colours outside sRGB's gamut get negative values, or values above white, in some channel.
    Invalid primaries are taken to be sRGB's.

    Args:
        light: Linear picture; without ``primaries`` it is in sRGB's already.
    """
    if light.primaries in ("", SRGB_PRIMARIES) or light.channels == 1:
        return light
    try:
        with np.errstate(all="ignore"):  # division by zero gives NaN, checked below
            matrix = np.linalg.inv(rgb_to_xyz(SRGB_PRIMARIES)) @ rgb_to_xyz(light.primaries)
    except np.linalg.LinAlgError:
        return light
    if not np.isfinite(matrix).all():
        return light
    pixels = np.tensordot(matrix.astype(np.float32), light.pixels, axes=1)
    return replace(light, pixels=pixels, primaries="")


def rgb_to_xyz(primaries: str) -> NDArray[np.float64]:
    """Return the matrix ``[3, 3]`` from linear RGB of these primaries to XYZ under D50.

    Raises:
        LinAlgError: the primaries lie on a line.
    """
    *colours, white = _points(primaries)
    columns = np.stack(colours, axis=1)
    scaled = columns * np.linalg.solve(columns, white)
    return np.asarray(adaptation_to_d50(white) @ scaled)


def white_adaptation(primaries: str) -> NDArray[np.float64]:
    """Return the chromatic adaptation matrix from the white of these primaries to D50."""
    return adaptation_to_d50(_points(primaries)[-1])


def _points(primaries: str) -> NDArray[np.float64]:
    """Return XYZ of red, green, blue and white, ``[4, 3]``, each of luminance 1."""
    x, y = np.array(primaries.split(), dtype=np.float64).reshape(4, 2).T
    return np.asarray((np.stack([x, y, 1 - x - y]) / y).T)


# Light up to the knee is multiplied by the slope; above it the curve is
# (1 + offset) x^(1 / exponent) - offset (IEC 61966-2-1).
SRGB_KNEE = 0.0031308
SRGB_SLOPE = 12.92
SRGB_OFFSET = 0.055
SRGB_EXPONENT = 2.4


def linear_to_srgb(linear: NDArray[_Float]) -> NDArray[_Float]:
    """Encode light as sRGB samples (IEC 61966-2-1), any shape.

    The curve continues above 1 and is odd around 0, so that nothing is clipped.
    """
    light = np.abs(linear)
    curve = (1 + SRGB_OFFSET) * np.power(light, 1 / SRGB_EXPONENT) - SRGB_OFFSET
    encoded = np.where(light <= SRGB_KNEE, SRGB_SLOPE * light, curve)
    signed: NDArray[_Float] = np.copysign(encoded, linear).astype(linear.dtype, copy=False)
    return signed


def srgb_to_linear(encoded: NDArray[_Float]) -> NDArray[_Float]:
    """Decode sRGB samples to light: the inverse of ``linear_to_srgb``."""
    sample = np.abs(encoded)
    curve = np.power((sample + SRGB_OFFSET) / (1 + SRGB_OFFSET), SRGB_EXPONENT)
    linear = np.where(sample <= SRGB_SLOPE * SRGB_KNEE, sample / SRGB_SLOPE, curve)
    signed: NDArray[_Float] = np.copysign(linear, encoded).astype(encoded.dtype, copy=False)
    return signed
