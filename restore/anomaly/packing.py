"""Arrays of numbers as text, in the metadata of weight files."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

__all__ = ["number", "packed", "unpacked"]

_LONGEST = 400_000
"""Characters; the whole header of a weight file has a MiB."""
_FULL, _HALF = "<f4", "<f2"


def packed(values: NDArray[np.float64], *, half: bool = False) -> str:
    """Return values as float32, or float16 if ``half``, little-endian, in base64."""
    kind = _HALF if half else _FULL
    largest = float(np.finfo(kind).max)
    return base64.b64encode(np.clip(values, -largest, largest).astype(kind).tobytes()).decode()


def unpacked(text: object, *, columns: int = 0, half: bool = False) -> NDArray[np.float64]:
    """Return what ``packed`` described, ``[N]``, or ``[N, columns]``.

    Raises:
        ValueError: it is none, of another shape, or holds what is not finite.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError("no packed values")
    try:
        read = np.frombuffer(base64.b64decode(text, validate=True), _HALF if half else _FULL)
    except binascii.Error as error:
        raise ValueError("no packed values") from error
    values: NDArray[np.float64] = read.astype(np.float64)
    if not values.size or not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    return values.reshape(-1, columns) if columns else values


def number(value: object) -> float:
    """Return a finite number of JSON.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{value!r:.40} is no number")
    return float(value)
