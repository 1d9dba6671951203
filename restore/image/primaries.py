"""Colours as numbers."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "D50",
    "REC601_LUMA",
    "REC709_LUMINANCE",
    "SRGB_PRIMARIES",
    "SRGB_TO_XYZ",
    "adaptation_to_d50",
]

REC601_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Red, green and blue samples to luma: the gray of BSD68 and of nearly every denoising paper."""

REC709_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Red, green and blue light in sRGB's primaries to luminance."""

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
"""The white of colour profiles in CIE XYZ."""

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def adaptation_to_d50(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix ``[3, 3]`` from colours in XYZ under ``white`` to what they are under D50.

    The linear Bradford transform, as in colour profiles (ICC.1:2022, annex E).
    """
    gains = (_BRADFORD @ D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD)
