"""Decoding the strips or tiles of a TIFF, and counting those that are damaged.

Most decoders raise where data are damaged or end early. Those of JPEG and CCITT make up what is
missing: their data are looked at once more.
"""

from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage
from restore.image.ccitt import lacks_rows
from restore.image.jpeg_samples import jpeg_damage

__all__ = ["damage_of", "decode_page", "decoded_segment"]

_CCITT, _JPEG = (2, 3, 4), 7
_LEAST_BIT_FIRST = 2
_READ_BYTES = 16 << 20
"""Compressed strips or tiles that are in memory at once; tifffile's default is 256 MiB."""


def decode_page(page: Any) -> tuple[NDArray[Any], str]:
    """Return the samples of a checked page in tifffile's shape, and what is damaged, or "".

    Strips or tiles that cannot be decoded are 0.

    Raises:
        Exception: whatever tifffile raises where none can be decoded.
    """
    try:
        samples = page.asarray(maxworkers=1, buffersize=_READ_BYTES)
    except MemoryError:
        raise
    except Exception:  # decoders may raise anything on damaged data
        samples = np.zeros(page.shaped, page.dtype)
        damaged = _damage(page, samples)
        return samples.reshape(page.shape), damaged
    made_up = sum(_is_made_up(page, *segment) for segment in _segments(page))
    return samples, _sentence(page, made_up)


def damage_of(page: Any) -> str:
    """Return what ``decode_page`` says of damage, from decoding strip by strip or tile by tile.

    Raises:
        Exception: whatever tifffile raises where none can be decoded.
    """
    return _damage(page, None)


def decoded_segment(page: Any, data: bytes, index: int) -> Any:
    """Return tifffile's samples, place and shape of a strip or tile, or None if it is damaged."""
    try:
        return _decode(page, data, index)
    except MemoryError:
        raise
    except Exception:
        return None


def _decode(page: Any, data: bytes, index: int) -> Any:
    # Only JPEG has tables, which several strips may share.
    tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
    decoded = page.decode(data, index, **tables)
    if decoded[0].shape[-1] != page.shaped[-1]:
        raise CorruptImage("has a strip or tile of another number of samples")
    return decoded


def _sentence(page: Any, count: int) -> str:
    of = f"{count:,} of {len(page.dataoffsets):,} {'tiles' if page.is_tiled else 'strips'}"
    return f"is damaged or cut short ({of})" if count else ""


def _damage(page: Any, samples: NDArray[Any] | None) -> str:
    """Decode what can be, into samples of tifffile's "shaped" if given; return what is damaged."""
    lost = made_up = 0
    for data, index in _segments(page):
        decoded = decoded_segment(page, data, index)
        if decoded is None:
            lost += 1
            continue
        made_up += _is_made_up(page, data, index)
        if samples is not None:
            segment, (plane, _, top, left, _), _ = decoded
            within = segment[:, : page.imagelength - top, : page.imagewidth - left]
            _, height, width, _ = within.shape
            samples[plane, :, top : top + height, left : left + width] = within
    if lost == len(page.dataoffsets):
        _decode(page, data, index)
    return _sentence(page, lost + made_up)


def _segments(page: Any) -> Iterator[tuple[bytes, int]]:
    """Yield the data and the index of every strip or tile."""
    yield from page.parent.filehandle.read_segments(
        page.dataoffsets,
        page.databytecounts,
        length=len(page.dataoffsets),
        buffersize=_READ_BYTES,
        flat=True,
    )


def _is_made_up(page: Any, data: bytes, index: int) -> bool:
    """Return whether a strip or tile that was decoded lacks pixels, though its decoder kept mum."""
    if page.compression in _CCITT:
        return _lacks_rows(page, data, index)
    return page.compression == _JPEG and _is_damaged_jpeg(page, data)


def _lacks_rows(page: Any, data: bytes, index: int) -> bool:
    is_turned = page.fillorder == _LEAST_BIT_FIRST

    def turned(data: bytes) -> bytes:
        return bytes(imagecodecs.bitorder_decode(data)) if is_turned else data

    def decode(data: bytes) -> NDArray[np.uint8]:
        rows: NDArray[np.uint8] = page.decode(turned(data), index)[0]
        return rows

    return lacks_rows(turned(data), decode)


def _is_damaged_jpeg(page: Any, data: bytes) -> bool:
    # Strips may share tables, which stand before the data, between the same markers.
    return bool(jpeg_damage(page.jpegtables[:-2] + data[2:] if page.jpegtables else data))
