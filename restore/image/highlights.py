"""Highlights in which some colours of a sensor are saturated and others are not."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.image.colour import REC709_LUMINANCE
from restore.image.raw_picture import PLANE_COLOURS, RawPicture

__all__ = [
    "clipping_levels",
    "rebuild_highlights",
    "rebuilt_colours",
    "without_clipped_colour",
]

Planes = NDArray[np.float32]

_NEIGHBOURHOOD, _MARGIN = 10.0, 32
# Cells whose brightest colour is above this share of its saturation tell the colour of highlights.
_BRIGHT, _FADING, _LEAST = 0.4, 0.8, 1e-6


def clipping_levels(raw: RawPicture) -> NDArray[np.float32]:
    """Return where red, green and blue of ``normalised`` saturate, ``[3]``, at least 1."""
    levels = [
        (saturated - black) / raw.range_dn
        for saturated, black in zip(raw.saturated_from, raw.black_level, strict=True)
    ]
    return np.array([levels[0], min(levels[1], levels[3]), levels[2]], dtype=np.float32)


def rebuild_highlights(planes: Planes, levels: NDArray[np.float32], period: int) -> float:
    """Give saturated samples the light that the unsaturated ones around suggest, in place.

    A saturated colour gets what the others in its cell have, times the ratio between them in
    bright unsaturated cells nearby; less of that ratio, the nearer the others are to saturation
    themselves, and no less than the sample had. Cells with nothing unsaturated become neutral. So
    overexposed things turn white, whatever the white balance.

    Args:
        planes: ``[4 or 9, h, w]``, see ``Packed``, black at 0 and white balanced.
        levels: where red, green and blue saturate, white balanced, ``[3]``.
        period: period of the colour filter.

    Returns:
        The share of samples that were saturated.
    """
    colours = np.array(PLANE_COLOURS[period])
    clipped = np.stack([plane >= levels[colours[i]] for i, plane in enumerate(planes)])
    if not clipped.any() or len(planes) == 1:
        return float(clipped.mean())
    # Only around what is clipped, which in most pictures is little.
    places = tuple(
        slice(max(0, int(where[0]) - _MARGIN), int(where[-1]) + _MARGIN + 1)
        for where in (np.flatnonzero(clipped.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    )
    inside = planes[:, places[0], places[1]]
    light, is_clipped = _by_colour(inside, clipped[:, places[0], places[1]], colours)
    wanted = rebuilt_colours(light, is_clipped, levels)
    for index, plane in enumerate(inside):
        here = clipped[index, places[0], places[1]]
        colour = colours[index]
        # What lies above saturation is noise.
        plane[here] = np.maximum(np.minimum(plane, levels[colour]), wanted[colour])[here]
    return float(clipped.mean())


def _by_colour(
    planes: Planes, clipped: NDArray[np.bool_], colours: NDArray[np.intp]
) -> tuple[Planes, NDArray[np.bool_]]:
    """Return the mean of each colour in every cell, and whether any sample of it is clipped."""
    light = np.stack([planes[colours == colour].mean(axis=0) for colour in range(3)])
    return light, np.stack([clipped[colours == colour].any(axis=0) for colour in range(3)])


def rebuilt_colours(
    light: Planes, is_clipped: NDArray[np.bool_], levels: NDArray[np.float32]
) -> Planes:
    """Return the light that clipped colours get, ``[3, h, w]``; see ``rebuild_highlights``.

    Args:
        light: red, green and blue, black at 0 and white balanced, ``[3, h, w]``.
        is_clipped: where each is saturated, ``[3, h, w]``.
        levels: where they saturate, ``[3]``.
    """
    share = light / levels[:, None, None]
    logs = np.log(np.maximum(light, _LEAST))
    is_sound = ~is_clipped.any(axis=0) & (share.max(axis=0) > _BRIGHT)
    hue = logs - logs.mean(axis=0)
    weight = ndimage.gaussian_filter(is_sound.astype(np.float32), _NEIGHBOURHOOD, truncate=3)
    usual = np.stack(
        [ndimage.gaussian_filter(each * is_sound, _NEIGHBOURHOOD, truncate=3) for each in hue]
    ) / (weight + np.float32(1e-3))
    free = ~is_clipped
    count = free.sum(axis=0)
    brightest = np.where(free, share, 0).max(axis=0)
    usual *= np.clip((1 - brightest) / (1 - _FADING), 0, 1)
    mean = np.where(free, logs - usual, 0).sum(axis=0) / np.maximum(count, 1)
    found = np.exp(mean + usual)
    white = np.float32(levels.max())
    result: Planes = np.where(count > 0, np.minimum(found, white), white).astype(np.float32)
    return result


def without_clipped_colour(linear: Planes) -> Planes:
    """Return linear sRGB, ``[3, h, w]``, in which nothing beyond white has a wrong hue; or gray.

    A display clips each channel by itself, which turns bright orange yellow. Here colours are
    desaturated instead, as far as needed for all channels to be at most 1; what is brighter than
    white becomes white. Luminance stays.
    """
    if len(linear) == 1:
        return linear
    luminance = np.tensordot(REC709_LUMINANCE, linear, axes=1)
    highest = linear.max(axis=0)
    over = highest > 1
    if not over.any():
        return linear
    room = np.maximum(1 - luminance, 0) / np.maximum(highest - luminance, np.float32(_LEAST))
    share = np.where(over, np.minimum(room, 1), np.float32(1))
    gray = np.minimum(luminance, 1)
    result: Planes = np.where(over, gray + share * (linear - luminance), linear).astype(np.float32)
    return result
