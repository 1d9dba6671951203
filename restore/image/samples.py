"""Conversion between stored samples ``[H, W, S]`` and float32 planes ``[C, H, W]``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.picture import Picture
from restore.words import counted

__all__ = ["PALETTE_REMARK", "as_half", "depth_remarks", "planes", "quantised", "stored_samples"]

PALETTE_REMARK = "has a palette; it is read as RGB"

_LARGEST_HALF = 65504
_BAND = 64


def planes(
    samples: NDArray[Any], peak: float
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Split interleaved samples into pixels and alpha.

    Args:
        samples: ``[H, W]`` or ``[H, W, S]``; S = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
        peak: the sample value that becomes 1.0.

    Returns:
        Pixels ``[C, H, W]`` and alpha ``[H, W]`` or None, converted plane by plane so that no
        second copy of the whole picture is made.

    Raises:
        UnsupportedImage: not one to four samples per pixel.
    """
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4:
        raise UnsupportedImage(f"samples of shape {list(samples.shape)} are not gray or RGB")
    height, width, count = samples.shape
    channels = 1 if count <= 2 else 3
    pixels = np.empty((channels, height, width), dtype=np.float32)
    alpha = np.empty((height, width), dtype=np.float32) if count > channels else None
    with np.errstate(invalid="ignore"):  # float files may hold NaN
        for channel in range(channels):
            np.divide(samples[..., channel], np.float32(peak), out=pixels[channel])
        if alpha is not None:
            np.divide(samples[..., channels], np.float32(peak), out=alpha)
    return pixels, alpha


def depth_remarks(stored: int, held: int) -> Sequence[str]:
    """Say that pictures do not have the depth of a file.

    Args:
        stored: Bits per sample of the file.
        held: Bits per sample of its picture.
    """
    if stored == held:
        return ()
    return (f"has {counted(stored, 'bit')} a sample; it is read as a picture of {held} bits",)


def quantised(plane: NDArray[np.float32], peak: int) -> NDArray[Any]:
    """Round ``plane`` in [0, 1] to integers in 0..peak; values outside are clipped, NaN is 0."""
    scaled = np.fmax(plane, np.float32(0))
    np.minimum(scaled, np.float32(1), out=scaled)
    scaled *= np.float32(peak)
    np.rint(scaled, out=scaled)
    return scaled.astype(np.uint8 if peak <= 255 else np.uint16)


def as_half(plane: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to half precision; finite values are clipped to +-65504, infinity is kept."""
    within = np.clip(plane, -_LARGEST_HALF, _LARGEST_HALF)
    return np.where(np.isinf(plane), plane, within).astype(np.float16)


def stored_samples(picture: Picture, dtype: type[np.generic]) -> NDArray[Any]:
    """Interleave pixels and alpha as ``[H, W]`` or ``[H, W, S]`` of ``dtype``.

    Integer types get rounded and clipped values, floating point types the values as they are.
    """
    parts = list(picture.pixels)
    if picture.alpha is not None:
        parts.append(picture.alpha)
    result = np.empty((picture.height, picture.width, len(parts)), dtype=dtype)
    # In bands that stay in the cache from one step to the next.
    for top in range(0, picture.height, _BAND):
        band = slice(top, top + _BAND)
        for index, part in enumerate(parts):
            result[band, :, index] = _stored(part[band], dtype)
    return result[..., 0] if len(parts) == 1 else result


def _stored(plane: NDArray[np.float32], dtype: type[np.generic]) -> NDArray[Any]:
    if np.issubdtype(dtype, np.integer):
        return quantised(plane, int(np.iinfo(dtype).max))  # type: ignore[type-var]
    return as_half(plane) if dtype is np.float16 else plane
