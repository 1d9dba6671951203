"""Reading ICC profiles: their primaries, and whether samples are linear light."""

import struct

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.colour import D50, SRGB_PRIMARIES, adaptation_to_d50

__all__ = ["LONGEST_PROFILE", "check_profile", "is_encoded", "other_primaries"]

_HEADER = 128
_MOST_TAGS = 100
_LONGEST_TAG = 1 << 18
"""Bytes; curves have at most 65,535 entries of two."""

LONGEST_PROFILE = 4 << 20
"""Bytes. The largest profiles in use, tables for printers, have two to three million."""
_TOLERANCE = 0.003
_LINEAR_WITHIN = 0.01


def check_profile(size: int) -> None:
    """Refuse a profile of more bytes than profiles have.

    Raises:
        UnsupportedImage: it is larger than ``LONGEST_PROFILE``.
    """
    if size > LONGEST_PROFILE:
        raise UnsupportedImage(
            f"has a colour profile of more than {LONGEST_PROFILE >> 20} MiB; save it without"
        )


def is_encoded(icc: bytes | None) -> bool:
    """Return whether the tone curve of a profile, for green or gray, is not linear."""
    curve = _tag(icc, b"gTRC") or _tag(icc, b"kTRC")
    try:
        if curve[:4] == b"curv":
            (count,) = struct.unpack_from(">I", curve, 8)
            values = np.frombuffer(curve, ">u2", count, 12)
            if count > 1:
                line = np.linspace(0, 65535, count)
                return float(np.abs(values - line).max()) > _LINEAR_WITHIN * 65535
            return count == 1 and abs(float(values[0]) / 256 - 1) > _LINEAR_WITHIN
        if curve[:4] == b"para":
            # All kinds are powers of a line; only with the exponent 1 can they be straight.
            return bool(abs(_fixed(curve, 12, 1)[0] - 1) > _LINEAR_WITHIN)
    except (struct.error, ValueError, IndexError):
        pass
    return False


def other_primaries(icc: bytes | None) -> str:
    """Return the primaries of a profile as ``Picture`` holds them.

    Returns:
        x and y of red, green, blue and white; "" where they are sRGB's, or where the profile has
        none because it is gray or table-based.
    """
    try:
        colours = [_fixed(_tag(icc, name), 8, 3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        with np.errstate(all="ignore"):  # division by zero gives NaN, checked below
            from_d50 = np.linalg.inv(_adaptation(icc))
            points = [from_d50 @ each for each in (*colours, D50)]
            values = np.concatenate([(point / point.sum())[:2] for point in points])
    except (ValueError, struct.error, np.linalg.LinAlgError):
        return ""
    srgb = np.array(SRGB_PRIMARIES.split(), dtype=np.float64)
    if not np.isfinite(values).all() or np.abs(values - srgb).max() < _TOLERANCE:
        return ""
    return " ".join(f"{value:.4f}" for value in values)


def _adaptation(icc: bytes | None) -> NDArray[np.float64]:
    """Return the matrix that adapted colours from the display's white to the profile's D50."""
    if adapted := _tag(icc, b"chad"):
        return _fixed(adapted, 8, 9).reshape(3, 3)
    return adaptation_to_d50(_fixed(_tag(icc, b"wtpt"), 8, 3))


def _fixed(tag: bytes, start: int, count: int) -> NDArray[np.float64]:
    """Return ``count`` fixed-point numbers of 16.16 bits as floats."""
    return np.array(struct.unpack_from(f">{count}i", tag, start)) / 65536


def _tag(icc: bytes | None, name: bytes) -> bytes:
    """Return the data of a tag, the last of its name; nothing if there is none.

    Tags may overlap, and those of a hostile profile are all as long as it. So only the tag that is
    asked for is copied, and no more of it than curves take.
    """
    found = b""
    if icc is None:
        return found
    try:
        (count,) = struct.unpack_from(">I", icc, _HEADER)
        for index in range(min(count, _MOST_TAGS)):
            own, start, size = struct.unpack_from(">4sII", icc, _HEADER + 4 + 12 * index)
            if own == name:
                found = icc[start : start + min(size, _LONGEST_TAG)]
    except struct.error:
        pass
    return found
