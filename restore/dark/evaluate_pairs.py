"""How good a learned image signal processor is on pairs of a short and a long exposure."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.dark.data import RawPair
from restore.dark.runner import DarkEnhancer, Enhanced
from restore.errors import InputError, UnsupportedImage
from restore.image.metrics import MEASURES, SSIM_WINDOW, Failure, psnr_chw, ssim_chw
from restore.image.raw import Look, develop_raw, read_raw
from restore.image.raw_picture import RawPicture

__all__ = ["PAIRS_PROTOCOL", "PairScore", "evaluate_pairs"]

PAIRS_PROTOCOL = (
    "Chen et al. 2018: the short exposure amplified by the ratio of the exposure times, at most "
    "300; the reference is the long one as LibRaw develops it with the camera's white balance and "
    "no change of brightness, for networks with the head camera with sRGB's curve in place of "
    f"LibRaw's and the long exposure's white balance in both; both of 8 bits; {MEASURES}"
)
"""What the figures of ``evaluate_pairs`` mean; to be printed beside them."""


@dataclass(frozen=True, kw_only=True)
class PairScore:
    """One pair.

    Attributes:
        path: the short exposure.
        ratio: amplification.
        psnr: in dB.
        ssim: mean of the channels.
        seconds: that the enhancer took.
        record: the enhancer's own account.
    """

    path: Path
    ratio: float
    psnr: float
    ssim: float
    seconds: float
    record: Mapping[str, str | float | int | bool]


def evaluate_pairs(
    enhancer: DarkEnhancer, pairs: Sequence[RawPair]
) -> Iterator[PairScore | Failure]:
    """Yield a score for every pair (see ``PAIRS_PROTOCOL``)."""
    for pair in pairs:
        try:
            yield _score(enhancer, pair)
        except InputError as error:
            yield Failure(path=pair.short, reason=str(error))


def _score(enhancer: DarkEnhancer, pair: RawPair) -> PairScore:
    short, long = read_raw(pair.short), read_raw(pair.long)
    if short.mosaic.shape != long.mosaic.shape:
        raise UnsupportedImage(f"{pair.short} and {pair.long} differ in size")
    if min(short.mosaic.shape) < SSIM_WINDOW:
        raise UnsupportedImage(f"{pair.short}: smaller than SSIM's window")
    started = time.perf_counter()
    enhanced = _enhanced(enhancer, pair, short, long)
    seconds = time.perf_counter() - started
    look: Look = "libraw" if enhanced.to_srgb is None else "srgb"
    reference = _eight_bits(np.divide(develop_raw(pair.long, look), 65535, dtype=np.float32))
    result = _eight_bits(enhanced.on_sensor())
    return PairScore(
        path=pair.short,
        ratio=pair.ratio,
        psnr=psnr_chw(result, reference),
        ssim=ssim_chw(result, reference),
        seconds=seconds,
        record=enhanced.record,
    )


def _enhanced(
    enhancer: DarkEnhancer, pair: RawPair, short: RawPicture, long: RawPicture
) -> Enhanced:
    try:
        return enhancer(short, ratio=pair.ratio, white_balance=long.white_balance)
    except InputError as error:
        raise type(error)(f"{pair.short}: {error}") from error


def _eight_bits(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    codes = np.rint(pixels.clip(0, 1) * 255)
    result: NDArray[np.float32] = np.divide(codes, 255, dtype=np.float32)
    return result
