"""The kinds of noise added to clean crops: the choices of ``--noise``, alone or mixed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from restore.denoise.crops import Batch
from restore.denoise.photographs import CameraInGray, CameraNoise, Processed
from restore.errors import UsageError
from restore.noise.drawings import drawings
from restore.noise.grain import grain
from restore.noise.impulses import impulses
from restore.noise.jpeg import compressed
from restore.noise.speckle import speckle
from restore.noise.stripes import stripes
from restore.training.crops import RandomCrops
from restore.training.state import Randomness

__all__ = ["Degradation", "Degraded", "Drawn", "Gaussian", "Jpeg", "parse_degradation"]


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
        return Batch.of(degraded[..., rows, columns], clean[..., rows, columns])


@dataclass(frozen=True)
class Drawn:
    """Text, line art and test patterns: most of them clean, the others noisy.

    A network trained on photographs alone mistakes fine patterns for noise.
    """

    clean_share: float = 0.6
    strongest: float = 25 / 255

    def __call__(self, crops: RandomCrops, count: int, rng: Randomness) -> Batch:
        """Draw ``count`` drawings of the size and the channels of crops."""
        clean = rng.moved(drawings(count, crops.patch, crops.channels, rng.host))
        choice, level = torch.rand((2, count, 1, 1, 1), generator=rng.local, device=rng.device)
        white = torch.randn(clean.shape, generator=rng.local, device=rng.device)
        is_white = choice < self.clean_share + (1 - self.clean_share) / 2
        noise = torch.where(is_white, self.strongest * level * white, grain(clean, rng.local))
        noisy = torch.where(choice < self.clean_share, clean, (clean + noise).clamp(0, 1))
        return Batch.of(noisy, clean)


_IN_FINISHED_PICTURES = {
    "grain": grain,
    "impulse": impulses,
    "speckle": speckle,
    "stripes": stripes,
}


class Degraded:
    """Batches of clean crops with one kind of noise each, drawn with equal chances.

    Args:
        crops: source of clean crops.
        kinds: kinds of noise.
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


def parse_degradation(text: str, sigma: tuple[float, float], *, gray: bool = False) -> Degradation:
    """Return the noise called ``awgn``, ``camera``, ``grain``, ``impulse``, ``speckle``,
    ``stripes``, ``drawn``, ``jpeg:Q`` or ``jpeg:LOW-HIGH``.

    Args:
        text: as given to ``--noise``.
        sigma: range of the level of ``awgn``, 0..255.
        gray: whether the network takes gray pictures.

    Raises:
        UsageError: an unknown name.
    """
    if text == "awgn":
        return Gaussian(sigma[0] / 255, sigma[1] / 255)
    if text == "camera":
        return CameraInGray() if gray else CameraNoise()
    if text in _IN_FINISHED_PICTURES:
        return Processed(_IN_FINISHED_PICTURES[text])
    if text == "drawn":
        return Drawn()
    match = re.fullmatch(r"jpeg:(\d{1,3})(?:-(\d{1,3}))?", text)
    if match:
        worst = int(match[1])
        best = int(match[2] or worst)
        if 1 <= worst <= best <= 100:
            return Jpeg(worst, best)
    raise UsageError(
        f"noise {text!r}: use awgn, camera, {', '.join(_IN_FINISHED_PICTURES)}, drawn, jpeg:Q or "
        "jpeg:LOW-HIGH (1 to 100)"
    )
