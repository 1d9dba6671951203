"""Writing ICC profiles of colour spaces that a file states by other means."""

import struct
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from restore.image.cicp import HLG, PQ, Cicp, light_of_hlg, light_of_pq
from restore.image.colour import D50, rgb_to_xyz, white_adaptation

__all__ = ["profile_of_cicp", "srgb_profile", "written_profile"]

_HEADER_BYTES = 128
_VERSION = 0x04400000
"""4.4, the first with the tag cicp."""
_DATE_PLACE = 24
_DATE = (2026, 1, 1, 0, 0, 0)
"""One for all, so that equal pictures give equal files."""
_ENTRIES = 4096
_TABLES: dict[int, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    PQ: light_of_pq,
    HLG: light_of_hlg,
}


@cache
def srgb_profile() -> bytes:
    """Return the profile of sRGB that Little CMS makes, but for the time at which it makes it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    struct.pack_into(">6H", profile, _DATE_PLACE, *_DATE)
    return bytes(profile)


def profile_of_cicp(cicp: Cicp, channels: int) -> bytes | None:
    """Return a profile of a colour space.

    Args:
        cicp: Colour space. The curves of PQ and HLG are tables from black to their brightest
            light; viewers that know the tag ``cicp`` find the code points there, too.
        channels: 1 for gray, 3 for RGB.

    Returns:
        None for codes without a curve or without chromaticities.
    """
    table = _TABLES.get(cicp.transfer)
    curve = _curve(cicp.curve) if table is None else _table(table)
    primaries = cicp.chromaticities
    if not curve or not primaries:
        return None
    codes = bytes((cicp.primaries, cicp.transfer, 0, 1))
    tag = b"cicp\x00\x00\x00\x00" + codes
    return _profile(primaries, curve, channels, {b"cicp": tag} if channels == 3 else {})


def written_profile(primaries: str, exponents: tuple[float, ...], channels: int) -> bytes | None:
    """Return a profile of primaries and a tone curve.

    Args:
        primaries: x and y of red, green, blue and white, as ``Picture`` holds them.
        exponents: As ``Cicp.curve``.
        channels: 1 for gray, 3 for RGB.

    Returns:
        None where the primaries are impossible.
    """
    return _profile(primaries, _curve(exponents), channels, {})


def _profile(
    primaries: str, curve: bytes, channels: int, further: dict[bytes, bytes]
) -> bytes | None:
    try:
        with np.errstate(all="ignore"):  # division by zero gives NaN, checked below
            colours, adaptation = rgb_to_xyz(primaries), white_adaptation(primaries)
    except np.linalg.LinAlgError:
        return None
    numbers = np.concatenate([colours.ravel(), adaptation.ravel()])
    if not (np.isfinite(numbers).all() and np.abs(numbers).max() < 1 << 15):
        return None
    tags = {
        b"desc": _text("Made from what the picture states"),
        b"cprt": _text("CC0"),
        b"wtpt": _numbers(b"XYZ ", D50),
        b"chad": _numbers(b"sf32", adaptation),
    }
    if channels == 1:
        tags[b"kTRC"] = curve
    else:
        for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colours.T, strict=True):
            tags[name] = _numbers(b"XYZ ", colour)
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _assembled(tags | further, b"GRAY" if channels == 1 else b"RGB ")


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """Return the header, the table of tags and their data; equal tags share theirs."""
    start = _HEADER_BYTES + 4 + 12 * len(tags)
    body = bytearray()
    places: dict[bytes, int] = {}
    table = struct.pack(">I", len(tags))
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, places[data], len(data))
    header = struct.pack(
        ">I4xI4s4s4s6H4s28x12s48x",
        *(start + len(body), _VERSION, b"mntr", space, b"XYZ ", *_DATE, b"acsp", _fixed(D50)),
    )
    return header + table + bytes(body)


def _fixed(values: NDArray[np.float64]) -> bytes:
    """Return numbers as fixed-point ones of 16.16 bits."""
    flat = np.rint(values.ravel() * 65536)
    return struct.pack(f">{flat.size}i", *flat.astype(int).tolist())


def _numbers(kind: bytes, values: NDArray[np.float64]) -> bytes:
    return kind + bytes(4) + _fixed(values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _curve(exponents: tuple[float, ...]) -> bytes:
    """Return a parametric curve: of type 0 for one exponent, of type 3 for five numbers."""
    if not exponents:
        return b""
    kind = 0 if len(exponents) == 1 else 3
    return struct.pack(">4s4xH2x", b"para", kind) + _fixed(np.array(exponents))


def _table(light_of: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> bytes:
    light = light_of(np.linspace(0, 1, _ENTRIES))
    values = np.rint(light / light[-1] * 65535).astype(int)
    return struct.pack(f">4s4xI{_ENTRIES}H", b"curv", _ENTRIES, *values.tolist())
