"""Decoding the strips or tiles of a TIFF, and counting those that are damaged.

Most decoders raise where data are damaged or end early. Those of JPEG and CCITT make up what is
missing: their data are looked at once more.
"""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.image.ccitt import lacks_rows
from restore.image.jpeg_samples import jpeg_damage

__all__ = ["damage_of", "decode_page"]

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
    except Exception:
        samples, lost = _salvaged(page)
        if lost == len(page.dataoffsets):
            raise
        return samples, _sentence(page, lost)
    return samples, damage_of(page)


def damage_of(page: Any) -> str:
    """Return how many strips or tiles are damaged of those whose decoders do not tell, or ""."""
    is_damaged: Callable[[Any, bytes, int], bool]
    if page.compression in _CCITT:
        is_damaged = _lacks_rows
    elif page.compression == _JPEG:
        is_damaged = _is_damaged_jpeg
    else:
        return ""
    return _sentence(page, sum(is_damaged(page, data, index) for data, index in _segments(page)))


def _sentence(page: Any, count: int) -> str:
    of = f"{count:,} of {len(page.dataoffsets):,} {'tiles' if page.is_tiled else 'strips'}"
    return f"is damaged or cut short ({of})" if count else ""


def _salvaged(page: Any) -> tuple[NDArray[Any], int]:
    """Decode what can be; return the samples, and how many strips or tiles are lost."""
    samples, lost = np.zeros(page.shaped, page.dtype), 0
    tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
    for data, index in _segments(page):
        try:
            segment, (plane, _, top, left, _), _ = page.decode(data, index, **tables)
            within = segment[:, : page.imagelength - top, : page.imagewidth - left]
            _, height, width, _ = within.shape
            samples[plane, :, top : top + height, left : left + width] = within
        except MemoryError:
            raise
        except Exception:  # decoders may raise anything on damaged data
            lost += 1
    return samples.reshape(page.shape), lost


def _segments(page: Any) -> Any:
    """Yield the data and the index of every strip or tile."""
    return page.parent.filehandle.read_segments(
        page.dataoffsets,
        page.databytecounts,
        length=len(page.dataoffsets),
        buffersize=_READ_BYTES,
        flat=True,
    )


def _lacks_rows(page: Any, data: bytes, index: int) -> bool:
    is_turned = page.fillorder == _LEAST_BIT_FIRST

    def turned(data: bytes) -> bytes:
        return bytes(imagecodecs.bitorder_decode(data)) if is_turned else data

    def decode(data: bytes) -> NDArray[np.uint8]:
        rows: NDArray[np.uint8] = page.decode(turned(data), index)[0]
        return rows

    return lacks_rows(turned(data), decode)


def _is_damaged_jpeg(page: Any, data: bytes, _index: int) -> bool:
    # Strips may share tables, which stand before the data, between the same markers.
    return bool(jpeg_damage(page.jpegtables[:-2] + data[2:] if page.jpegtables else data))
