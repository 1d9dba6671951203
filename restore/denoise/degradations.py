"""What makes clean crops noisy: the choices of ``--noise``, alone or mixed."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.denoise.crops import Batch
from restore.errors import UsageError
from restore.noise.camera import photographed
from restore.noise.jpeg import compressed
from restore.training.crops import RandomCrops
from restore.training.randomness import Randomness

__all__ = ["Camera", "Degradation", "Degraded", "Gaussian", "Jpeg", "parse_degradation"]


class Degradation(Protocol):
    """One kind of noise."""

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` crops and degrade them."""


@dataclass(frozen=True)
class Gaussian:
    """White Gaussian noise, its level uniform in a range of [0, 1]; not clipped."""

    low: float
    high: float

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` crops and add noise; sigma is its true level."""
        clean = crops(rng, count=count)
        draws = torch.rand((count, 1, 1, 1), generator=rng.local, device=rng.device)
        sigma = self.low + (self.high - self.low) * draws
        noise = torch.randn(clean.shape, generator=rng.local, device=rng.device)
        return Batch(noisy=clean + sigma * noise, clean=clean, sigma=sigma.flatten())


@dataclass(frozen=True)
class Jpeg:
    """JPEG compression, its quality uniform in a range of 1 to 100."""

    worst: int
    best: int

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` crops and compress them.

        The grid of the blocks begins at a random place of the crop, as it does in a tile.
        """
        margin = 8 if crops.patch + 8 <= crops.largest else 0
        clean = crops(rng, count=count, side=crops.patch + margin)
        qualities = torch.randint(self.worst, self.best + 1, (count,), generator=rng.host).tolist()
        halved = (torch.rand(count, generator=rng.host) < 0.5).tolist()
        top, left = torch.randint(max(1, margin), (2,), generator=rng.host).tolist()
        rows, columns = (slice(start, start + crops.patch) for start in (top, left))
        degraded = compressed(clean, qualities, subsample=halved)
        return _measured(degraded[..., rows, columns], clean[..., rows, columns])


@dataclass(frozen=True)
class Camera:
    """Photographs by random cameras, at times made smaller afterwards.

    Scenes are often enlarged first: training pictures were scaled down to a megapixel or less and
    are sharp from pixel to pixel, as nothing is that a lens draws on twenty megapixels. Of such a
    photograph, most crops show one wall, sky or skin: so many scenes lose contrast, too. A network
    that knows only pictures full of detail takes much noise for it.
    """

    shrunk_share: float = 0.15
    smallest: float = 0.5
    enlarged_share: float = 0.7
    largest: float = 6.0
    flat_share: float = 0.6
    least_contrast: float = 0.1

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` crops and photograph them with noise and, as targets, without."""
        before, after = self._scales(rng)
        side = min(math.ceil(crops.patch / after), crops.largest)
        scene = self._flattened(crops(rng, count=count, side=math.ceil(side / before)), rng)
        pair = photographed(_resized(scene, side), rng.local)
        noisy, clean = (_resized(pictures, crops.patch) for pictures in pair)
        return _measured(noisy, clean)

    def _flattened(self, scenes: Tensor, rng: Randomness) -> Tensor:
        chance, place = torch.rand((2, len(scenes), 1, 1, 1), generator=rng.host)
        contrast = self.least_contrast + (1 - self.least_contrast) * place
        kept = rng.moved(torch.where(chance < self.flat_share, contrast, 1.0))
        mean = scenes.mean(dim=(2, 3), keepdim=True)
        return mean + kept * (scenes - mean)

    def _scales(self, rng: Randomness) -> tuple[float, float]:
        """Return by how much a scene is enlarged before, and made smaller after it is taken."""
        chance, place = torch.rand(2, generator=rng.host, dtype=torch.float64).tolist()
        if chance < self.shrunk_share:
            return 1.0, self.smallest + (1 - self.smallest) * place
        if chance < self.shrunk_share + self.enlarged_share:
            return 1 + (self.largest - 1) * place, 1.0
        return 1.0, 1.0


class Degraded:
    """Batches of clean crops with one kind of noise each, drawn with equal chances.

    Args:
        crops: draws clean crops.
        kinds: of noise.
    """

    def __init__(self, crops: RandomCrops, kinds: Sequence[Degradation]) -> None:
        self.crops = crops
        self.kinds = list(kinds)

    def __call__(self, rng: Randomness) -> Batch:
        """Draw one batch."""
        chosen = torch.randint(len(self.kinds), (self.crops.batch,), generator=rng.host)
        counts = torch.bincount(chosen, minlength=len(self.kinds)).tolist()
        parts = [
            kind(self.crops, count, rng)
            for kind, count in zip(self.kinds, counts, strict=True) if count
        ]  # fmt: skip
        return Batch(
            noisy=torch.cat([part.noisy for part in parts]),
            clean=torch.cat([part.clean for part in parts]),
            sigma=torch.cat([part.sigma for part in parts]),
        )


def parse_degradation(text: str, sigma: tuple[float, float]) -> Degradation:
    """Return the noise called ``awgn``, ``camera``, ``jpeg:Q`` or ``jpeg:LOW-HIGH``.

    Args:
        text: as given to ``--noise``.
        sigma: range of the level of ``awgn``, 0..255.

    Raises:
        UsageError: anything else.
    """
    if text == "awgn":
        return Gaussian(sigma[0] / 255, sigma[1] / 255)
    if text == "camera":
        return Camera()
    match = re.fullmatch(r"jpeg:(\d+)(?:-(\d+))?", text)
    if match:
        worst = int(match[1])
        best = int(match[2] or worst)
        if 1 <= worst <= best <= 100:
            return Jpeg(worst, best)
    raise UsageError(f"noise {text!r}: use awgn, camera, jpeg:Q or jpeg:LOW-HIGH (1 to 100)")


def _measured(noisy: Tensor, clean: Tensor) -> Batch:
    return Batch(noisy=noisy, clean=clean, sigma=(noisy - clean).flatten(1).std(dim=1))


def _resized(pictures: Tensor, side: int) -> Tensor:
    if pictures.shape[-1] == side:
        return pictures
    return F.interpolate(
        pictures, size=(side, side), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)
