"""From camera RGB to sRGB: colour matrix, white balance and exposure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.image.colour import SRGB_TO_XYZ
from restore.image.raw_picture import PLANE_COLOURS, RawPicture, normalised, pack

__all__ = [
    "DAYLIGHT_BALANCE",
    "GUESSED_BALANCE",
    "GUESSED_COLOURS",
    "MOST_RATIO",
    "auto_ratio",
    "camera_to_srgb",
    "exposed",
    "gains_of",
    "gray_world",
    "guessed_balance",
]

GUESSED_BALANCE = "no white balance is stored; the mean of the picture is taken to be gray"
"""What is said where ``guessed_balance`` is used."""

DAYLIGHT_BALANCE = "no white balance is stored; that of daylight is taken, or none"
"""What is said where ``RawPicture.white_balance`` is used that the file does not state."""

GUESSED_COLOURS = "no colour matrix is known for this camera; its colours are taken for sRGB's"
"""What is said where ``camera_to_srgb`` knows no matrix."""


_LEAST_SIGNAL = 1e-6
_MOST_GAIN = 8.0


def camera_to_srgb(raw: RawPicture) -> NDArray[np.float32]:
    """Return the matrix ``[3, 3]`` from white-balanced camera RGB to linear sRGB.

    White stays white, as in every RAW converter. Where the file states no colour matrix, camera
    RGB is taken to be sRGB.
    """
    if raw.xyz_to_camera is None:
        return np.eye(3, dtype=np.float32)
    from_srgb = raw.xyz_to_camera.astype(np.float64) @ SRGB_TO_XYZ
    from_srgb /= from_srgb.sum(axis=1, keepdims=True)
    return np.linalg.inv(from_srgb).astype(np.float32)


def gains_of(
    white_balance: tuple[float, float, float], levels: Sequence[float] = (1.0, 1.0, 1.0)
) -> NDArray[np.float32]:
    """Return the white balance scaled so that the first colour to saturate is white, ``[3]``.

    A pixel that saturates in all colours then comes out at least white in each.

    Args:
        white_balance: factors of red, green and blue.
        levels: where red, green and blue saturate.
    """
    least = min(factor * level for factor, level in zip(white_balance, levels, strict=True))
    return np.array([factor / least for factor in white_balance], dtype=np.float32)


def gray_world(planes: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return the white balance that makes the mean of the picture gray, with green 1.

    Buchsbaum, "A Spatial Processor Model for Object Colour Perception", 1980.

    Args:
        planes: ``[4 or 9, h, w]``, see ``Packed``.
    """
    colours = _colours_of(planes)
    means = planes.mean(axis=(1, 2), dtype=np.float64)
    red, green, blue = (
        max(float(means[colours == colour].mean()), _LEAST_SIGNAL) for colour in range(3)
    )
    limit = _MOST_GAIN
    return min(limit, green / red), 1.0, min(limit, green / blue)


def guessed_balance(raw: RawPicture) -> tuple[float, float, float]:
    """Return the ``gray_world`` of a mosaic, for files that state no white balance."""
    return gray_world(pack(normalised(raw), raw.cfa).planes)


_DARK = 0.25


def exposed(light: NDArray[Any], stops: float) -> NDArray[Any]:
    """Return linear light in [0, 1], any shape, brightened by BaselineExposure, black to white.

    More than white is clipped. Where a file asks for less light, white stays white and only what
    is below a quarter of it is lowered by all of that, as in Adobe's DNG SDK.
    """
    factor = 2.0**stops
    if stops >= 0:
        brighter: NDArray[Any] = light * light.dtype.type(min(factor, _MOST_FACTOR))
        return brighter.clip(0, 1)
    bend = 16 / 9 * (1 - factor)
    slope = factor - bend / 2
    bright = (bend * light + slope) * light + (1 - bend - slope)
    result: NDArray[Any] = np.where(light <= _DARK, factor * light, bright).astype(light.dtype)
    return result


_MOST_FACTOR = 65536.0

MOST_RATIO = 300.0
"""Highest amplification that networks are trained for, and that ``auto_ratio`` returns."""

_CLIPPED_SHARE = 0.005
_MIDDLE_GRAY = 0.18
_CELL = 4


def auto_ratio(planes: NDArray[np.float32]) -> float:
    """Return the amplification that exposes a picture well.

    It brings the mean of the picture to middle gray (18 % of white), unless more than 0.5 % of the
    picture would then be clipped: if so, the brightest 0.5 % just reach white. It lies between 1
    and 300. Both are measured on the means of cells of 4x4 packed pixels, which suppress noise.

    Args:
        planes: ``[1, 4 or 9, h, w]``, see ``Packed``; black at 0, sensor white at 1, white
            balanced.
    """
    cells = _cell_means(planes)
    colours = _colours_of(planes)
    by_colour = np.stack([cells[colours == each].mean(axis=0) for each in np.unique(colours)])
    brightest = float(np.quantile(by_colour.max(axis=0), 1 - _CLIPPED_SHARE))
    middle = float(by_colour.mean())
    least = 1 / MOST_RATIO
    ratio = min(1 / max(brightest, least), _MIDDLE_GRAY / max(middle, _MIDDLE_GRAY * least))
    return min(max(1.0, ratio), MOST_RATIO)


def _colours_of(planes: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the colour of each plane."""
    (colours,) = (each for each in PLANE_COLOURS.values() if len(each) == len(planes))
    return np.array(colours)


def _cell_means(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means over complete cells of 4x4, smaller only where the picture is."""
    count, height, width = planes.shape
    rows, columns = (min(_CELL, size) for size in (height, width))
    inside = planes[:, : height // rows * rows, : width // columns * columns]
    cells = inside.reshape(count, height // rows, rows, width // columns, columns)
    means: NDArray[np.float32] = cells.mean(axis=(2, 4))
    return means
