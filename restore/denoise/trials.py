"""The ways in which an evaluation degrades pictures, with what its figures mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restore.denoise.evaluate import (
    CAPTURED_PROTOCOL,
    GAUSSIAN_PROTOCOL,
    JPEG_PROTOCOL,
    CapturedNoise,
    Distortion,
    GaussianNoise,
    JpegCompression,
)

__all__ = ["Trials"]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Trials of one kind.

    Attributes:
        trials: how pictures are degraded.
        headings: a heading for each.
        conditions: under which conditions the figures come about, and the protocol.
        told: noise level that denoisers are told first.
    """

    trials: Sequence[Distortion]
    headings: Sequence[str]
    conditions: Mapping[str, object]
    told: float | Literal["auto"] = "auto"

    @classmethod
    def gaussian(cls, sigmas: Sequence[float], *, seed: int = 0, known: bool = True) -> "Trials":
        """Return white Gaussian noise of several levels, 0..255; see ``GaussianNoise``."""
        return cls(
            trials=[GaussianNoise(sigma=sigma, seed=seed, known=known) for sigma in sigmas],
            headings=[f"sigma {sigma:g}" for sigma in sigmas],
            conditions={"seed": seed, "sigma_known": known, "protocol": GAUSSIAN_PROTOCOL},
            told=sigmas[0] if known else "auto",
        )

    @classmethod
    def compressed(cls, qualities: Sequence[int]) -> "Trials":
        """Return JPEG of several qualities, 1 to 100."""
        return cls(
            trials=[JpegCompression(quality) for quality in qualities],
            headings=[f"quality {quality}" for quality in qualities],
            conditions={"protocol": JPEG_PROTOCOL},
        )

    @classmethod
    def captured(cls, clean: Path, noisy: Path, *, recursive: bool, gray: bool) -> "Trials":
        """Return the noise of a folder of noisy pictures; see ``CapturedNoise``.

        Raises:
            UsageError: ``noisy`` is no folder of pictures.
        """
        return cls(
            trials=[CapturedNoise(clean, noisy, recursive=recursive, gray=gray)],
            headings=["as captured"],
            conditions={"protocol": CAPTURED_PROTOCOL},
        )
