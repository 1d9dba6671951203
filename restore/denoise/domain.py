"""How a picture's samples are presented to the network: as gray, and on a scale from 0 to 1."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from restore.batch.out_of_core import ReadRows
from restore.denoise.sample_range import SampleRange
from restore.image.gray import is_gray_as_rgb
from restore.image.picture import Picture, Transfer
from restore.image.tiff_regions import OutOfCorePicture, ReadRegion
from restore.image.tone import tone_of

__all__ = ["AS_STORED", "Domain", "Presented", "domain_of", "domain_out_of_core"]

Opened = Callable[[], AbstractContextManager[ReadRows]]
Rows = Callable[[int, int], Picture]

_ROWS_AT_ONCE = 256
_MOST_SAMPLES = 1_000_000
_SCALE_OF_CODES = {255.0: (128, 265), 65535.0: (32768, 66000)}
"""Largest codes, each with the robust maxima that mean them."""
_SCALES_OF_LIGHT = (100.0, 1023.0, 4095.0, 16383.0)
_NEAR_SCALE = (0.8, 1.1)
_BRIGHT_MEDIAN, _BRIGHT_NINTH_DECILE = 1.5, 6.0
"""What hardly any exposure has, of HDR either, where 1 is white."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What is done to a picture before everything else, and undone at the end.

    Attributes:
        is_gray: Whether it is gray stored as RGB, of which the network gets one channel.
        scale: Sample value that stands for white, less ``offset``.
        offset: Sample value that stands for black.
        is_trained: Whether the network was trained on such samples, which are then not encoded.
        holds_codes: Whether floating point samples are codes of integers, which are sRGB-encoded.
        tone: Name of a tone curve other than sRGB's, else "".
    """

    is_gray: bool = False
    scale: float = 1.0
    holds_codes: bool = False
    tone: str = ""
    offset: float = 0.0
    is_trained: bool = False

    def entered(self, picture: Picture) -> Picture:
        """Return the picture as it is presented; it shares what does not change."""
        if not self._changes:
            return picture
        pixels = picture.pixels
        if self.is_gray:
            pixels = _mean(pixels) if picture.is_lossy else pixels[:1]
        if self.offset:
            pixels = pixels - np.float32(self.offset)
        if self.scale != 1:
            pixels = pixels / np.float32(self.scale)
        if self.is_trained:  # floating point is not clipped, and neither profile is one of sRGB
            return picture.with_pixels(
                pixels, transfer=Transfer.SRGB, is_float=True, icc=None, cicp=None, png_chunks=b""
            )
        transfer = Transfer.SRGB if self.holds_codes else picture.transfer
        return picture.with_pixels(pixels, transfer=transfer)

    def left(self, picture: Picture, like: Picture) -> Picture:
        """Undo ``entered`` for a result; ``like`` gives the transfer of the original."""
        if not self._changes:
            return picture
        pixels = picture.pixels
        if self.scale != 1:
            pixels = pixels * np.float32(self.scale)
        if self.offset:
            pixels = pixels + np.float32(self.offset)
        if self.is_gray:
            pixels = np.repeat(pixels, 3, axis=0)
        if not self.is_trained:
            return picture.with_pixels(pixels, transfer=like.transfer)
        return picture.with_pixels(
            pixels if like.is_float else pixels.clip(0, 1),
            transfer=like.transfer,
            is_float=like.is_float,
            icc=like.icc,
            cicp=like.cicp,
            png_chunks=like.png_chunks,
        )

    @property
    def _changes(self) -> bool:
        return self.is_gray or self.scale != 1 or self.is_trained

    @property
    def record(self) -> dict[str, object]:
        """What of it a user should know, as plain values."""
        found: dict[str, object] = {}
        if self.is_gray:
            found["gray_stored_as_rgb"] = True
        if self.tone:
            found["tone_curve"] = self.tone
        if self.scale != 1:
            found["scale"] = self.scale
        if self.offset:
            found["offset"] = self.offset
        return found

    @property
    def remarks(self) -> list[str]:
        """What of it was guessed, in words."""
        if self.scale == 1 or self.is_trained:
            return []
        what = "sRGB-encoded codes" if self.holds_codes else "samples"
        return [f"was taken for {what} from 0 to {self.scale:g}"]


AS_STORED = Domain()


@dataclass(frozen=True, kw_only=True)
class Presented(OutOfCorePicture):
    """A picture on disk as a domain presents it.

    Attributes:
        source: The picture itself.
        domain: Presents each part.
    """

    source: OutOfCorePicture
    domain: Domain

    @classmethod
    def of(cls, source: OutOfCorePicture, domain: Domain) -> "Presented":
        """Present ``source``."""
        return cls(
            path=source.path,
            height=source.height,
            like=domain.entered(source.like),
            workplace=source.workplace,
            source=source,
            domain=domain,
        )

    @contextmanager
    def opened(self) -> Iterator[ReadRegion]:
        """Open the file and yield a function that reads parts, as they are presented."""
        with self.source.opened() as read:
            yield lambda part: self.domain.entered(read(part))

    def left(self, opened: Opened) -> Opened:
        """Return a function that opens a result as the file stores it."""
        return partial(self._left, opened)

    @contextmanager
    def _left(self, opened: Opened) -> Iterator[ReadRows]:
        with opened() as rows:
            yield lambda start, stop: self.domain.left(rows(start, stop), self.source.like)


def domain_of(picture: Picture, trained: SampleRange | None = None) -> Domain:
    """Return the domain of a picture.

    Args:
        picture: The picture.
        trained: Range of the samples that the network was trained on, if it was on one.
    """
    return _domain(picture, picture.height, picture.rows, trained)


def domain_out_of_core(source: OutOfCorePicture, trained: SampleRange | None = None) -> Domain:
    """Return the domain of a picture on disk, the same as if it were in memory.

    Args:
        source: The picture.
        trained: As for ``domain_of``.

    Raises:
        InputError: the file is damaged.
    """
    with source.opened() as read:
        return _domain(
            source.like,
            source.height,
            lambda start, stop: read((slice(start, stop), slice(0, source.width))),
            trained,
        )


def _domain(like: Picture, height: int, rows: Rows, trained: SampleRange | None) -> Domain:
    if trained is not None and trained.fits(like):
        return Domain(
            is_gray=like.channels == 3 and _is_gray(height, rows),
            scale=trained.white - trained.black,
            offset=trained.black,
            is_trained=True,
        )
    tone = tone_of(like)
    scale, holds_codes = _scale(like, height, rows) if like.is_float else (1.0, False)
    return Domain(
        is_gray=like.channels == 3 and _is_gray(height, rows),
        scale=scale,
        holds_codes=holds_codes,
        tone="" if tone is None or holds_codes else tone.name,
    )


def _is_gray(height: int, rows: Rows) -> bool:
    """Return whether all pixels are gray; of most colour pictures one part is read."""
    starts = range(0, height, _ROWS_AT_ONCE)
    return height > 0 and all(
        is_gray_as_rgb(rows(start, min(height, start + _ROWS_AT_ONCE))) for start in starts
    )


def _mean(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = pixels.mean(axis=0, keepdims=True, dtype=np.float32)
    return mean


def _scale(like: Picture, height: int, rows: Rows) -> tuple[float, bool]:
    """Return the sample value that stands for white, and whether samples are codes of integers.

    The unit of light is 1 where the picture does not say otherwise. It does if half of its samples
    lie far above, or a tenth very far; white is then its robust maximum, or a usual number near it.
    """
    values = _sampled(like, height, rows)
    if not values.size:
        return 1.0, False
    median, bright, most = np.quantile(values, (0.5, 0.9, 0.999))
    if median <= _BRIGHT_MEDIAN and bright <= _BRIGHT_NINTH_DECILE:
        return 1.0, False
    if like.transfer is Transfer.LINEAR and like.icc is None:
        for scale, (low, high) in _SCALE_OF_CODES.items():
            if low < most <= high:
                return scale, True
    for scale in _SCALES_OF_LIGHT:
        if _NEAR_SCALE[0] * scale < most <= _NEAR_SCALE[1] * scale:
            return scale, False
    return float(f"{most:.2g}"), False


def _sampled(like: Picture, height: int, rows: Rows) -> NDArray[np.float32]:
    """Return finite samples of pixels that are not transparent, of rows spread over the picture."""
    wanted = max(1, _MOST_SAMPLES // max(1, like.width * like.channels))
    parts = []
    for row in range(0, height, max(1, -(-height // wanted))):
        part = rows(row, row + 1)
        values = part.pixels
        if part.alpha is not None and part.alpha_is_opacity:
            values = values[:, part.alpha > 0]
        parts.append(values[np.isfinite(values)])
    return np.concatenate(parts) if parts else np.empty(0, np.float32)
