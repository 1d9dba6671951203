"""Degradations of photographs: by cameras, or of finished pictures by noise and processing."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.denoise.crops import Batch
from restore.noise.camera import photographed, smoothed
from restore.noise.jpeg import chroma_halved, compressed, luma_and_chroma
from restore.training.crops import LumaCrops, RandomCrops
from restore.training.state import Randomness

__all__ = ["CameraInGray", "CameraNoise", "Processed", "SceneSampling"]


@dataclass(frozen=True, kw_only=True)
class SceneSampling:
    """Which scenes are photographed, and at which scale.

    Scenes are often enlarged first: training pictures were scaled down to a megapixel or less and
    are sharper per pixel than any lens on a sensor of twenty megapixels. Most crops of such a
    photograph show a plain wall, sky or skin, so many scenes lose contrast, too. A network trained
    on detailed pictures alone mistakes much noise for detail.

    Attributes:
        shrunk_share: Share of batches that are scaled down after noise was added, as for the web.
        smallest: Smallest factor by which they are scaled down, in (0, 1).
        enlarged_share: Share of batches whose scenes are enlarged before noise is added.
        largest: Largest factor by which they are enlarged.
        flat_share: Share of crops that lose contrast.
        least_contrast: Smallest share of contrast that is left.
    """

    shrunk_share: float
    smallest: float
    enlarged_share: float
    largest: float
    flat_share: float
    least_contrast: float

    def drawn(self, crops: RandomCrops, count: int, rng: Randomness) -> Tensor:
        """Return ``count`` scenes ``(B, C, S, S)``, S at least ``crops.patch``."""
        before, after = self._scales(rng)
        side = min(math.ceil(crops.patch / after), crops.largest)
        scenes = self._flattened(crops(rng, count=count, side=math.ceil(side / before)), rng)
        return resized(scenes, side)

    def _flattened(self, scenes: Tensor, rng: Randomness) -> Tensor:
        chance, place = torch.rand((2, len(scenes), 1, 1, 1), generator=rng.host)
        contrast = self.least_contrast + (1 - self.least_contrast) * place
        kept = rng.moved(torch.where(chance < self.flat_share, contrast, 1.0))
        mean = scenes.mean(dim=(2, 3), keepdim=True)
        return mean + kept * (scenes - mean)

    def _scales(self, rng: Randomness) -> tuple[float, float]:
        """Return the factors by which scenes are enlarged before noise and scaled down after."""
        chance, place = torch.rand(2, generator=rng.host, dtype=torch.float64).tolist()
        if chance < self.shrunk_share:
            return 1.0, self.smallest + (1 - self.smallest) * place
        if chance < self.shrunk_share + self.enlarged_share:
            return 1 + (self.largest - 1) * place, 1.0
        return 1.0, 1.0


@dataclass(frozen=True)
class CameraNoise:
    """Photographs by random digital cameras, sometimes scaled down afterwards."""

    scenes: SceneSampling = SceneSampling(
        shrunk_share=0.15,
        smallest=0.5,
        enlarged_share=0.7,
        largest=6.0,
        flat_share=0.6,
        least_contrast=0.1,
    )

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` crops and photograph them with noise and, as targets, without."""
        pair = photographed(self.scenes.drawn(crops, count, rng), rng.local)
        return Batch.of(*(resized(pictures, crops.patch) for pictures in pair))


@dataclass(frozen=True)
class CameraInGray:
    """Camera noise for gray networks: simulated in colour by ``camera``, then reduced to luma."""

    camera: CameraNoise = CameraNoise()

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` crops from ``LumaCrops`` and photograph them in colour."""
        if not isinstance(crops, LumaCrops):
            raise TypeError(f"camera noise in gray needs LumaCrops, got {type(crops).__name__}")
        colour = self.camera(crops.colour, count, rng)
        noisy, clean = (luma_and_chroma(each)[0] for each in (colour.noisy, colour.clean))
        return Batch.of(noisy, clean)


@dataclass(frozen=True)
class Processed:
    """Noise in finished pictures, then processing as for the web.

    A noisy picture may be scaled down, sharpened, and compressed as JPEG once or twice. Some
    pictures get neither noise nor compression, so that a network leaves clean pictures alone.

    Attributes:
        noise: Returns the noise to add to pictures, drawn from a generator, as ``grain`` does.
    """

    noise: Callable[[Tensor, torch.Generator], Tensor]
    scenes: SceneSampling = SceneSampling(
        shrunk_share=0.2,
        smallest=0.5,
        enlarged_share=0.35,
        largest=4.0,
        flat_share=0.35,
        least_contrast=0.1,
    )
    clean_share: float = 0.1
    gray_share: float = 0.1
    sharpened_share: float = 0.2
    most_sharpening: float = 1.0
    jpeg_share: float = 0.5
    twice_share: float = 0.15
    worst_jpeg: int = 60
    best_jpeg: int = 98

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` crops and degrade them."""
        clean = self.scenes.drawn(crops, count, rng)
        if clean.shape[1] == 3:
            luma, _ = luma_and_chroma(clean)
            is_gray = _chance(self.gray_share, count, rng)
            clean = torch.where(is_gray, luma.expand_as(clean), clean)
        noise = self.noise(clean, rng.local)
        # A gray picture that is stored in colour has the same noise in all channels.
        equal = (clean == clean[:, :1]).flatten(1).all(dim=1)[:, None, None, None]
        noise = torch.where(equal, noise[:, :1], noise)
        is_clean = _chance(self.clean_share, count, rng)
        noisy = torch.where(is_clean, clean, (clean + noise).clamp(0, 1))
        noisy, clean = resized(noisy, crops.patch), resized(clean, crops.patch)
        sharpened, target = self._sharpened(noisy, clean, rng)
        stored, target = self._as_jpegs(sharpened, target, rng)
        return Batch.of(torch.where(is_clean, clean, stored), torch.where(is_clean, clean, target))

    def _sharpened(self, noisy: Tensor, clean: Tensor, rng: Randomness) -> tuple[Tensor, Tensor]:
        """Return both with the same unsharp mask, or as they are."""
        count = len(noisy)
        gain = self.most_sharpening * _uniform(0, 1, count, rng)
        gain = torch.where(_chance(self.sharpened_share, count, rng), gain, 0.0)
        radius = _uniform(0.6, 1.5, count, rng).flatten()

        def sharpened(pictures: Tensor) -> Tensor:
            return (pictures + gain * (pictures - smoothed(pictures, radius))).clamp(0, 1)

        return sharpened(noisy), sharpened(clean)

    def _as_jpegs(self, noisy: Tensor, clean: Tensor, rng: Randomness) -> tuple[Tensor, Tensor]:
        """Compress some; where that halved the chroma resolution, halve that of the target."""
        count = len(noisy)
        is_jpeg = _chance(self.jpeg_share, count, rng)
        is_twice = _chance(self.twice_share, count, rng)
        is_halved = torch.rand(count, generator=rng.host) < 0.5
        stored = noisy
        for is_again in (torch.ones_like(is_twice), is_twice):
            quality = torch.randint(
                self.worst_jpeg, self.best_jpeg + 1, (count,), generator=rng.host
            )
            jpeg = compressed(stored, quality.tolist(), subsample=is_halved.tolist())
            stored = torch.where(is_again, jpeg, stored)
        if clean.shape[1] == 3:
            coarse = chroma_halved(clean).clamp(0, 1)
            clean = torch.where(is_jpeg & _each(rng.moved(is_halved)), coarse, clean)
        return torch.where(is_jpeg, stored, noisy), clean


def resized(pictures: Tensor, side: int) -> Tensor:
    """Return square pictures ``(B, C, S, S)`` at another size."""
    if pictures.shape[-1] == side:
        return pictures
    return F.interpolate(
        pictures, size=(side, side), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _uniform(low: float, high: float, count: int, rng: Randomness) -> Tensor:
    draws = torch.rand((count, 1, 1, 1), generator=rng.local, device=rng.device)
    return low + (high - low) * draws


def _chance(share: float, count: int, rng: Randomness) -> Tensor:
    return _uniform(0, 1, count, rng) < share
