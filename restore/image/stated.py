"""The colour space that a picture states without an ICC profile, as such a profile."""

import struct
from dataclasses import replace
from functools import lru_cache

from restore.image.cicp import Cicp
from restore.image.colour import SRGB_PRIMARIES
from restore.image.icc import other_primaries
from restore.image.icc_writer import profile_of_cicp, written_profile
from restore.image.picture import Picture

__all__ = ["SRGB_CURVE", "stated_profile", "with_stated_primaries"]

_GAMMA_OF_SRGB = 1 / 2.2
_SAME = 0.002
SRGB_CURVE = Cicp(1, 13).curve
"""Tone curve of sRGB, as ``written_profile`` takes it."""


def stated_profile(picture: Picture) -> bytes | None:
    """Return a profile of what code points, or gamma and chromaticities of a PNG, say.

    None where they say sRGB, or nothing that a profile can hold.
    """
    if picture.cicp is not None:
        return None if picture.cicp.is_srgb else profile_of_cicp(picture.cicp, picture.channels)
    return _profile_of_chunks(picture.png_chunks, picture.channels) if picture.png_chunks else None


def with_stated_primaries(picture: Picture) -> Picture:
    """Return a picture with the primaries of its profile, or of what it states in place of one."""
    return replace(picture, primaries=other_primaries(picture.icc or stated_profile(picture)))


@lru_cache(maxsize=8)
def _profile_of_chunks(chunks: bytes, channels: int) -> bytes | None:
    """Return a profile of the PNG chunks gAMA and cHRM, either of which may be missing.

    PNG writers give pictures in sRGB a gamma of 1/2.2 (PNG, third edition, 11.3.2.5).
    """
    found = _bodies(chunks)
    if b"sRGB" in found or not found.keys() & {b"gAMA", b"cHRM"}:
        return None
    primaries, curve = SRGB_PRIMARIES, SRGB_CURVE
    if len(body := found.get(b"cHRM", b"")) == 32:
        values = [value / 100_000 for value in struct.unpack(">8I", body)]
        primaries = " ".join(f"{value:.5g}" for value in values[2:] + values[:2])
    if len(body := found.get(b"gAMA", b"")) == 4:
        gamma = struct.unpack(">I", body)[0] / 100_000
        if not 0.05 < gamma < 20:
            return None
        is_usual = primaries == SRGB_PRIMARIES and abs(gamma - _GAMMA_OF_SRGB) < _SAME
        curve = SRGB_CURVE if is_usual else (1 / gamma,)
    if (primaries, curve) == (SRGB_PRIMARIES, SRGB_CURVE):
        return None
    return written_profile(primaries, curve, channels)


def _bodies(chunks: bytes) -> dict[bytes, bytes]:
    """Return the bodies of complete chunks by their kind."""
    found, position = {}, 0
    while position + 12 <= len(chunks):
        (length,) = struct.unpack_from(">I", chunks, position)
        found[chunks[position + 4 : position + 8]] = chunks[position + 8 : position + 8 + length]
        position += 12 + length
    return found
