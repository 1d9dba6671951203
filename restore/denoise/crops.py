"""Training batches of noisy crops with their clean targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from restore.training.crops import areas_of, cut, draw_places, oriented
from restore.training.picture_store import Samples
from restore.training.state import Randomness

__all__ = ["Batch", "PairedCrops", "in_unit_range"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch of training examples.

    Attributes:
        noisy, clean: float32 ``(B, C, P, P)``; clean in [0, 1].
        sigma: float32 ``(B,)`` in [0, 1].
    """

    noisy: Tensor
    clean: Tensor
    sigma: Tensor

    @classmethod
    def of(cls, noisy: Tensor, clean: Tensor) -> "Batch":
        """Return a batch whose sigma is the standard deviation of each crop's own difference."""
        return cls(noisy=noisy, clean=clean, sigma=(noisy - clean).flatten(1).std(dim=1))

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """Arguments of the denoiser."""
        return self.noisy, self.sigma

    @property
    def shown(self) -> Tensor:
        """The noisy crops as pictures."""
        return self.noisy.clamp(0, 1)


class PairedCrops:
    """The same random crops from noisy pictures and their clean counterparts.

    Args:
        pairs: ``(C, H, W)`` (noisy, clean) of equal shape, uint8 or float32 with white at 1.
        patch: side of the square crops in pixels.
        batch: crops per call.
    """

    def __init__(self, pairs: Sequence[tuple[Samples, Samples]], *, patch: int, batch: int) -> None:
        self.pairs = list(pairs)
        self.patch = patch
        self.batch = batch
        self._areas = areas_of([clean for _, clean in self.pairs])

    def __call__(self, rng: Randomness) -> Batch:
        """Draw one batch; sigma is the standard deviation of each crop's own difference."""
        noisy: list[Tensor] = []
        clean: list[Tensor] = []
        for index, place, orientation in draw_places(rng.host, self._areas, self.batch):
            for crops, picture in zip((noisy, clean), self.pairs[index], strict=True):
                crop = oriented(cut(picture, place, self.patch), orientation)
                crops.append(in_unit_range(crop))
        return Batch.of(*(rng.moved(torch.stack(crops)) for crops in (noisy, clean)))


def in_unit_range(picture: Tensor) -> Tensor:
    """Return float32 with white at 1, of uint8 or of float32 that is so already."""
    return picture.float().div_(255) if picture.dtype == torch.uint8 else picture
