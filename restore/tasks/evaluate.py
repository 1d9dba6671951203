"""How good a denoiser is on clean pictures with made noise, and how good finished outputs are."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.engine.inputs import pictures_in
from restore.errors import InputError, UnsupportedImage
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.metrics import SSIM_WINDOW, psnr, ssim
from restore.noise.awgn import add_gaussian_noise
from restore.tasks.denoise import Denoiser

__all__ = [
    "MEASURES",
    "OUTPUT_PROTOCOL",
    "PROTOCOL",
    "Failure",
    "OutputScore",
    "Score",
    "clean_picture",
    "evaluate_denoiser",
    "score_outputs",
    "to_luma",
]

MEASURES = (
    "result clamped to [0, 1]; PSNR over all pixels and channels; SSIM of Wang et al. 2004 "
    "(11x11 Gaussian window, sigma 1.5), mean of the channels; means over pictures"
)
PROTOCOL = (
    "clean picture as decoded, scaled to [0, 1]; white Gaussian noise in floating point, neither "
    "clipped nor quantised, from numpy's default generator seeded with the seed plus the "
    f"picture's index in sorted order; {MEASURES}"
)
"""What the figures of ``evaluate_denoiser`` mean; to be printed beside them."""

OUTPUT_PROTOCOL = f"outputs as decoded, scaled to [0, 1]; {MEASURES}"
"""What the figures of ``score_outputs`` mean."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One clean picture at one noise level.

    Attributes:
        path: the clean picture.
        sigma: noise level that was added, of 255.
        psnr_noisy: PSNR in dB before denoising; infinite at sigma 0.
        psnr: PSNR in dB of the result.
        ssim: SSIM of the result.
        seconds: time the denoiser took.
        record: the denoiser's own account: model, device, precision, sigma it was given.
    """

    path: Path
    sigma: float
    psnr_noisy: float
    psnr: float
    ssim: float
    seconds: float
    record: Mapping[str, str | float | int | bool]


@dataclass(frozen=True, kw_only=True)
class OutputScore:
    """One finished output against its clean picture; PSNR in dB."""

    path: Path
    reference: Path
    psnr: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A picture that could not be scored; ``reason`` is a sentence that names it."""

    path: Path
    reason: str


def evaluate_denoiser(
    denoiser: Denoiser,
    paths: Sequence[Path],
    sigmas: Sequence[float],
    *,
    seed: int = 0,
    known_sigma: bool = True,
    gray: bool = False,
) -> Iterator[Score | Failure]:
    """Yield a score for every picture and noise level, picture by picture (see ``PROTOCOL``).

    Args:
        denoiser: what is evaluated.
        paths: clean, gamma-encoded pictures with values in [0, 1].
        sigmas: noise levels, of 255.
        seed: the picture at index i gets noise from ``seed + i``, one draw at every level.
        known_sigma: tell the network the true level; otherwise it gets the estimate.
        gray: turn colour pictures into 8-bit luma first.

    Yields:
        One ``Score`` per level, or one ``Failure`` for a picture that cannot be used.
    """
    for index, path in enumerate(paths):
        try:
            clean = clean_picture(path, gray=gray)
        except InputError as error:
            yield Failure(path=path, reason=str(error))
            continue
        for sigma in sigmas:
            noisy = add_gaussian_noise(clean.pixels, sigma / 255, seed=seed + index)
            started = time.perf_counter()
            denoised = denoiser(
                clean.with_pixels(noisy, is_float=True, bit_depth=32),
                sigma=sigma if known_sigma else "auto",
            )
            seconds = time.perf_counter() - started
            result = denoised.picture.pixels.clip(0, 1)
            yield Score(
                path=path,
                sigma=sigma,
                psnr_noisy=psnr(noisy, clean.pixels),
                psnr=psnr(result, clean.pixels),
                ssim=ssim(result, clean.pixels),
                seconds=seconds,
                record=denoised.record,
            )


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
    references = _by_stem(reference_dir, pictures_in(reference_dir, recursive=recursive))
    by_stem = _by_stem(output_dir, outputs)
    return _scores(output_dir, by_stem, references, gray=gray)


def to_luma(picture: Picture) -> Picture:
    """Return a colour picture as 8-bit Rec. 601 luma, exactly as Pillow's mode L does.

    Gray pictures come back as they are.
    """
    if picture.channels == 1:
        return picture
    red, green, blue = np.rint(picture.pixels * 255).clip(0, 255).astype(np.uint32)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return picture.with_pixels(luma[None].astype(np.float32) / np.float32(255), bit_depth=8)


def clean_picture(path: Path, *, gray: bool = False) -> Picture:
    """Read a picture that figures are defined on.

    Raises:
        InputError: it cannot be read, is linear, leaves [0, 1] or is smaller than SSIM's window.
    """
    picture = decode(path)
    if picture.transfer is Transfer.LINEAR:
        raise UnsupportedImage(
            f"{path}: linear light; the figures are defined on gamma-encoded pictures"
        )
    low, high = picture.pixels.min(), picture.pixels.max()
    if not (low >= 0 and high <= 1):
        raise UnsupportedImage(
            f"{path}: values from {low:g} to {high:g}; a clean picture needs values in [0, 1]"
        )
    if min(picture.height, picture.width) < SSIM_WINDOW:
        raise UnsupportedImage(
            f"{path}: {picture.width}x{picture.height} pixels; "
            f"SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW}"
        )
    return to_luma(picture) if gray else picture


def _by_stem(folder: Path, paths: Sequence[Path]) -> dict[Path, list[Path]]:
    stems: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        stems[path.relative_to(folder).with_suffix("")].append(path)
    return dict(stems)


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
                yield _score(output, _counterpart(output, references.get(stem, ())), gray=gray)
            except InputError as error:
                yield Failure(path=output, reason=str(error))


def _counterpart(output: Path, candidates: Sequence[Path]) -> Path:
    same = [path for path in candidates if path.suffix == output.suffix] or list(candidates)
    if not same:
        raise InputError(f"{output}: no reference of that name")
    if len(same) > 1:
        names = ", ".join(path.name for path in same)
        raise InputError(f"{output}: several references of that name ({names})")
    return same[0]


def _score(output: Path, reference: Path, *, gray: bool) -> OutputScore:
    clean = clean_picture(reference, gray=gray).pixels
    decoded = decode(output)
    result = (to_luma(decoded) if gray else decoded).pixels
    if result.shape != clean.shape:
        raise InputError(f"{output}: {_size(result)}, but {reference} is {_size(clean)}")
    if not np.isfinite(result).all():
        raise UnsupportedImage(f"{output}: holds values that are not finite")
    result = result.clip(0, 1)
    return OutputScore(
        path=output, reference=reference, psnr=psnr(result, clean), ssim=ssim(result, clean)
    )


def _size(pixels: NDArray[np.float32]) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'gray' if channels == 1 else 'colour'}"
