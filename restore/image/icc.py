"""Reading ICC profiles: their primaries and tone curves."""

import struct

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.colour import D50, SRGB_PRIMARIES, adaptation_to_d50

__all__ = [
    "LONGEST_PROFILE",
    "check_profile",
    "code_points",
    "is_encoded",
    "other_primaries",
    "tone_curves",
]

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


def tone_curves(icc: bytes | None, samples: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the light that a profile's tone curves give to samples.

    Args:
        icc: Profile.
        samples: Values in [0, 1].

    Returns:
        An array for gray, or one each for red, green and blue, not checked for sense; none where
        the profile has only tables of colours, or its curves are damaged.
    """
    tags = [_tag(icc, name) for name in (b"rTRC", b"gTRC", b"bTRC")]
    if gray := _tag(icc, b"kTRC"):
        tags = [gray]
    try:
        with np.errstate(all="ignore"):  # what is not finite is found by who uses it
            return [_light(tag, samples) for tag in tags]
    except (struct.error, ValueError, IndexError):
        return []


def _light(curve: bytes, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of samples under one curve (ICC.1:2022, 10.6 and 10.18)."""
    if curve[:4] == b"curv":
        (count,) = struct.unpack_from(">I", curve, 8)
        values = np.frombuffer(curve, ">u2", count, 12)
        if count == 0:
            return samples
        if count == 1:
            return np.asarray(samples ** (values[0] / 256))
        return np.interp(samples, np.linspace(0, 1, count), values / 65535)
    if curve[:4] != b"para":
        raise ValueError("not a curve")
    (kind,) = struct.unpack_from(">H", curve, 8)
    g, *rest = _fixed(curve, 12, (1, 3, 4, 5, 7)[kind])
    if kind == 0:
        return np.asarray(samples**g)
    a, b, *rest = rest
    # Types 1 and 2 are those of a curve whose line is flat; type 4 has an offset above and below.
    slope, start, above, below = 0.0, -b / a, 0.0, 0.0
    if kind == 2:
        above = below = rest[0]
    elif kind >= 3:
        slope, start = rest[:2]
        above, below = rest[2:] or (0.0, 0.0)
    power = np.maximum(a * samples + b, 0) ** g + above
    return np.where(samples >= start, power, slope * samples + below)


def code_points(icc: bytes | None) -> tuple[int, int] | None:
    """Return primaries and transfer of a profile's tag ``cicp`` (ICC.1:2022, 9.2.17), or None."""
    tag = _tag(icc, b"cicp")
    return (tag[8], tag[9]) if len(tag) >= 12 else None


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
