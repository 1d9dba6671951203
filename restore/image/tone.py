"""The tone curve of a picture: from its samples to light, and to sRGB's encoding and back."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from restore.image.cicp import HLG, PQ, light_of_hlg, light_of_pq
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.icc import code_points, tone_curves
from restore.image.picture import Picture, Transfer
from restore.image.stated import stated_profile

__all__ = ["Tone", "light_of", "tone_of"]

Pixels: TypeAlias = NDArray[np.float32]
Knots: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

_KNOTS = 4097
_BAND = 64
_LIKE_SRGB = 0.002
"""Largest difference of encoded samples, half a code of eight bits."""
_LIKE_LINEAR = 0.01
_LEAST_RISE = 1e-4
"""Relative rise from knot to knot: what lies in a flat part could not return from float32."""
_LEAST_RANGE = 0.5
_FAR = 1e9


@dataclass(frozen=True, eq=False)
class Tone:
    """The tone curves of a picture, other than sRGB's.

    Values outside [0, 1] continue the straight line at the curve's end, so that nothing is clipped.

    Attributes:
        name: ``pq``, ``hlg``, or ``profile`` for a curve that a profile states.
        curves: Curves as samples and the light of each, both rising: one, or one each for red,
            green and blue.
    """

    name: str
    curves: tuple[Knots, ...]

    @property
    def is_perceptual(self) -> bool:
        """Whether samples already are as even to the eye as sRGB's: of PQ and HLG."""
        return self.name in ("pq", "hlg")

    @property
    def is_linear(self) -> bool:
        """Whether samples are light already."""
        return all(np.abs(light - samples).max() < _LIKE_LINEAR for samples, light in self.curves)

    def to_light(self, pixels: Pixels) -> Pixels:
        """Return the linear light of samples ``[C, H, W]``."""
        return self._mapped(pixels, lambda samples, light: (samples, light))

    def encoded(self, pixels: Pixels) -> Pixels:
        """Return samples ``[C, H, W]`` encoded as sRGB; those of PQ and HLG stay."""
        if self.is_perceptual:
            return pixels
        return self._mapped(pixels, lambda samples, light: (samples, linear_to_srgb(light)))

    def decoded(self, encoded: Pixels) -> Pixels:
        """Undo ``encoded``."""
        if self.is_perceptual:
            return encoded
        return self._mapped(encoded, lambda samples, light: (linear_to_srgb(light), samples))

    def _mapped(
        self,
        pixels: Pixels,
        knots: Callable[[NDArray[np.float64], NDArray[np.float64]], Knots],
    ) -> Pixels:
        result = np.empty_like(pixels)
        for index, channel in enumerate(pixels):
            # Gray samples of a colour profile: green makes most of the light.
            own = index if len(pixels) == len(self.curves) else len(self.curves) // 2
            x, y = (_continued(each) for each in knots(*self.curves[own]))
            for top in range(0, len(channel), _BAND):
                result[index, top : top + _BAND] = np.interp(channel[top : top + _BAND], x, y)
        return result


def tone_of(picture: Picture) -> Tone | None:
    """Return the tone curve of encoded samples; None for sRGB's, and where none is stated.

    What the container states in code points counts before a profile where it is PQ or HLG.
    """
    if picture.transfer is Transfer.LINEAR:
        return None
    if picture.cicp and picture.cicp.transfer in _HDR:
        return _hdr(picture.cicp.transfer)
    profile = picture.icc or stated_profile(picture)
    return None if profile is None else _tone_of_profile(profile)


def light_of(picture: Picture) -> Pixels:
    """Return linear light ``[C, H, W]``; 1 is white, of PQ and HLG diffuse white (203 cd/m^2)."""
    if picture.transfer is Transfer.LINEAR:
        return picture.pixels
    tone = tone_of(picture)
    return srgb_to_linear(picture.pixels) if tone is None else tone.to_light(picture.pixels)


_HDR: dict[int, tuple[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    PQ: ("pq", light_of_pq),
    HLG: ("hlg", light_of_hlg),
}


@lru_cache(maxsize=2)
def _hdr(transfer: int) -> Tone:
    name, curve = _HDR[transfer]
    samples = np.linspace(0, 1, _KNOTS)
    return Tone(name, (_rising(samples, curve(samples)),))


@lru_cache(maxsize=8)
def _tone_of_profile(icc: bytes) -> Tone | None:
    points = code_points(icc)
    if points and points[1] in _HDR:
        return _hdr(points[1])
    samples = np.linspace(0, 1, _KNOTS)
    curves = []
    for light in tone_curves(icc, samples):
        if not np.isfinite(light).all() or light[-1] - light[0] < _LEAST_RANGE:
            return None
        curves.append(np.clip(light, 0, 1))
    if all(np.array_equal(curve, curves[0]) for curve in curves):
        curves = curves[:1]
    if all(_is_srgb(samples, curve) for curve in curves):
        return None
    return Tone("profile", tuple(_rising(samples, curve) for curve in curves))


def _is_srgb(samples: NDArray[np.float64], light: NDArray[np.float64]) -> bool:
    return bool(np.abs(linear_to_srgb(light) - samples).max() < _LIKE_SRGB)


def _rising(samples: NDArray[np.float64], light: NDArray[np.float64]) -> Knots:
    """Return the knots of a curve without those that do not rise, and its two ends."""
    kept = [0]
    for index in range(1, len(light) - 1):
        if light[index] > (1 + _LEAST_RISE) * light[kept[-1]]:
            kept.append(index)
    ends = [samples[-1]], [max(light[-1], (1 + _LEAST_RISE) * light[kept[-1]])]
    return np.append(samples[kept], ends[0]), np.append(light[kept], ends[1])


def _continued(knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return knots with one more far outside at each end, on the line through the last two."""
    low = knots[0] - _FAR * (knots[1] - knots[0])
    high = knots[-1] + _FAR * (knots[-1] - knots[-2])
    return np.concatenate([[low], knots, [high]])
