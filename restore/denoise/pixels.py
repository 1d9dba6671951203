"""Pixel operations before, around and after the network, on a picture or a part of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.engine.runner import Run
from restore.image.colour import REC601_LUMA, linear_to_srgb, srgb_to_linear
from restore.image.picture import Picture, Transfer

__all__ = [
    "DETAIL_REACH",
    "Tile",
    "decoded",
    "encoded_for_network",
    "finest_luminance",
    "finish",
    "only_finite",
]

DETAIL_REACH = 4
"""Rows above and below that ``finish`` needs to put detail back."""


def encoded_for_network(
    picture: Picture,
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return sRGB-encoded pixels for the network, and a mask of finite ones unless all are."""
    pixels, finite = picture.pixels, None
    if picture.is_float:
        everywhere = np.isfinite(pixels)
        if not everywhere.all():
            finite = everywhere
            pixels = np.where(finite, pixels, np.float32(0))
    if picture.transfer is Transfer.LINEAR:
        pixels = linear_to_srgb(pixels)
    return pixels, finite


def decoded(
    picture: Picture, encoded: NDArray[np.float32], finite: NDArray[np.bool_] | None
) -> Picture:
    """Undo ``encoded_for_network``: return ``picture`` with the pixels ``encoded``."""
    pixels = encoded
    if picture.transfer is Transfer.LINEAR:
        pixels = srgb_to_linear(pixels)
    if finite is not None:
        pixels = np.where(finite, pixels, picture.pixels)
    if not picture.is_float:
        np.clip(pixels, 0, 1, out=pixels)
    return picture.with_pixels(pixels)


def only_finite(
    encoded: NDArray[np.float32], finite: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Return ``encoded`` with NaN where the picture was not finite: its noise is unknown there."""
    return encoded if finite is None else np.where(finite, encoded, np.float32(np.nan))


def finish(
    restored: NDArray[np.float32], encoded: NDArray[np.float32], *, strength: float, detail: float
) -> None:
    """Blend ``restored`` in place with the noisy input, and put fine texture back.

    Args:
        restored: ``[C, H, W]``.
        encoded: noisy input of the same shape.
        strength: 0 to 1, the share of ``restored``.
        detail: 0 to 1, the share of the finest luminance texture.
    """
    if strength < 1:
        restored -= encoded
        restored *= np.float32(strength)
        restored += encoded
    if detail > 0:
        restored += np.float32(detail) * finest_luminance(encoded - restored)


_RADIUS_PX = 1.0


def finest_luminance(removed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the luminance of ``removed`` minus its Gaussian blur, sigma one pixel.

    Grain at the scale of single pixels passes for texture; coarser noise shows as blotches, and
    coloured noise as specks, whatever their strength.

    Args:
        removed: picture minus result, ``(C, H, W)`` with one or three channels.

    Returns:
        ``(1, H, W)``, to be added to every channel of the result.
    """
    # SciPy takes as long to import as a small picture takes to be restored.
    from scipy import ndimage

    luminance = removed[0] if len(removed) == 1 else np.tensordot(REC601_LUMA, removed, axes=1)
    coarse = ndimage.gaussian_filter(luminance, _RADIUS_PX, mode="nearest")
    finest: NDArray[np.float32] = (luminance - coarse)[None]
    return finest


Pixels = NDArray[np.float32]

# Fewer than one sample of Gaussian noise in ten thousand lies further out.
_MARGIN_SIGMAS = 4.0
# For blind networks: the noise may be stronger than sigma says.
_LEAST_MARGIN = 0.25


@dataclass(frozen=True)
class Tile:
    """Denoises a tile ``[C, h, w]``, gray or RGB, with a gray or colour network; see ``PerTile``.

    A gray network takes the channels of a colour picture one by one, and a colour network sees a
    gray picture as three equal channels. Noise may reach beyond [0, 1]; what lies further out
    (highlights of float pictures) is clipped for the network, whose correction is then added to the
    original value.

    Attributes:
        sigma: noise level in [0, 1], used by networks that take it.
        channels: channels of the network, 1 or 3.
    """

    sigma: float
    channels: int

    def __call__(self, run: Run, patch: Pixels) -> Pixels:
        """Return the restored tile, not clipped."""
        if len(patch) == self.channels:
            return self._restored(run, patch)
        if self.channels == 1:
            return np.concatenate([self._restored(run, channel[None]) for channel in patch])
        equal = self._restored(run, np.repeat(patch, self.channels, axis=0))
        gray: Pixels = equal.mean(axis=0, keepdims=True, dtype=np.float32)
        return gray

    def _restored(self, run: Run, patch: Pixels) -> Pixels:
        margin = max(_LEAST_MARGIN, _MARGIN_SIGMAS * self.sigma)
        level = np.full(1, self.sigma, np.float32)
        # Usually nothing needs clipping, and an extra pass takes as long as the network on a GPU.
        if patch.min() >= -margin and patch.max() <= 1 + margin:
            restored: Pixels = run(patch[None], level)[0]
            return restored
        noisy = np.clip(patch, -margin, 1 + margin)
        correction: Pixels = run(noisy[None], level)[0] - noisy
        return patch + correction
