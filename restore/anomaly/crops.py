"""Random crops of good parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restore.training.picture_store import Samples
from restore.training.state import Randomness

__all__ = ["Crops", "PartCrops"]

_GAIN = 0.25
_BEYOND = 0.25
"""Share of a crop by which it may be placed beyond the picture before it is moved back inside."""


@dataclass(frozen=True)
class Crops:
    """Crops of good parts.

    Attributes:
        pictures: float32 ``(B, C, P, P)`` in [0, 1].
        inside: Where on them defects count, float32 ``(B, 1, P, P)`` of 0 and 1.
    """

    pictures: Tensor
    inside: Tensor


class PartCrops:
    """Random crops of good parts, randomly mirrored and brightened or darkened.

    Positions are drawn from an area larger than the picture and then moved inside, so that edges
    are seen as often as the middle. With uniform positions, few crops would contain an outermost
    row, and parts would cause false alarms along their edges.

    Args:
        pictures: float32 ``(C, H, W)`` in [0, 1]; those smaller than ``patch`` are extended by
            mirroring at the right and bottom edges.
        patch: side of the square crops in pixels.
        batch: crops per call.
        inside: where on each picture defects count, bool ``(H, W)``, from around which crops are
            taken; empty for everywhere.
    """

    def __init__(
        self,
        pictures: Sequence[Samples],
        *,
        patch: int,
        batch: int,
        inside: Sequence[Samples] = (),
    ) -> None:
        self.pictures, self.inside = list(pictures), list(inside)
        self._near = [_around(each[:], patch) for each in inside]
        self.patch = patch
        self.batch = batch

    def __call__(self, rng: Randomness) -> Crops:
        """Return crops on the run's device."""
        crops, insides = [], []
        for _ in range(self.batch):
            index = int(torch.randint(len(self.pictures), (), generator=rng.host))
            y, x, down, right, gain = torch.rand(5, generator=rng.host).tolist()
            area = self._near[index] if self.inside else (slice(None), slice(None))
            near = _at_least(self.pictures[index][:, *area], self.patch)
            crop = _crop(near, y, x, self.patch)
            turned = [axis for axis, chance in ((1, down), (2, right)) if chance < 0.5]
            crops.append(crop.flip(turned) * (1 + _GAIN * (2 * gain - 1)))
            if self.inside:
                near = _at_least(self.inside[index][None, *area], self.patch)
                insides.append(_crop(near, y, x, self.patch).flip(turned).float())
        pictures = rng.moved(torch.stack(crops)).clamp_(0, 1)
        inside = rng.moved(torch.stack(insides)) if insides else torch.ones_like(pictures[:, :1])
        return Crops(pictures, inside)


def _around(inside: Tensor, patch: int) -> tuple[slice, slice]:
    """Return the rows and columns at most half a crop away from where defects count."""
    spans = []
    for axis in (1, 0):
        places = torch.nonzero(inside.any(dim=axis)).flatten().tolist() or [0]
        spans.append(slice(max(0, places[0] - patch // 2), places[-1] + 1 + patch // 2))
    return spans[0], spans[1]


def _crop(picture: Tensor, y: float, x: float, patch: int) -> Tensor:
    top, left = (
        _start(share, size - patch + 1, round(_BEYOND * patch))
        for share, size in zip((y, x), picture.shape[1:], strict=True)
    )
    return picture[:, top : top + patch, left : left + patch]


def _start(share: float, places: int, beyond: int) -> int:
    return min(max(int(share * (places + 2 * beyond)) - beyond, 0), places - 1)


def _at_least(picture: Tensor, side: int) -> Tensor:
    missing = [max(0, side - size) for size in picture.shape[1:]]
    if not any(missing):
        return picture
    padded = np.pad(picture.numpy(), ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")
    return torch.from_numpy(padded)
