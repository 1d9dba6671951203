"""How large pictures may be: in pixels, for the memory that there is, and for a file's bytes."""

from collections.abc import Iterator
from contextlib import contextmanager

from restore.arguments import argument
from restore.errors import CorruptImage, ImageTooLarge, OutputError
from restore.image.codec import CheckSize
from restore.image.reservation import NotEnough, reserving

__all__ = [
    "BYTES_PER_SAMPLE",
    "DEFAULT_MAX_PIXELS",
    "check_least_bytes",
    "decoding",
    "limit_of_process",
    "limited",
    "max_pixels_of_process",
    "pixel_check",
    "too_long",
]

DEFAULT_MAX_PIXELS = 500_000_000

BYTES_PER_SAMPLE = 13
"""Memory that restoring a picture takes, per sample: measured were the picture as it was, its
result, and what decoding, the steps between and encoding take."""


class _Process:
    """What holds for all pictures of this process.

    Attributes:
        max_pixels: The limit that was asked for; None for the default, and for what memory holds.
    """

    def __init__(self) -> None:
        self.max_pixels: int | None = None


_process = _Process()


@contextmanager
def limited(max_pixels: int | None) -> Iterator[None]:
    """Set the limit for all pictures that this process decodes, in any thread.

    Args:
        max_pixels: Number of pixels above which pictures are refused, whatever memory there is;
            None for ``DEFAULT_MAX_PIXELS`` and no more than memory holds.
    """
    before = _process.max_pixels
    _process.max_pixels = max_pixels
    try:
        yield
    finally:
        _process.max_pixels = before


def limit_of_process() -> int | None:
    """Return what ``limited`` has set; None for nothing."""
    return _process.max_pixels


def max_pixels_of_process() -> int:
    """Return the number of pixels above which pictures are refused."""
    return DEFAULT_MAX_PIXELS if _process.max_pixels is None else _process.max_pixels


def pixel_check(max_pixels: int | None = None) -> CheckSize:
    """Return a check that refuses pictures without pixels or with too many, whatever memory is.

    Args:
        max_pixels: The limit; None for that of the process.
    """
    most = max_pixels_of_process() if max_pixels is None else max_pixels

    def check_size(width: int, height: int, _samples: int) -> None:
        if width < 1 or height < 1:
            raise CorruptImage("has no pixels")
        if width * height > most:
            raise ImageTooLarge(
                f"has {width}x{height} pixels, the limit is {most:,}; raise it with "
                f"{argument('max_pixels')}"
            )

    return check_size


@contextmanager
def decoding(max_pixels: int | None = None) -> Iterator[CheckSize]:
    """Yield a check for one picture that is decoded whole, in this block.

    Pictures in work share the memory that there is: one that would fit if it were alone waits
    until others are done. Items of a stream are in work until they are written or have failed,
    other pictures until they are decoded.

    Args:
        max_pixels: Limit in place of all others; None for that of the process, or for the default
            and no more than memory holds.
    """
    check_pixels = pixel_check(max_pixels)
    insisted = max_pixels is not None or _process.max_pixels is not None

    with reserving() as reserve:

        def check_size(width: int, height: int, samples: int) -> None:
            check_pixels(width, height, samples)
            if insisted:
                return
            need = width * height * samples * BYTES_PER_SAMPLE
            try:
                reserve(need)
            except NotEnough as error:
                raise ImageTooLarge(
                    f"has {width}x{height} pixels and needs {_gigabytes(need)} of memory, "
                    f"{_gigabytes(error.free)} are free; free some, take fewer {argument('jobs')}, "
                    f"or insist with {argument('max_pixels', width * height)}"
                ) from error

        yield check_size


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def too_long(name: str, most: int, *, other: str = "png") -> OutputError:
    """Return what to raise about a picture whose sides a format cannot hold.

    Args:
        name: Name of the format.
        most: Longest side in pixels that it holds.
        other: Format that holds more.
    """
    return OutputError(
        f"{name} holds at most {most} pixels a side; use {argument('image_format', other)}"
    )


def check_least_bytes(width: int, height: int, least: float, there: int) -> None:
    """Refuse a picture that cannot lie in a file's bytes, however well it was compressed.

    Args:
        width: Stated width in pixels.
        height: Stated height in pixels.
        least: Bytes that such a picture takes at least.
        there: Bytes that there are for it.

    Raises:
        CorruptImage: they are fewer.
    """
    if there < least:
        raise CorruptImage(
            f"is damaged or cut short: {width}x{height} pixels take at least {least:,.0f} bytes, "
            f"it has {there:,}"
        )
