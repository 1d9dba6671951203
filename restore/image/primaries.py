"""Colours as numbers."""

import numpy as np

__all__ = ["REC601_LUMA", "REC709_LUMINANCE", "SRGB_PRIMARIES", "SRGB_TO_XYZ"]

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
