"""Noisy pictures of every kind, to calibrate and to evaluate error maps on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from restore.denoise.degradations import parse_degradation
from restore.image.colour import REC601_LUMA
from restore.noise.sensor import add_gaussian_noise
from restore.training.crops import RandomCrops
from restore.training.state import Randomness

__all__ = ["ErrorTrial", "drawn_trials", "white_trials"]


@dataclass(frozen=True, kw_only=True)
class ErrorTrial:
    """A noisy picture and the clean one.

    Attributes:
        kind: white, or the name of the noise as ``--noise`` has it.
        sigma: level of white noise, of 255; None for other noise.
        noisy, clean: float32 ``[C, H, W]``.
    """

    kind: str
    sigma: float | None
    noisy: NDArray[np.float32]
    clean: NDArray[np.float32]

    @property
    def level(self) -> float:
        """Root mean square of the noise, of 255."""
        return 255 * float(np.sqrt(np.mean(np.square(self.noisy - self.clean), dtype=np.float64)))

    def gray(self) -> "ErrorTrial":
        """Return it in luma."""
        if len(self.clean) == 1:
            return self
        noisy, clean = (
            np.tensordot(REC601_LUMA, each, axes=1)[None] for each in (self.noisy, self.clean)
        )
        return replace(self, noisy=noisy, clean=clean)


def white_trials(
    clean: NDArray[np.float32], sigmas: Sequence[float], *, seed: int
) -> Iterator[ErrorTrial]:
    """Yield a picture with white noise of some levels.

    Args:
        clean: ``[C, H, W]`` in [0, 1].
        sigmas: levels of the noise, of 255.
        seed: seed of the noise.
    """
    for sigma in sigmas:
        noisy = add_gaussian_noise(clean, sigma / 255, seed=seed)
        yield ErrorTrial(kind="white", sigma=sigma, noisy=noisy, clean=clean)


def drawn_trials(
    clean: NDArray[np.float32], kinds: Sequence[str], *, draws: int, side: int, seed: int
) -> Iterator[ErrorTrial]:
    """Yield parts of a picture with noise other than white, which scales them as it goes.

    Args:
        clean: ``[C, H, W]`` in [0, 1]; one that is hardly larger than ``side`` cannot be scaled
            down, and its noise is not that of pictures for the web.
        kinds: kinds of noise, as ``parse_degradation`` takes them.
        draws: how often each of them is drawn: its level, and which part of the picture.
        side: of the parts, in pixels.
        seed: seed of the noise.
    """
    picture = torch.from_numpy(np.rint(clean.clip(0, 1) * 255).astype(np.uint8))
    crops = RandomCrops([picture], patch=min(side, *picture.shape[1:]), batch=1)
    rng = Randomness(seed, torch.device("cpu"))
    for kind in kinds:
        degradation = parse_degradation(kind, (0.0, 0.0), gray=len(clean) == 1)
        for _ in range(draws):
            batch = degradation(crops, 1, rng)
            noisy, target = (each[0].numpy() for each in (batch.noisy, batch.clean))
            yield ErrorTrial(kind=kind, sigma=None, noisy=noisy, clean=target)
