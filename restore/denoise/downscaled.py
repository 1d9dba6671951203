"""Learning to denoise from noisy pictures at half and a third of their size, made noisy again."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.denoise.self_supervision import Example, NoisyCrops
from restore.noise.by_signal import NoiseBySignal
from restore.noise.correlation import NoiseCorrelation
from restore.training.picture_store import Samples
from restore.training.state import Randomness

__all__ = ["SCALES", "AddedNoise", "Downscaled"]

SCALES = (2, 3)
"""Pixels across the blocks that are averaged: the more, the better the targets, but the stranger
the pictures."""

_LEAST_ADDED = 0.3
"""Least power of the added noise, in units of that of the averages."""


class AddedNoise:
    """Gaussian noise that makes averages as noisy as pixels were, and what targets have less of it.

    Args:
        noise: noise of all pictures.
        factors: variance in each scene in units of ``noise``.
        correlation: correlation of the noise.
        scale: pixels across the blocks that are averaged.
        side: side of the averaged crops in pixels.
    """

    def __init__(
        self,
        noise: NoiseBySignal,
        factors: Sequence[float],
        *,
        correlation: NoiseCorrelation,
        scale: int,
        side: int,
    ) -> None:
        self._signal = torch.tensor(noise.signal, dtype=torch.float32)
        self._variance = torch.tensor(noise.variance, dtype=torch.float32)
        self._mixing = torch.linalg.cholesky(_definite(torch.from_numpy(noise.correlation))).float()
        self._factors = torch.tensor(factors, dtype=torch.float32)
        averaged = correlation.spectrum(side, scale=scale)
        added = np.maximum(correlation.spectrum(side) - averaged, _LEAST_ADDED * averaged)
        self._added = torch.tensor(np.sqrt(added), dtype=torch.float32)
        self._removed = torch.tensor(averaged / np.sqrt(added), dtype=torch.float32)

    def drawn(self, means: Tensor, scenes: Tensor, rng: Randomness) -> tuple[Tensor, Tensor]:
        """Return the noise to add to inputs, and what to subtract from targets.

        Args:
            means: averaged crops, ``(B, C, P, P)``.
            scenes: index of the scene of each crop, ``(B,)``.
            rng: random generators of the run.
        """
        white = torch.randn(means.shape, generator=rng.local, device=rng.device)
        mixed = torch.einsum("dc,bchw->bdhw", self._mixing.to(rng.device), white)
        channels = zip(means.unbind(1), self._signal, self._variance, strict=True)
        variance = torch.stack([_interpolated(*each) for each in channels], dim=1)
        deviation = (variance * rng.moved(self._factors[scenes])[:, None, None, None]).sqrt()
        spectrum = torch.fft.rfft2(mixed)
        added, removed = (
            torch.fft.irfft2(spectrum * gain.to(rng.device), s=means.shape[-2:])
            for gain in (self._added, self._removed)
        )
        return added * deviation, removed * deviation


class Downscaled:
    """Averages of blocks of pixels, to which noise is added until they are as noisy as before.

    Means of k by k pixels have 1/k² of the variance of white noise. With n' of the other 1 - 1/k²
    they are inputs as noisy as the pictures are; and without n' / (k² - 1) they are targets whose
    noise is uncorrelated with that of the inputs, and has a variance of only 1 / (k² - 1) of it
    (Pang et al., "Recorrupted-to-Recorrupted", CVPR 2021, eq. 5, with alpha² = k² - 1). Pictures
    look alike at all scales, so that what is learned there serves at full size.

    Of correlated noise, the same holds for each frequency by itself: where pixels have the power P
    and averages Q, P - Q is added, and Q / (P - Q) times the added noise is subtracted. Averaging
    moves noise to higher frequencies; where Q is near P or above, some is added nevertheless.

    Args:
        scenes: frames of each scene, uint8 or float32 ``(C, H, W)``; those that are too small for
            a scale are left out of it.
        levels: noise level of each scene in [0, 1], told to the network.
        noise: noise of the scenes.
        correlation: correlation of the noise.
        factors: variance in each scene in units of ``noise``.
        side: side of inputs and targets in pixels; pictures are twice as large at least.
        batch: crops per call.
    """

    def __init__(
        self,
        scenes: Sequence[Sequence[Samples]],
        levels: Sequence[float],
        *,
        noise: NoiseBySignal,
        correlation: NoiseCorrelation,
        factors: Sequence[float],
        side: int,
        batch: int,
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
                    turns=correlation.is_alike,
                )
                own = [factors[i] for i in large]
                self._crops[scale] = (
                    crops,
                    AddedNoise(noise, own, correlation=correlation, scale=scale, side=side),
                )

    def __call__(self, rng: Randomness) -> Example:
        """Draw one batch of one scale, with chances as the numbers of scenes that fit."""
        # Few pictures that alone are large enough for a scale do not make up half of the crops.
        counts = torch.tensor([len(crops.scenes) for crops, _ in self._crops.values()])
        chosen = int(torch.multinomial(counts.float(), 1, generator=rng.host))
        scale, (crops, noise) = list(self._crops.items())[chosen]
        (whole,), scenes = crops.drawn(rng, 1)
        means = F.avg_pool2d(whole, scale)
        added, removed = noise.drawn(means, scenes, rng)
        return Example(
            noisy=means + added,
            target=means - removed,
            sigma=crops.levels_of(scenes, rng),
            shown=whole[..., : self.side, : self.side],
        )


def _definite(correlation: Tensor) -> Tensor:
    """Return a correlation matrix that has a Cholesky decomposition, also if channels are alike."""
    return correlation + 1e-6 * torch.eye(len(correlation), dtype=correlation.dtype)


def _interpolated(values: Tensor, at: Tensor, known: Tensor) -> Tensor:
    """Return what is ``known`` at ``at``, ``[K]``: linear in between, and constant beyond."""
    at, known = at.to(values.device), known.to(values.device)
    right = torch.searchsorted(at, values.contiguous()).clamp(1, len(at) - 1)
    left = right - 1
    share = ((values - at[left]) / (at[right] - at[left]).clamp_min(1e-12)).clamp(0, 1)
    return torch.lerp(known[left], known[right], share)
