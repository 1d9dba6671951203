"""The directories of a DNG put together: a preview with all metadata, and the picture below it.

The EXIF block lies at the front of the file, where the offsets in it, and in makers' notes, are
right as they are; see ``tiff_exif``. Directories follow, then samples, so that what is left of a
file that was cut short still says what it is.
"""

from collections.abc import Sequence
from itertools import accumulate

from restore.image.ifd import Directory, ValueType, directory_bytes, entry_of, tiff_header
from restore.image.metadata import EXIF_IFD, GPS_IFD
from restore.image.tiff_exif import FrontExif

__all__ = ["dng_file"]

_HEADER_BYTES = 8
_STRIP_OFFSETS, _STRIP_COUNTS = 273, 279
_TILE_OFFSETS, _TILE_COUNTS = 324, 325
_SUB_IFDS = 330


def dng_file(
    exif: FrontExif, main: Directory, preview: bytes, below: Directory, tiles: Sequence[bytes]
) -> bytes:
    """Return a TIFF with one directory and one below it.

    Args:
        exif: Block at its front, whose byte order it has.
        main: First directory; its pointers are added.
        preview: The only strip of its picture.
        below: Directory of the full picture.
        tiles: The tiles of that.
    """
    order = exif.order
    front = exif.block[_HEADER_BYTES:] or b""
    segments = [_even(data) for data in (preview, *tiles)]
    sizes = [len(segment) for segment in segments]

    def directories(start: int) -> tuple[bytes, int]:
        """Return both directories, and where the first begins, given where samples begin."""
        place, *places = accumulate(sizes[:-1], initial=start)
        counts = [len(tile) for tile in tiles]
        whole = below | {
            _TILE_OFFSETS: entry_of(ValueType.LONG, places, order),
            _TILE_COUNTS: entry_of(ValueType.LONG, counts, order),
        }
        data, at = _placed(whole, order, _HEADER_BYTES + len(front))
        first = main | {
            _STRIP_OFFSETS: entry_of(ValueType.LONG, [place], order),
            _STRIP_COUNTS: entry_of(ValueType.LONG, [len(preview)], order),
            _SUB_IFDS: entry_of(ValueType.LONG, [at], order),
        }
        for tag in (EXIF_IFD, GPS_IFD):
            if tag in exif.pointers:
                first[tag] = entry_of(ValueType.LONG, [exif.pointers[tag]], order)
        more, at = _placed(first, order, _HEADER_BYTES + len(front) + len(data))
        return data + more, at

    # Their size does not depend on the offsets in them.
    start = _HEADER_BYTES + len(front) + len(directories(0)[0])
    data, first = directories(start)
    return b"".join([tiff_header(order, first), front, data, *segments])


def _placed(entries: Directory, order: str, start: int) -> tuple[bytes, int]:
    """Return the values of a directory and the directory, from an offset, and where it begins."""
    parts, places, place = [], {}, start
    for tag, entry in entries.items():
        if len(entry.data) > 4:
            places[tag] = place
            parts.append(_even(entry.data))
            place += len(parts[-1])
    return b"".join([*parts, _even(directory_bytes(entries, order, places))]), place


def _even(data: bytes) -> bytes:
    return data + bytes(len(data) % 2)
