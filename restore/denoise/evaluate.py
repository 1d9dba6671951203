"""Evaluation of denoisers on degraded pictures, and of finished outputs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from restore.batch.counterparts import by_stem, counterpart
from restore.batch.inputs import pictures_in
from restore.denoise.perceptual import Perceptual
from restore.denoise.runner import Denoiser
from restore.errors import InputError, UnsupportedImage
from restore.image.decode import decode
from restore.image.metrics import (
    MEASURES,
    Failure,
    Fidelity,
    clean_picture,
    fidelity,
    psnr_chw,
    to_luma,
)
from restore.image.picture import Picture
from restore.noise.jpeg import compressed
from restore.noise.sensor import add_gaussian_noise
from restore.words import size_in_words

__all__ = [
    "CAPTURED_PROTOCOL",
    "GAUSSIAN_PROTOCOL",
    "JPEG_PROTOCOL",
    "OUTPUT_PROTOCOL",
    "CapturedNoise",
    "Distortion",
    "GaussianNoise",
    "JpegCompression",
    "OutputScore",
    "Score",
    "evaluate_denoiser",
    "score_outputs",
]

Sigma = float | Literal["auto"]


class Distortion(Protocol):
    """One way in which clean pictures are degraded."""

    @property
    def condition(self) -> Mapping[str, float]:
        """Parameters that distinguish this trial, as in ``{"sigma": 25.0}``."""

    def __call__(self, clean: Picture, path: Path, index: int, /) -> tuple[Picture, Sigma]:
        """Return the degraded picture and the noise level that the denoiser is told.

        Args:
            clean: Clean picture.
            path: Path of the clean picture.
            index: Index of the picture in sorted order.

        Raises:
            InputError: there is no degraded picture.
        """


@dataclass(frozen=True, kw_only=True)
class Score(Fidelity):
    """One clean picture in one trial.

    Attributes:
        path: Path of the clean picture.
        condition: Condition of the trial.
        psnr_noisy: PSNR in dB before denoising; infinite where nothing was degraded.
        seconds: Time of the denoiser in seconds.
        record: Record of the denoiser: model, device, precision, sigma it was given.
        others: Further measures of the result by name, see ``Perceptual``.
        model: Which of several denoisers it is; empty for a single one.
    """

    path: Path
    condition: Mapping[str, float]
    psnr_noisy: float
    seconds: float
    record: Mapping[str, Any]
    others: Mapping[str, float] = field(default_factory=dict)
    model: str = ""

    @property
    def figures(self) -> dict[str, float | str]:
        """What is reported of it."""
        return {
            **({"model": self.model} if self.model else {}),
            **self.condition,
            "sigma_given": float(self.record.get("sigma_told", self.record["sigma"])),
            "psnr_noisy": self.psnr_noisy,
            **self.fidelity,
            **self.others,
            "seconds": self.seconds,
        }


def evaluate_denoiser(
    denoisers: Denoiser | Mapping[str, Denoiser],
    paths: Sequence[Path],
    trials: Sequence[Distortion],
    *,
    gray: bool = False,
    measure: Perceptual | None = None,
    save: Callable[[Picture, Path, str, Mapping[str, float]], None] = lambda *_: None,
) -> Iterator[Score | Failure]:
    """Yield a score for every picture, denoiser and trial, picture by picture.

    Args:
        denoisers: what is evaluated: one, or several by name, compared on the same noise.
        paths: clean, gamma-encoded pictures with values in [0, 1].
        trials: how they are degraded.
        gray: turn colour pictures into 8-bit luma first.
        measure: measures results in other ways, too.
        save: called with every result, the path of its clean picture, the name of the denoiser and
            the trial's condition.

    Yields:
        One ``Score`` per denoiser and trial, or one ``Failure`` for a picture that cannot be used.
    """
    named = denoisers if isinstance(denoisers, Mapping) else {"": denoisers}
    for index, path in enumerate(paths):
        try:
            clean = clean_picture(path, gray=gray)
            degraded = [trial(clean, path, index) for trial in trials]
        except InputError as error:
            yield Failure(path=path, reason=str(error))
            continue
        for name, denoiser in named.items():
            for trial, (noisy, sigma) in zip(trials, degraded, strict=True):
                started = time.perf_counter()
                denoised = denoiser(noisy, sigma=sigma)
                seconds = time.perf_counter() - started
                result = denoised.picture.pixels.clip(0, 1)
                save(denoised.picture.with_pixels(result), path, name, trial.condition)
                yield Score(
                    path=path,
                    condition=trial.condition,
                    psnr_noisy=psnr_chw(noisy.pixels, clean.pixels),
                    **fidelity(result, clean.pixels),
                    seconds=seconds,
                    record=denoised.record,
                    others=measure(result, clean.pixels) if measure else {},
                    model=name,
                )


GAUSSIAN_PROTOCOL = (
    "clean picture as decoded, scaled to [0, 1]; white Gaussian noise in floating point, neither "
    "clipped nor quantised, from numpy's default generator seeded with the seed plus the "
    f"picture's index in sorted order; {MEASURES}"
)
"""Protocol of figures under ``GaussianNoise``."""

JPEG_PROTOCOL = (
    "clean picture as decoded, compressed by libjpeg at the quality, chroma at full resolution, "
    f"decoded to 8 bits and scaled to [0, 1]; {MEASURES}"
)
"""Protocol of figures under ``JpegCompression``."""

CAPTURED_PROTOCOL = f"both pictures as decoded, scaled to [0, 1]; {MEASURES}"
"""Protocol of figures under ``CapturedNoise``."""


@dataclass(frozen=True, kw_only=True)
class GaussianNoise:
    """White Gaussian noise (see ``GAUSSIAN_PROTOCOL``).

    Attributes:
        sigma: noise level, of 255.
        seed: the picture at index i gets noise from ``seed + i``, one draw at every level.
        known: tell the network the true level; otherwise it gets the estimate.
    """

    sigma: float
    seed: int = 0
    known: bool = True

    @property
    def condition(self) -> Mapping[str, float]:
        """The noise level."""
        return {"sigma": self.sigma}

    def __call__(self, clean: Picture, _path: Path, index: int) -> tuple[Picture, Sigma]:
        """Add the noise."""
        noisy = add_gaussian_noise(clean.pixels, self.sigma / 255, seed=self.seed + index)
        picture = clean.with_pixels(noisy, is_float=True, bit_depth=32)
        return picture, self.sigma if self.known else "auto"


@dataclass(frozen=True)
class JpegCompression:
    """JPEG of one quality (see ``JPEG_PROTOCOL``)."""

    quality: int

    @property
    def condition(self) -> Mapping[str, float]:
        """The quality."""
        return {"quality": self.quality}

    def __call__(self, clean: Picture, _path: Path, _index: int) -> tuple[Picture, Sigma]:
        """Compress the picture."""
        pixels = compressed(torch.from_numpy(clean.pixels)[None], [self.quality])[0].numpy()
        return clean.with_pixels(pixels, is_float=False, bit_depth=8), "auto"


class CapturedNoise:
    """Noisy photographs with the names of the clean ones (see ``CAPTURED_PROTOCOL``).

    Args:
        clean: folder of the clean pictures.
        noisy: folder of the noisy ones; names are compared without suffixes.
        recursive: take subfolders too.
        gray: turn colour pictures into 8-bit luma first.

    Raises:
        UsageError: ``noisy`` is no folder of pictures.
    """

    condition: Mapping[str, float] = {}

    def __init__(self, clean: Path, noisy: Path, *, recursive: bool, gray: bool) -> None:
        self._clean = clean
        self._gray = gray
        self._noisy = by_stem(noisy, pictures_in(noisy, recursive=recursive))

    def __call__(self, clean: Picture, path: Path, _index: int) -> tuple[Picture, Sigma]:
        """Read the noisy picture.

        Raises:
            InputError: there is none, or it is of another size.
        """
        found: Sequence[Path] = self._noisy.get(path.relative_to(self._clean).with_suffix(""), ())
        noisy_path = counterpart(path, found)
        noisy = decode(noisy_path)
        noisy = to_luma(noisy) if self._gray else noisy
        if noisy.pixels.shape != clean.pixels.shape:
            raise InputError(
                f"{noisy_path}: {noisy.width}x{noisy.height}, {noisy.channels} channels, but "
                f"{path} is {clean.width}x{clean.height}, {clean.channels} channels"
            )
        return noisy, "auto"


OUTPUT_PROTOCOL = f"outputs as decoded, scaled to [0, 1]; {MEASURES}"
"""Protocol of the figures of ``score_outputs``."""


@dataclass(frozen=True, kw_only=True)
class OutputScore(Fidelity):
    """One finished output against its clean picture; PSNR in dB."""

    path: Path
    reference: Path

    @property
    def figures(self) -> dict[str, float | str]:
        """What is reported of it."""
        return {**self.fidelity}


def score_outputs(
    output_dir: Path, reference_dir: Path, *, recursive: bool = False, gray: bool = False
) -> Iterator[OutputScore | Failure]:
    """Yield a score for every picture in ``output_dir`` against its clean counterpart.

    The counterpart has the same path below its folder up to the suffix; the same suffix is
    preferred. Pictures without a counterpart, on either side, are failures.

    Raises:
        UsageError: one of the folders is missing or holds no pictures.
    """
    outputs = pictures_in(output_dir, recursive=recursive)
    references = by_stem(reference_dir, pictures_in(reference_dir, recursive=recursive))
    return _scores(output_dir, by_stem(output_dir, outputs), references, gray=gray)


def _scores(
    output_dir: Path,
    outputs: Mapping[Path, Sequence[Path]],
    references: Mapping[Path, Sequence[Path]],
    *,
    gray: bool,
) -> Iterator[OutputScore | Failure]:
    for stem in sorted(outputs.keys() | references.keys()):
        if stem not in outputs:
            for reference in references[stem]:
                reason = f"{reference}: no output of that name in {output_dir}"
                yield Failure(path=reference, reason=reason)
        for output in outputs.get(stem, ()):
            try:
                yield _score(output, counterpart(output, references.get(stem, ())), gray=gray)
            except InputError as error:
                yield Failure(path=output, reason=str(error))


def _score(output: Path, reference: Path, *, gray: bool) -> OutputScore:
    clean = clean_picture(reference, gray=gray).pixels
    decoded = decode(output)
    result = (to_luma(decoded) if gray else decoded).pixels
    if result.shape != clean.shape:
        sizes = [size_in_words(each.shape) for each in (result, clean)]
        raise InputError(f"{output}: {sizes[0]}, but {reference} is {sizes[1]}")
    if not np.isfinite(result).all():
        raise UnsupportedImage(f"{output}: holds values that are not finite")
    result = result.clip(0, 1)
    return OutputScore(path=output, reference=reference, **fidelity(result, clean))
