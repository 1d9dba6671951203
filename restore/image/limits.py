"""How large pictures may be: in pixels, for the memory that there is, and for a file's bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from restore.errors import CorruptImage, ImageTooLarge
from restore.image.codec import CheckSize
from restore.image.memory import available_bytes

__all__ = [
    "BYTES_PER_SAMPLE",
    "DEFAULT_MAX_PIXELS",
    "check_least_bytes",
    "decoding",
    "limited",
    "max_pixels_of_process",
    "most_pixels",
    "pixel_check",
]

DEFAULT_MAX_PIXELS = 500_000_000

BYTES_PER_SAMPLE = 13
"""Memory that restoring a picture takes, per sample: measured were the picture as it was, its
result, and what decoding, the steps between and encoding take."""

_ALWAYS_THERE = 64 << 20
"""Bytes that are taken without a look at what there is."""


class _Process:
    """What holds for all pictures of this process.

    Attributes:
        max_pixels: The limit that was asked for; None for the default, and for what memory holds.
        promised: Bytes promised to pictures that are being decoded.
        changed: Lock of ``promised``.
    """

    def __init__(self) -> None:
        self.max_pixels: int | None = None
        self.promised: dict[object, int] = {}
        self.changed = Condition()


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
                f"has {width}x{height} pixels, the limit is {most:,}; raise it with --max-pixels"
            )

    return check_size


@contextmanager
def decoding(max_pixels: int | None = None) -> Iterator[CheckSize]:
    """Yield a check for one picture that is decoded whole, in this block.

    Pictures that are decoded at the same time share the memory that there is: one that would fit
    if it were alone waits for the others.

    Args:
        max_pixels: Limit in place of all others; None for that of the process, or for the default
            and no more than memory holds.
    """
    check_pixels = pixel_check(max_pixels)
    insisted = max_pixels is not None or _process.max_pixels is not None
    ticket = object()

    def check_size(width: int, height: int, samples: int) -> None:
        check_pixels(width, height, samples)
        if not insisted:
            _promise(ticket, width, height, samples)

    try:
        yield check_size
    finally:
        _withdraw(ticket)


def most_pixels(samples: int, max_pixels: int | None = None) -> tuple[int, str]:
    """Return how many pixels a picture may have now, and that limit in words.

    For decoders that cannot call back; what is being decoded elsewhere counts as taken.

    Args:
        samples: Samples per pixel.
        max_pixels: As for ``decoding``.
    """
    limit = max_pixels_of_process() if max_pixels is None else max_pixels
    words = f"the limit of {limit:,}; raise it with --max-pixels"
    if max_pixels is not None or _process.max_pixels is not None:
        return limit, words
    with _process.changed:
        free = available_bytes()
        taken = sum(_process.promised.values())
    if free is None:
        return limit, words
    held = max(_ALWAYS_THERE, free - taken) // (BYTES_PER_SAMPLE * samples)
    if held >= limit:
        return limit, words
    return held, f"the {held:,} that memory holds now; {_ADVICE}"


_ADVICE = "free some, take fewer --jobs, or insist with --max-pixels"


def _promise(ticket: object, width: int, height: int, samples: int) -> None:
    """Set memory aside for a picture, if need be after others were decoded.

    Raises:
        ImageTooLarge: there is not enough.
    """
    need = width * height * samples * BYTES_PER_SAMPLE
    if need <= _ALWAYS_THERE:
        return
    with _process.changed:
        while True:
            # Who waits holds nothing, so that no two wait for each other.
            if _process.promised.pop(ticket, None) is not None:
                _process.changed.notify_all()
            others = sum(_process.promised.values())
            free = available_bytes()
            if free is None or need <= free - others:
                _process.promised[ticket] = need
                return
            if not others:
                raise ImageTooLarge(
                    f"has {width}x{height} pixels and needs {_gigabytes(need)} of memory, "
                    f"{_gigabytes(free)} are free; {_ADVICE} {width * height}"
                )
            _process.changed.wait()


def _withdraw(ticket: object) -> None:
    with _process.changed:
        if _process.promised.pop(ticket, None) is not None:
            _process.changed.notify_all()


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


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
