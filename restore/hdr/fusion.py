"""Linear light on a screen: tone mapping by the fusion of exposures rendered from it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.image.colour import REC709_LUMINANCE, linear_to_srgb, srgb_to_linear
from restore.image.picture import Picture, Transfer

__all__ = ["tone_mapped"]

Plane = NDArray[np.float32]

_GRAY = 0.18
_MOST_KEY = 4.0
"""Factor by which a picture is brightened or darkened as a whole, at most."""
_SHADOW, _LIGHT = 0.08, 0.9
"""Light that the darkest and the brightest exposure bring the ends of the range to."""
_LOW_QUANTILE, _HIGH_QUANTILE = 0.1, 0.999
_MOST_BRIGHTENED = 12.0
_STEP_STOPS = 1.5
_MOST_EXPOSURES = 12
_MIDDLE, _SPREAD = 0.5, 0.2
_LEAST_WEIGHT = 1e-4
_BLACK_QUANTILE, _WHITE_QUANTILE = 0.002, 0.997
_HIGHEST_BLACK, _LOWEST_WHITE = 0.05, 0.7
_MEAN, _MOST_CURVED = 0.46, 1.6
_COLOUR = 0.9
"""Share of the saturation that is kept: where contrast shrinks, colours seem stronger."""
_KERNEL = np.array([1, 4, 6, 4, 1], dtype=np.float32) / 16
_SMALLEST = 8
_MOST_SAMPLES = 500_000
_LEAST, _LARGEST = np.float32(1e-6), np.float32(1e9)
_LONGEST_SIDE = 2048


def tone_mapped(light: Picture, *, longest_side: int | None = _LONGEST_SIDE) -> Picture:
    """Return an 8-bit picture of linear light, encoded with sRGB's curve, to look at.

    Exposures of the luminance from that which holds the lights to that which shows the shadows are
    fused where each is exposed well (Mertens et al., "Exposure Fusion", Pacific Graphics 2007,
    with its weights of exposure alone), so that all is seen with its local contrast. Hues are kept.

    Args:
        light: Linear light of any range.
        longest_side: Pixels of the longest side; larger pictures are reduced. None for all sizes.
    """
    pixels = light.pixels if longest_side is None else _reduced(light.pixels, longest_side)
    pixels = np.nan_to_num(pixels).clip(0, _LARGEST)
    luminance = np.maximum(_luminance(pixels), _LEAST)
    fused = _levelled(_fused(luminance, _factors(luminance)))
    shown = srgb_to_linear(fused)
    colours = _COLOUR * shown / luminance
    result = np.empty_like(pixels)
    for mapped, plane in zip(result, pixels, strict=True):
        np.multiply(plane, colours, out=mapped)
        mapped += np.float32(1 - _COLOUR) * shown
    _fit(result, shown)
    return Picture(
        pixels=linear_to_srgb(result).clip(0, 1),
        format=light.format,
        exif=light.exif,
        xmp=light.xmp,
        notes=light.notes,
        orientation=light.orientation,
        primaries=light.primaries,
        transfer=Transfer.SRGB,
    )


def _factors(luminance: Plane) -> Sequence[float]:
    """Return the factors of the exposures to fuse, the darkest first."""
    step = max(1, int((luminance.size / _MOST_SAMPLES) ** 0.5))
    sample = luminance[::step, ::step]
    mean = float(np.exp(np.mean(np.log(sample))))
    low, high = (float(each) for each in np.quantile(sample, (_LOW_QUANTILE, _HIGH_QUANTILE)))
    key = min(max(_GRAY / mean, 1 / _MOST_KEY), _MOST_KEY)
    darkest = min(key, _LIGHT / high)
    brightest = key * min(max(_SHADOW / (low * key), 1.0), _MOST_BRIGHTENED)
    stops = float(np.log2(brightest / darkest))
    count = min(1 + int(np.ceil(stops / _STEP_STOPS)), _MOST_EXPOSURES)
    return [float(each) for each in np.geomspace(darkest, brightest, count)]


def _fused(luminance: Plane, factors: Sequence[float]) -> Plane:
    """Return the Laplacian blend of sRGB-encoded exposures ``[H, W]``."""
    exposures = [linear_to_srgb(np.minimum(luminance * np.float32(each), 1)) for each in factors]
    if len(exposures) == 1:
        return exposures[0]
    total = sum(_weight(each) for each in exposures)
    levels = max(1, int(np.log2(max(1, min(luminance.shape) / _SMALLEST))))
    blended: list[Plane] = []
    for exposure in exposures:
        weights, details = _weight(exposure) / total, exposure
        for level in range(levels + 1):
            if level < levels:
                smaller = _halved(details)
                part = (details - _doubled(smaller, details.shape)) * weights
                details, following = smaller, _halved(weights)
            else:
                part, following = details * weights, weights
            if len(blended) <= level:
                blended.append(part)
            else:
                blended[level] += part
            weights = following
    result = blended.pop()
    while blended:
        finer = blended.pop()
        result = finer + _doubled(result, finer.shape)
    return result


def _weight(exposure: Plane) -> Plane:
    deviation = (exposure - np.float32(_MIDDLE)) / np.float32(_SPREAD)
    weight: Plane = np.exp(np.float32(-0.5) * deviation**2) + np.float32(_LEAST_WEIGHT)
    return weight


def _smoothed(plane: Plane) -> Plane:
    for axis in (0, 1):
        plane = ndimage.convolve1d(plane, _KERNEL, axis=axis, mode="reflect")
    return plane


def _halved(plane: Plane) -> Plane:
    return _smoothed(plane)[::2, ::2]


def _doubled(plane: Plane, shape: tuple[int, ...]) -> Plane:
    spread = plane.repeat(2, axis=0)[: shape[0]].repeat(2, axis=1)[:, : shape[1]]
    return _smoothed(spread)


def _levelled(encoded: Plane) -> Plane:
    """Return the picture from black to white, with its mean in the middle."""
    step = max(1, int((encoded.size / _MOST_SAMPLES) ** 0.5))
    ends = np.quantile(encoded[::step, ::step], (_BLACK_QUANTILE, _WHITE_QUANTILE))
    black = np.float32(min(max(float(ends[0]), 0.0), _HIGHEST_BLACK))
    white = np.float32(max(float(ends[1]), _LOWEST_WHITE))
    result: Plane = ((encoded - black) / (white - black)).clip(0, 1)
    mean = float(result.mean(dtype=np.float64))
    curve = np.log(_MEAN) / np.log(min(max(mean, 0.01), 0.99))
    result **= np.float32(min(max(curve, 1 / _MOST_CURVED), 1.0))
    return result


def _fit(colours: NDArray[np.float32], luminance: Plane) -> None:
    """Pale colours ``[C, H, W]`` that exceed white just as much as they need, in place."""
    brightest = colours.max(axis=0)
    over = brightest > 1
    share = (1 - luminance[over]) / np.maximum(brightest[over] - luminance[over], _LEAST)
    for plane in colours:
        plane[over] = luminance[over] + share * (plane[over] - luminance[over])


def _reduced(pixels: NDArray[np.float32], longest_side: int) -> NDArray[np.float32]:
    """Return means over cells, so that no side is longer than ``longest_side``.

    Cells are square, but for pictures that are narrower than one.
    """
    step = -(-max(pixels.shape[1:]) // longest_side)
    if step == 1:
        return pixels
    tall, wide = (min(step, side) for side in pixels.shape[1:])
    channels, height, width = pixels.shape[0], pixels.shape[1] // tall, pixels.shape[2] // wide
    reduced = np.zeros((channels, height, width), dtype=np.float32)
    for row in range(tall):
        for column in range(wide):
            cells = pixels[:, row::tall, column::wide]
            reduced += np.nan_to_num(cells[:, :height, :width]).clip(-_LARGEST, _LARGEST)
    reduced /= np.float32(tall * wide)
    return reduced


def _luminance(light: NDArray[np.float32]) -> Plane:
    return light[0] if len(light) == 1 else np.tensordot(REC709_LUMINANCE, light, axes=1)
