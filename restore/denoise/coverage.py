"""Evaluation of error maps: does the bound hold, and is the PSNR right?"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.denoise.error_trials import ErrorTrial, drawn_trials, white_trials
from restore.denoise.runner import Denoiser
from restore.denoise.settings import Sigma
from restore.denoise.texture import Texture, textures
from restore.errors import InputError
from restore.image.metrics import Failure, clean_picture, psnr_chw
from restore.image.picture import Picture

__all__ = [
    "COVERAGE_PROTOCOL",
    "Coverage",
    "Tally",
    "error_map_scores",
    "psnr_by_sure",
    "table_of",
]

_KINDS = ("camera", "grain")
_DRAWS = 3
_SIDE = 320
"""Most side in pixels of parts with noise other than white."""
_LEVELS = (5.0, 15.0)
"""Levels of 255 that divide noise whose level is random."""
_MOST_DB = 120.0
_STEP = 0.1
"""Step of the numerical divergence, in units of sigma."""

COVERAGE_PROTOCOL = (
    "white: clean picture as decoded, with Gaussian noise in floating point, neither clipped nor "
    f"quantised; camera and grain: as in training, {_DRAWS} draws a picture, crops of "
    f"{_SIDE}x{_SIDE} at most; covered: mean absolute error of the channels, the result clamped to "
    "[0, 1], at most NAME_error-90; texture by the structure tensor of the result; PSNR: means "
    "over pictures; SURE: Stein's estimate from the true level, with one random probe (Ramani et "
    "al., 2008)"
)
"""Protocol of the figures of ``error_map_scores``."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Pixels of each ``Texture`` and what became of them, ``[3]`` each.

    Attributes:
        pixels: how many there are.
        covered: how many have errors within the bound.
        error: sum of their absolute errors, of 255.
        expected: sum of their expected ones.
    """

    pixels: NDArray[np.float64]
    covered: NDArray[np.float64]
    error: NDArray[np.float64]
    expected: NDArray[np.float64]

    def __add__(self, other: "Tally") -> "Tally":
        """Return both together."""
        return Tally(
            pixels=self.pixels + other.pixels,
            covered=self.covered + other.covered,
            error=self.error + other.error,
            expected=self.expected + other.expected,
        )

    @property
    def coverage(self) -> dict[str, float]:
        """Share of pixels within the bound, by texture and of all, where there are any."""
        named = {
            texture.name.lower(): (self.covered[texture], self.pixels[texture])
            for texture in Texture
        }
        named["all"] = self.covered.sum(), self.pixels.sum()
        return {name: float(part / whole) for name, (part, whole) in named.items() if whole}


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """One picture with one noise.

    Attributes:
        path: of the clean picture.
        noise: kind of the noise, and its level.
        level: root mean square of the noise, of 255.
        psnr: PSNR in dB of the result.
        expected: what the error map says of it.
        by_sure: what Stein's unbiased estimate says of it; None where the noise is not white.
        tally: pixels by the texture of the result.
        by_clean: pixels by the texture of the clean picture, which nobody knows.
        model: name of the denoiser.
    """

    path: Path
    noise: str
    level: float
    psnr: float
    expected: float
    by_sure: float | None
    tally: Tally
    by_clean: Tally
    model: str

    @property
    def figures(self) -> dict[str, Any]:
        """What is reported of it."""
        return {
            "model": self.model,
            "noise": self.noise,
            "level": self.level,
            "psnr": self.psnr,
            "expected_psnr": self.expected,
            "sure_psnr": self.by_sure,
            "coverage": self.tally.coverage,
            "coverage_by_clean": self.by_clean.coverage,
        }


def error_map_scores(
    denoisers: Mapping[str, Denoiser],
    paths: Sequence[Path],
    *,
    sigmas: Sequence[float],
    seed: int = 0,
    gray: bool = False,
    known: bool = True,
) -> Iterator[Coverage | Failure]:
    """Yield how well error maps hold, picture by picture, with white, camera and grain noise.

    Args:
        denoisers: what is evaluated, by name, on the same noise.
        paths: clean, gamma-encoded pictures; gray ones get white noise and grain alone.
        sigmas: levels of white noise, of 255, above 0.
        seed: seed of the noise of the first picture.
        gray: turn colour pictures into luma.
        known: tell the network the true level of white noise.
    """
    for index, path in enumerate(paths):
        try:
            clean = clean_picture(path, gray=False).pixels
        except InputError as error:
            yield Failure(path=path, reason=str(error))
            continue
        kinds = [kind for kind in _KINDS if kind != "camera" or len(clean) > 1]
        white = white_trials(clean, sigmas, seed=seed + index)
        drawn = drawn_trials(clean, kinds, draws=_DRAWS, side=_SIDE, seed=seed + index)
        for trial in chain(white, drawn):
            used = trial.gray() if gray else trial
            for name, denoiser in denoisers.items():
                yield _scored(name, denoiser, path, used, seed + index, known=known)


def table_of(scores: Iterable[Coverage]) -> list[dict[str, Any]]:
    """Return a row for each noise and denoiser: white noise first, and weak noise before strong.

    Coverage is that of all pixels together; PSNR in dB are means over pictures, and ``off_by`` that
    of the distances between what was expected and what came about.
    """
    groups: dict[str, dict[str, list[Coverage]]] = {}
    for score in scores:
        groups.setdefault(score.noise, {}).setdefault(score.model, []).append(score)

    def rank(noise: str) -> tuple[bool, str, float]:
        kind = noise.partition(", ")[0]
        levels = (each.level for group in groups[noise].values() for each in group)
        return kind != "white", kind, min(levels)

    return [
        {"noise": noise, "model": model, **_means(group)}
        for noise in sorted(groups, key=rank)
        for model, group in groups[noise].items()
    ]


def _means(scores: Sequence[Coverage]) -> dict[str, Any]:
    count = len(scores)
    sure = [score.by_sure for score in scores if score.by_sure is not None]
    return {
        "pictures": count,
        "coverage": reduce(add, (score.tally for score in scores)).coverage,
        "coverage_by_clean": reduce(add, (score.by_clean for score in scores)).coverage,
        "psnr": sum(score.psnr for score in scores) / count,
        "expected_psnr": sum(score.expected for score in scores) / count,
        "off_by": sum(abs(score.expected - score.psnr) for score in scores) / count,
        "sure_psnr": sum(sure) / len(sure) if sure else None,
    }


def _scored(
    name: str, denoiser: Denoiser, path: Path, trial: ErrorTrial, seed: int, *, known: bool
) -> Coverage:
    told: Sigma = trial.level if known and trial.sigma is not None else "auto"
    noisy = Picture(pixels=trial.noisy, is_float=True, bit_depth=32)
    done = denoiser(noisy, sigma=told, error_map=True)
    assert done.errors is not None
    result = done.picture.pixels.clip(0, 1)
    error = 255 * np.abs(result - trial.clean).mean(axis=0)
    by_sure = None
    if trial.sigma is not None:
        by_sure = psnr_by_sure(denoiser, noisy, done.picture.pixels, trial.level, told, seed)

    def tally(of: NDArray[np.float32]) -> Tally:
        assert done.errors is not None
        kinds = textures(of).ravel()
        figures = (None, error <= done.errors.bound, error, done.errors.expected)
        return Tally(
            **{
                name: np.bincount(
                    kinds,
                    None if values is None else values.ravel().astype(np.float64),
                    minlength=len(Texture),
                ).astype(np.float64)
                for name, values in zip(
                    ("pixels", "covered", "error", "expected"), figures, strict=True
                )
            }
        )

    return Coverage(
        path=path,
        noise=_named(trial),
        level=trial.level,
        psnr=min(psnr_chw(result, trial.clean), _MOST_DB),
        expected=done.errors.psnr,
        by_sure=by_sure,
        tally=tally(done.picture.pixels),
        by_clean=tally(trial.clean),
        model=name,
    )


def _named(trial: ErrorTrial) -> str:
    if trial.sigma is not None:
        return f"{trial.kind}, sigma {trial.sigma:g}"
    low, high = _LEVELS
    if trial.level < low:
        return f"{trial.kind}, below {low:g}"
    between = f"{low:g} to {high:g}" if trial.level < high else f"above {high:g}"
    return f"{trial.kind}, {between}"


def psnr_by_sure(
    denoiser: Denoiser,
    noisy: Picture,
    result: NDArray[np.float32],
    sigma: float,
    told: Sigma,
    seed: int,
) -> float:
    """Return the PSNR in dB that Stein's unbiased risk estimate expects, without the clean picture.

    Its divergence is measured with one random probe: Ramani, Blu and Unser, "Monte-Carlo SURE",
    IEEE TIP 2008, eq. 13.

    Args:
        denoiser: makes the result, and one more.
        noisy: with white Gaussian noise, floating point.
        result: ``[C, H, W]``, not clipped.
        sigma: true level of the noise, of 255.
        told: level that the denoiser was told.
        seed: seed of the probe.
    """
    level = sigma / 255
    rng = np.random.default_rng((seed, 1))
    probe = rng.choice(np.array([-1, 1], np.float32), result.shape)
    step = np.float32(_STEP * level)
    stirred = (noisy.pixels + step * probe).astype(np.float32)
    moved = denoiser(noisy.with_pixels(stirred), sigma=told).picture.pixels
    divergence = float(np.mean(probe * (moved - result), dtype=np.float64)) / float(step)
    removed = float(np.mean(np.square(result - noisy.pixels), dtype=np.float64))
    risk = removed - level**2 + 2 * level**2 * divergence
    return -10 * math.log10(max(risk, 1e-12))
