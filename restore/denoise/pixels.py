"""Pixel operations before, around and after the network, on a picture or a part of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.engine.runner import Run
from restore.image.colour import REC601_LUMA, linear_to_srgb, srgb_to_linear
from restore.image.fill import FILL_REACH, filled
from restore.image.picture import Picture, Transfer
from restore.image.tone import tone_of

__all__ = [
    "DETAIL_REACH",
    "Change",
    "Tile",
    "decoded",
    "encoded_for_network",
    "finest_luminance",
    "finish",
    "only_known",
    "reach_of",
]

_BAND = 64

DETAIL_REACH = 4
"""Rows above and below that ``finish`` needs to put detail back."""

_LEAST_ALPHA = 8 / 255
"""Premultiplied colour of pixels up to this alpha is neither used nor changed."""


def encoded_for_network(
    picture: Picture,
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return sRGB-encoded pixels for the network, and a mask of those that it may change.

    Samples of PQ and HLG stay, since they are as even to the eye as sRGB's. What is not finite or
    transparent is replaced from around it; premultiplied colour is divided by alpha.

    Returns:
        Pixels ``[C, H, W]``, and the mask, ``[1 or C, H, W]``, or None for all.
    """
    known = _known(picture)
    pixels = picture.pixels
    if known is not None:
        pixels = np.where(known, pixels, np.float32(0))
        if picture.alpha_is_premultiplied and picture.alpha is not None:
            pixels = np.divide(pixels, picture.alpha, out=pixels, where=known)
    if picture.transfer is Transfer.LINEAR:
        pixels = linear_to_srgb(pixels)
    elif tone := tone_of(picture):
        pixels = tone.encoded(pixels)
    return (pixels if known is None else filled(pixels, known)), known


def reach_of(picture: Picture) -> int:
    """Return how many pixels around a part ``encoded_for_network`` needs for the same result."""
    may_be_unknown = picture.is_float or picture.alpha is not None
    return FILL_REACH if may_be_unknown else 0


def decoded(
    picture: Picture, encoded: NDArray[np.float32], known: NDArray[np.bool_] | None
) -> Picture:
    """Undo ``encoded_for_network``: return ``picture`` with the pixels ``encoded``."""
    pixels = encoded
    if picture.transfer is Transfer.LINEAR:
        pixels = srgb_to_linear(pixels)
    elif tone := tone_of(picture):
        pixels = tone.decoded(pixels)
    if known is not None:
        if picture.alpha_is_premultiplied and picture.alpha is not None:
            pixels = pixels * picture.alpha
        pixels = np.where(known, pixels, picture.pixels)
    if not picture.is_float:
        np.clip(pixels, 0, 1, out=pixels)
    return picture.with_pixels(pixels)


def only_known(
    encoded: NDArray[np.float32], known: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Return ``encoded`` with NaN where the mask is False: the noise is unknown there."""
    return encoded if known is None else np.where(known, encoded, np.float32(np.nan))


def _known(picture: Picture) -> NDArray[np.bool_] | None:
    """Return where pixels are finite and visible, ``[1 or C, H, W]``; None for everywhere."""
    known: NDArray[np.bool_] | None = None
    if picture.alpha is not None and picture.alpha_is_opacity:
        # Divided by a small alpha, rounding becomes noise.
        least = _LEAST_ALPHA if picture.alpha_is_premultiplied else 0
        visible = picture.alpha[None] > least
        is_changed = picture.alpha_is_premultiplied and not (picture.alpha == 1).all()
        known = visible if is_changed or not visible.all() else None
    if picture.is_float:
        finite = np.isfinite(picture.pixels)
        if not finite.all():
            known = finite if known is None else finite & known
    return known


class Change:
    """The mean absolute difference between a picture and the network's result."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, noisy: NDArray[np.float32], restored: NDArray[np.float32]) -> None:
        """Accumulate a part of the picture, ``[C, h, w]``."""
        self._count += restored.size
        for theirs, ours in zip(noisy, restored, strict=True):
            # In bands that stay in the cache from one step to the next.
            for top in range(0, len(ours), _BAND):
                difference = theirs[top : top + _BAND] - ours[top : top + _BAND]
                self._sum += float(np.abs(difference, out=difference).sum(dtype=np.float64))

    @property
    def mean(self) -> float:
        """Mean over all pixels and channels, in the units of the pixels."""
        return self._sum / max(self._count, 1)


def finish(
    restored: NDArray[np.float32],
    encoded: NDArray[np.float32],
    *,
    strength: float,
    chroma: float,
    detail: float,
    even: NDArray[np.float32] | None = None,
) -> None:
    """Blend ``restored`` in place with the noisy input, and put fine texture back.

    Args:
        restored: ``[C, H, W]``.
        encoded: noisy input of the same shape.
        strength: 0 to 1, the share of ``restored`` in luma.
        chroma: 0 to 1, its share in the differences of the channels from luma, which is all that
            colour noise consists of; a gray picture has none.
        detail: 0 to 1, the share of the finest luminance texture.
        even: the input without its stripes, which are no texture; None where it has none.
    """
    if min(strength, chroma) < 1:
        restored -= encoded
        luma = np.float32(strength - chroma) * _luma(restored) if strength != chroma else None
        restored *= np.float32(chroma)
        if luma is not None:
            restored += luma
        restored += encoded
    if detail > 0:
        restored += np.float32(detail) * finest_luminance(
            (encoded if even is None else even) - restored
        )


def _luma(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``[H, W]`` of ``[C, H, W]`` with one or three channels."""
    luma: NDArray[np.float32] = (
        pixels[0].copy() if len(pixels) == 1 else np.tensordot(REC601_LUMA, pixels, axes=1)
    )
    return luma


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

    luminance = _luma(removed)
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
