"""How good a denoiser is on clean pictures that are given in a degraded form."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from restore.errors import InputError, UnsupportedImage
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.metrics import SSIM_WINDOW, psnr, ssim
from restore.tasks.denoise import Denoiser

__all__ = [
    "MEASURES",
    "Failure",
    "Score",
    "Trial",
    "clean_picture",
    "evaluate_denoiser",
    "to_luma",
]

Sigma = float | Literal["auto"]

MEASURES = (
    "result clamped to [0, 1]; PSNR over all pixels and channels; SSIM of Wang et al. 2004 "
    "(11x11 Gaussian window, sigma 1.5), mean of the channels; means over pictures"
)
"""How all figures are taken; to be printed beside them."""


class Trial(Protocol):
    """One way in which clean pictures are degraded."""

    @property
    def condition(self) -> Mapping[str, float]:
        """What sets it apart from other trials, as in ``{"sigma": 25.0}``."""

    def __call__(self, clean: Picture, path: Path, index: int, /) -> tuple[Picture, Sigma]:
        """Return the degraded picture and the noise level that the denoiser is told.

        Args:
            clean: the picture.
            path: where it is.
            index: its place in sorted order.

        Raises:
            InputError: there is no degraded picture.
        """


@dataclass(frozen=True, kw_only=True)
class Score:
    """One clean picture in one trial.

    Attributes:
        path: the clean picture.
        condition: of the trial.
        psnr_noisy: PSNR in dB before denoising; infinite where nothing was degraded.
        psnr: PSNR in dB of the result.
        ssim: SSIM of the result.
        seconds: time the denoiser took.
        record: the denoiser's own account: model, device, precision, sigma it was given.
    """

    path: Path
    condition: Mapping[str, float]
    psnr_noisy: float
    psnr: float
    ssim: float
    seconds: float
    record: Mapping[str, str | float | int | bool]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A picture that could not be scored; ``reason`` is a sentence that names it."""

    path: Path
    reason: str


def evaluate_denoiser(
    denoiser: Denoiser, paths: Sequence[Path], trials: Sequence[Trial], *, gray: bool = False
) -> Iterator[Score | Failure]:
    """Yield a score for every picture and trial, picture by picture.

    Args:
        denoiser: what is evaluated.
        paths: clean, gamma-encoded pictures with values in [0, 1].
        trials: how they are degraded.
        gray: turn colour pictures into 8-bit luma first.

    Yields:
        One ``Score`` per trial, or one ``Failure`` for a picture that cannot be used.
    """
    for index, path in enumerate(paths):
        try:
            clean = clean_picture(path, gray=gray)
            degraded = [trial(clean, path, index) for trial in trials]
        except InputError as error:
            yield Failure(path=path, reason=str(error))
            continue
        for trial, (noisy, sigma) in zip(trials, degraded, strict=True):
            started = time.perf_counter()
            denoised = denoiser(noisy, sigma=sigma)
            seconds = time.perf_counter() - started
            result = denoised.picture.pixels.clip(0, 1)
            yield Score(
                path=path,
                condition=trial.condition,
                psnr_noisy=psnr(noisy.pixels, clean.pixels),
                psnr=psnr(result, clean.pixels),
                ssim=ssim(result, clean.pixels),
                seconds=seconds,
                record=denoised.record,
            )


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
