"""Colour spaces by number: coding-independent code points (CICP), as nclx and cICP hold them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.image.colour import SRGB_PRIMARIES

__all__ = ["HLG", "LINEAR", "PQ", "SRGB", "Cicp", "light_of_hlg", "light_of_pq"]

PQ, HLG = 16, 18
"""Transfer characteristics of HDR: SMPTE ST 2084, and ARIB STD-B67."""

LINEAR = 8
_UNSPECIFIED = 2
_D65, _C = "0.3127 0.329", "0.31 0.316"
_PRIMARIES = {
    1: SRGB_PRIMARIES,
    _UNSPECIFIED: SRGB_PRIMARIES,
    4: f"0.67 0.33 0.21 0.71 0.14 0.08 {_C}",
    5: f"0.64 0.33 0.29 0.6 0.15 0.06 {_D65}",
    6: f"0.63 0.34 0.31 0.595 0.155 0.07 {_D65}",
    7: f"0.63 0.34 0.31 0.595 0.155 0.07 {_D65}",
    8: f"0.681 0.319 0.243 0.692 0.145 0.049 {_C}",
    9: f"0.708 0.292 0.17 0.797 0.131 0.046 {_D65}",
    11: "0.68 0.32 0.265 0.69 0.15 0.06 0.314 0.351",
    12: f"0.68 0.32 0.265 0.69 0.15 0.06 {_D65}",
    22: f"0.63 0.34 0.295 0.605 0.155 0.077 {_D65}",
}

_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES: dict[int, tuple[float, ...]] = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15), _VIDEO_CURVE),
    **dict.fromkeys((_UNSPECIFIED, 13), _SRGB_CURVE),
    4: (2.2,),
    5: (2.8,),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    LINEAR: (1.0,),
    17: (2.6,),
}


@dataclass(frozen=True)
class Cicp:
    """A colour space in the code points of ITU-T H.273.

    Attributes:
        primaries: Code of the primaries and the white point: 1 sRGB and BT.709, 9 BT.2020,
            12 Display P3.
        transfer: Code of the tone curve: 13 sRGB, 16 PQ, 18 HLG.
        matrix: Code of the conversion from RGB to what is stored: 0 none, 6 BT.601, 9 BT.2020.
        is_full_range: Whether the stored samples use all codes.
    """

    primaries: int
    transfer: int
    matrix: int = 0
    is_full_range: bool = True

    @property
    def chromaticities(self) -> str:
        """Primaries as ``Picture`` holds them; "" for codes that are none or reserved."""
        return _PRIMARIES.get(self.primaries, "")

    @property
    def curve(self) -> tuple[float, ...]:
        """Tone curve as an exponent g, or as g, a, b, c, d of a curve of ICC.

        Light is (a x + b)^g from d on, and c x below (ICC.1:2022, 10.18). Curves of video are the
        inverse of the camera's. Empty for PQ, HLG, and codes without such a curve.
        """
        return _CURVES.get(self.transfer, ())

    @property
    def is_srgb(self) -> bool:
        """Whether colours are those of sRGB, or not stated at all."""
        return self.chromaticities == SRGB_PRIMARIES and self.curve == _SRGB_CURVE


SRGB = Cicp(1, 13, 6)

_DIFFUSE_WHITE = 203 / 10_000
"""Reflected white over the brightest of PQ (ITU-R BT.2408)."""
_WHITE_OF_HLG = 0.75
"""Sample of the same white in HLG."""


def light_of_pq(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of PQ samples in [0, 1]; 1 is diffuse white, 203 cd/m^2 (SMPTE ST 2084)."""
    root = np.power(samples, 32 / 2523)
    light = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(np.power(light, 8192 / 1305) / _DIFFUSE_WHITE)


def light_of_hlg(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scene's light of HLG samples in [0, 1]; 1 is diffuse white (ITU-R BT.2100)."""

    def scene(values: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)

    return np.asarray(scene(samples) / scene(np.array(_WHITE_OF_HLG)))
