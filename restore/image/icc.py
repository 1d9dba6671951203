"""What a colour profile says in numbers: its primaries, and whether samples are linear light."""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from restore.image.colour import D50, SRGB_PRIMARIES, adaptation_to_d50

__all__ = ["is_encoded", "other_primaries"]

_HEADER = 128
_TOLERANCE = 0.003
_LINEAR_WITHIN = 0.01


def is_encoded(icc: bytes | None) -> bool:
    """Return whether a profile says, by its curve of green or gray, that samples are not light."""
    tags = dict(_tags(icc))
    curve = tags.get(b"gTRC", tags.get(b"kTRC", b""))
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
    """Return the chromaticities of a profile as ``Picture`` holds them.

    Returns:
        x and y of red, green, blue and white; "" where they are sRGB's, or the profile, by tables
        or for want of colours, has none.
    """
    tags = dict(_tags(icc))
    try:
        colours = [_fixed(tags[name], 8, 3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        with np.errstate(all="ignore"):  # what comes of zeros is no number
            from_d50 = np.linalg.inv(_adaptation(tags))
            points = [from_d50 @ each for each in (*colours, D50)]
            values = np.concatenate([(point / point.sum())[:2] for point in points])
    except (KeyError, ValueError, struct.error, np.linalg.LinAlgError):
        return ""
    srgb = np.array(SRGB_PRIMARIES.split(), dtype=np.float64)
    if not np.isfinite(values).all() or np.abs(values - srgb).max() < _TOLERANCE:
        return ""
    return " ".join(f"{value:.4f}" for value in values)


def _adaptation(tags: dict[bytes, bytes]) -> NDArray[np.float64]:
    """Return what took the colours from the display's white to D50, in which profiles are."""
    if b"chad" in tags:
        return _fixed(tags[b"chad"], 8, 9).reshape(3, 3)
    return adaptation_to_d50(_fixed(tags[b"wtpt"], 8, 3))


def _fixed(tag: bytes, start: int, count: int) -> NDArray[np.float64]:
    """Return numbers in 16.16 bits."""
    return np.array(struct.unpack_from(f">{count}i", tag, start)) / 65536


def _tags(icc: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    """Yield the signature and the data of every tag."""
    if icc is None:
        return
    try:
        (count,) = struct.unpack_from(">I", icc, _HEADER)
        for index in range(min(count, 100)):
            name, start, size = struct.unpack_from(">4sII", icc, _HEADER + 4 + 12 * index)
            yield name, icc[start : start + size]
    except struct.error:
        return
