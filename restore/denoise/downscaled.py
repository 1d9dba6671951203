"""Learning to denoise from noisy pictures at half and a third of their size, made noisy again."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.denoise.self_supervision import Example, NoisyCrops
from restore.noise.white_noise import WhiteNoise
from restore.training.picture_store import Samples
from restore.training.state import Randomness

__all__ = ["SCALES", "AddedNoise", "Downscaled"]

SCALES = (2, 3)
"""Pixels across the blocks that are averaged: the more, the better the targets, but the stranger
the pictures."""


class AddedNoise:
    """Gaussian noise like that of some pictures.

    Args:
        noise: noise of all pictures.
        factors: variance in each scene in units of ``noise``.
    """

    def __init__(self, noise: WhiteNoise, factors: Sequence[float]) -> None:
        self._signal = torch.tensor(noise.signal, dtype=torch.float32)
        self._variance = torch.tensor(noise.variance, dtype=torch.float32)
        self._mixing = torch.linalg.cholesky(_definite(torch.from_numpy(noise.correlation))).float()
        self._factors = torch.tensor(factors, dtype=torch.float32)

    def drawn(self, crops: Tensor, scenes: Tensor, rng: Randomness) -> Tensor:
        """Return noise as strong as that of pixels of this brightness.

        Args:
            crops: ``(B, C, P, P)``.
            scenes: index of the scene of each crop, ``(B,)``.
            rng: random generators of the run.
        """
        white = torch.randn(crops.shape, generator=rng.local, device=rng.device)
        mixed = torch.einsum("dc,bchw->bdhw", self._mixing.to(rng.device), white)
        channels = zip(crops.unbind(1), self._signal, self._variance, strict=True)
        variance = torch.stack([_interpolated(*each) for each in channels], dim=1)
        factors = rng.moved(self._factors[scenes])[:, None, None, None]
        return mixed * (variance * factors).sqrt()


class Downscaled:
    """Averages of blocks of pixels, to which noise is added until they are as noisy as before.

    Means of k by k pixels have 1/k² of the variance of white noise. With n' of the other 1 - 1/k²
    they are inputs as noisy as the pictures are; and without n' / (k² - 1) they are targets whose
    noise is uncorrelated with that of the inputs, and has a variance of only 1 / (k² - 1) of it
    (Pang et al., "Recorrupted-to-Recorrupted", CVPR 2021, eq. 5, with alpha² = k² - 1). Pictures
    look alike at all scales, so that what is learned there serves at full size.

    Args:
        scenes: frames of each scene, uint8 or float32 ``(C, H, W)``; those that are too small for
            a scale are left out of it.
        levels: noise level of each scene in [0, 1], told to the network.
        noise: noise of the scenes.
        factors: variance in each scene in units of ``noise``.
        side: side of inputs and targets in pixels; pictures are twice as large at least.
        batch: crops per call.
        turns: whether crops may be turned by a right angle.
    """

    def __init__(
        self,
        scenes: Sequence[Sequence[Samples]],
        levels: Sequence[float],
        *,
        noise: WhiteNoise,
        factors: Sequence[float],
        side: int,
        batch: int,
        turns: bool,
    ) -> None:
        self.side = side
        self._crops: dict[int, tuple[NoisyCrops, AddedNoise]] = {}
        for scale in SCALES:
            patch = scale * side
            large = [i for i, frames in enumerate(scenes) if min(frames[0].shape[1:]) >= patch]
            if large:
                crops = NoisyCrops(
                    [scenes[i] for i in large],
                    [levels[i] for i in large],
                    patch=patch,
                    batch=batch,
                    turns=turns,
                )
                self._crops[scale] = crops, AddedNoise(noise, [factors[i] for i in large])

    def __call__(self, rng: Randomness) -> Example:
        """Draw one batch, all of one scale."""
        scales = list(self._crops)
        scale = scales[int(torch.randint(len(scales), (), generator=rng.host))]
        crops, noise = self._crops[scale]
        (whole,), scenes = crops.drawn(rng, 1)
        means = F.avg_pool2d(whole, scale)
        ratio = scale**2 - 1
        added = noise.drawn(means, scenes, rng) * (ratio / scale**2) ** 0.5
        return Example(
            noisy=means + added,
            target=means - added / ratio,
            sigma=crops.levels_of(scenes, rng),
            shown=whole[..., : self.side, : self.side],
        )


def _definite(correlation: Tensor) -> Tensor:
    """Return a correlation matrix that has a Cholesky decomposition, also if channels are alike."""
    return correlation + 1e-6 * torch.eye(len(correlation), dtype=correlation.dtype)


def _interpolated(values: Tensor, at: Tensor, known: Tensor) -> Tensor:
    """Return ``known`` at ``at``, ``[K]``, between which it is linear and beyond constant."""
    at, known = at.to(values.device), known.to(values.device)
    if len(at) == 1:
        return known.expand_as(values)
    right = torch.searchsorted(at, values.contiguous()).clamp(1, len(at) - 1)
    left = right - 1
    share = ((values - at[left]) / (at[right] - at[left]).clamp_min(1e-12)).clamp(0, 1)
    return torch.lerp(known[left], known[right], share)
