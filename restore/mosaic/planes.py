"""What the network sees of a mosaic: samples in units of their noise, and what surrounds them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["UNIT", "Normalised", "normalised_planes"]

UNIT = 16.0
"""One unit of the planes in standard deviations of the noise: the network's levels were first
trained on pictures whose noise was about a sixteenth of white."""

_MOST_DEVIATIONS = 1024.0
_LEAST_DEVIATION = 1e-7


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """Input planes of the network, and what turns its output into noise.

    Attributes:
        planes: ``[..., 31, h, w]``: for red, green and blue the four samples that see the colour, 0
            elsewhere; likewise 1 where a sample sees it; the local signal-to-noise ratio of each
            colour; the noise of each of the four samples, compared with that of its surroundings.
        scale: ``[..., 4, h, w]``, factors from the network's output to noise of the samples.
    """

    planes: Any
    scale: Any


def normalised_planes(
    samples: Any,
    masks: Any,
    shot: Any,
    read: Any,
    *,
    smoothed: Callable[[Any], Any],
    joined: Callable[[list[Any]], Any],
) -> Normalised:
    """Return the network's inputs; arrays and tensors alike.

    A sample is compared with the mean of its colour around it, whose noise follows from the
    profile: Var(x) = a x + b. The mean of a wide area keeps the noise of a sample from deciding how
    much noise is expected of it, which would bias the result.

    Args:
        samples: ``[..., 4, h, w]``, two by two samples row by row; black at 0, white at 1.
        masks: ``[..., 3, 4, h, w]``, 1 where a sample sees red, green and blue, else 0; samples of
            monochrome sensors see all three.
        shot: a of each colour, ``[..., 3, 1, 1]``.
        read: b of each colour, ``[..., 3, 1, 1]``.
        smoothed: returns a weighted mean of the surroundings in the last two dimensions, zeros
            beyond the edges.
        joined: joins planes along the third dimension from the end.
    """
    seen = (masks * samples[..., None, :, :, :]).sum(-3)
    means = smoothed(seen) / smoothed(masks.sum(-3)).clip(min=1e-6)
    deviations = ((shot * means.clip(min=0) + read) ** 0.5).clip(min=_LEAST_DEVIATION)
    shares = masks / masks.sum(-4)[..., None, :, :, :].clip(min=1)

    def own(of_colours: Any) -> Any:
        return (shares * of_colours[..., None, :, :]).sum(-4)

    deviation = own(deviations)
    contrast = ((samples - own(means)) / deviation).clip(min=-_MOST_DEVIATIONS)
    contrast = contrast.clip(max=_MOST_DEVIATIONS) / UNIT
    expected = (own(shot + 0 * means) * samples.clip(min=0) + own(read + 0 * means)) ** 0.5
    ratio = (expected / deviation).clip(max=UNIT)
    # A square root keeps the noise of the means above the rounding of half precision.
    snr = ((means / deviations).clip(min=-1) + 1) ** 0.5 / UNIT
    by_colour = masks * contrast[..., None, :, :, :]
    flat = (*masks.shape[:-4], 12, *masks.shape[-2:])
    return Normalised(
        planes=joined([by_colour.reshape(flat), masks.reshape(flat), snr, ratio]),
        scale=deviation * UNIT,
    )
