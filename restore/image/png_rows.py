"""The rows of a PNG that is written: filtered and compressed.

The Average filter and libdeflate: on 8- and 16-bit photographs they take less than half the time of
libpng with the same filter at level 2, and files are 1 % smaller. Trying every filter for each row,
libpng's default, takes two to four times as long again.
"""

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.image.picture import Picture
from restore.image.samples import stored_samples

__all__ = ["compressed", "filtered_rows"]

_AVERAGE = 3
_LEVEL = 1

_BAND = 64


def compressed(rows: Any) -> bytes:
    """Return filtered rows as a zlib stream."""
    # Any buffer works, though the codec's hints say bytes.
    return bytes(imagecodecs.deflate_encode(rows, level=_LEVEL))


def filtered_rows(picture: Picture, dtype: type[np.generic]) -> NDArray[np.uint8]:
    """Return the bytes of each row behind that of its filter, ``[H, 1 + bytes]``.

    Args:
        picture: what is to be stored.
        dtype: uint8 or uint16.
    """
    samples = picture.channels + (picture.alpha is not None)
    pixel = samples * np.dtype(dtype).itemsize
    rows = np.empty((picture.height, 1 + picture.width * pixel), np.uint8)
    rows[:, 0] = _AVERAGE
    above = np.zeros((1, picture.width * pixel), np.uint8)
    # In bands that stay in the cache from one step to the next.
    for top in range(0, picture.height, _BAND):
        stop = min(picture.height, top + _BAND)
        band = _big_endian(stored_samples(picture.rows(top, stop), dtype))
        left = np.zeros_like(band)
        left[:, pixel:] = band[:, :-pixel]
        up = np.concatenate([above, band[:-1]])
        # (left + up) // 2 without overflowing a byte.
        mean = (left & up) + ((left ^ up) >> 1)
        np.subtract(band, mean, out=rows[top:stop, 1:])
        above = band[-1:]
    return rows


def _big_endian(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of each row, ``[H, bytes]``."""
    stored = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))
    return stored.reshape(len(samples), -1).view(np.uint8)
