"""Pictures of sensors whose pixels are not square, stretched so that shapes are right."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["squared", "stretch_remark"]


def squared(
    pixels: NDArray[np.float32], pixel_aspect: float, orientation: int = 1
) -> NDArray[np.float32]:
    """Return a picture with square pixels, the longer side of each pixel filled by interpolation.

    Args:
        pixels: ``[C, H, W]``.
        pixel_aspect: Width of a pixel of the sensor in its heights.
        orientation: EXIF orientation that the picture was turned upright by.
    """
    if pixel_aspect == 1 or not pixels.size:
        return pixels
    is_turned = orientation in (5, 6, 7, 8)
    axis = 2 if (pixel_aspect > 1) is not is_turned else 1
    size = pixels.shape[axis]
    longer = round(size * max(pixel_aspect, 1 / pixel_aspect))
    places = ((np.arange(longer) + 0.5) * (size / longer) - 0.5).clip(0, size - 1)
    below = places.astype(np.intp)
    above = np.minimum(below + 1, size - 1)
    shape = [1, 1, 1]
    shape[axis] = longer
    share = (places - below).astype(np.float32).reshape(shape)[0]
    result = np.empty([longer if each == axis else n for each, n in enumerate(pixels.shape)], "f4")
    for plane, stretched in zip(pixels, result, strict=True):
        np.subtract(plane.take(above, axis - 1), plane.take(below, axis - 1), out=stretched)
        stretched *= share
        stretched += plane.take(below, axis - 1)
    return result


def stretch_remark(pixel_aspect: float) -> str:
    """Return a sentence about a picture that ``squared`` has stretched, "" for square pixels."""
    if pixel_aspect == 1:
        return ""
    side, factor = ("width", pixel_aspect) if pixel_aspect > 1 else ("height", 1 / pixel_aspect)
    return f"its pixels are not square; the result is stretched to {factor:.4g} times its {side}"
