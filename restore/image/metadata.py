"""EXIF blocks: reading them, and the orientation in them."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from PIL import Image

__all__ = [
    "DESCRIPTIVE_TAGS",
    "EXIF_ERRORS",
    "EXIF_HEADER",
    "EXIF_IFD",
    "GPS_IFD",
    "ORIENTATION",
    "bare_exif",
    "exif_directories",
    "orientation_of",
    "quiet_pillow",
    "with_orientation",
]

EXIF_HEADER = b"Exif\x00\x00"
"""Prefix of an EXIF block in JPEG; blocks are kept without it."""

DESCRIPTIVE_TAGS = frozenset(
    {
        *(0x010E, 0x010F, 0x0110, 0x0112, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C),
        *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0xC4A5),
    }
)
"""Tags of the main directory that describe a photograph, not how a file stores it."""

EXIF_ERRORS = (
    *(SyntaxError, ValueError, LookupError, TypeError, AttributeError, OSError),
    *(ArithmeticError, struct.error),
)
"""What Pillow raises on damaged EXIF."""

ORIENTATION = 0x0112
"""Tag of the main directory."""

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
"""Tags of the main directory that point to the Exif and the GPS directory."""

_SHORT = 3
_filters = Lock()


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about damaged EXIF: such a block is read as far as possible.

    One thread at a time, since warning filters belong to the process.
    """
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def bare_exif(block: bytes | None) -> bytes | None:
    """Return an EXIF block without the header of JPEG, or None if there is none."""
    return (block.removeprefix(EXIF_HEADER) or None) if block else None


def orientation_of(exif: bytes | None) -> int:
    """Return the EXIF orientation 1..8; 1 where the block states no valid one."""
    place = _orientation_place(exif)
    if exif is None or place is None:
        return 1
    value = int(struct.unpack_from(f"{_byte_order(exif)}H", exif, place)[0])
    return value if 1 <= value <= 8 else 1


def with_orientation(exif: bytes, orientation: int) -> bytes:
    """Return the block with its orientation replaced, if it states one; nothing else changes."""
    place = _orientation_place(exif)
    if place is None:
        return exif
    value = struct.pack(f"{_byte_order(exif)}H", orientation)
    return exif[:place] + value + exif[place + len(value) :]


def _byte_order(exif: bytes) -> str | None:
    return {b"II": "<", b"MM": ">"}.get(exif[:2])


def _orientation_place(exif: bytes | None) -> int | None:
    """Return the offset of the orientation's value, or None if there is none or it is damaged."""
    order = _byte_order(exif) if exif else None
    if exif is None or order is None:
        return None
    try:
        start = int(struct.unpack_from(f"{order}I", exif, 4)[0])
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for index in range(count):
            place = start + 2 + 12 * index
            tag, kind, _, _ = struct.unpack_from(f"{order}HHIH", exif, place)
            if tag == ORIENTATION and kind == _SHORT:
                return place + 8
    except struct.error:
        pass
    return None


def exif_directories(
    exif: bytes,
) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Return the main, Exif and GPS directories of a block as tag -> value.

    A damaged block yields what could be read of it.
    """
    main: dict[int, Any] = {}
    details: dict[int, Any] = {}
    gps: dict[int, Any] = {}
    parsed = Image.Exif()
    with quiet_pillow(), suppress(*EXIF_ERRORS):
        parsed.load(EXIF_HEADER + exif)
        main.update(parsed)
        details.update(parsed.get_ifd(EXIF_IFD))
        gps.update(parsed.get_ifd(GPS_IFD))
    return main, details, gps
