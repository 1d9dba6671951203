"""JPEG streams to samples, with an ear for libjpeg's warnings: Pillow drops them.

libjpeg warns and goes on, where it can, with gray or with whatever the damaged bits mean. Which
warnings mean that pixels are lost:

- "premature end of data segment": the decoder needed more bits than there are before a marker, as
  where a file was cut in two and closed with an end marker. The rest of the scan is made up.
- "bad Huffman code", "bad arithmetic code": no encoder writes such bits.
- "found marker ... instead of RST...": a restart interval is missing or was decoded to a wrong
  length.
- "Inconsistent progression sequence": a scan refines what no scan brought.
- "... extraneous bytes before marker ..." in entropy-coded data: the decoder had all its pixels
  before the data ended, so it lost its way in them. Not so where the bytes are all the same: some
  encoders fill up their files.
- "Premature end of JPEG file": the end marker is missing. Nothing is lost if that is all.

Warnings that mean nothing for the pixels: "extraneous bytes" between the segments of the header,
"bad ICC marker", "unknown JFIF revision number", "Unknown Adobe color transform code", "Invalid SOS
parameters for sequential JPEG". libjpeg does not warn of bytes after the end marker, nor of scans
that a progressive file lacks: the latter is checked here.
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

__all__ = ["UnusualSampling", "decode_jpeg", "jpeg_damage"]

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_WITHOUT_LENGTH = {0x01, _START, _END}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_JFIF, _ICC, _ADOBE = 0xE0, 0xE2, 0xEE
_ICC_PROFILE = b"ICC_PROFILE\x00"
_MOST_REPAIRS = 8
"""More than there are kinds of repairs; each mends all places of its kind."""
_UNUSUAL_SAMPLING = "Could not determine subsampling"
_COEFFICIENTS = 64


class UnusualSampling(ValueError):
    """The colours are sampled in a way that the decoder does not know."""


class _Segment(NamedTuple):
    """A marker, where it begins, and what belongs to it without marker and length."""

    marker: int
    start: int
    body: slice


def decode_jpeg(
    data: bytes, colours: Literal["GRAY", "RGB"], *, shrink: int = 1
) -> tuple[NDArray[np.uint8], str]:
    """Decode a stream of 8 bits per sample.

    Args:
        data: The stream, from its start marker on; what follows its end does not matter.
        colours: The kind of samples to return.
        shrink: Up to 8: divide width and height by it, which takes less time.

    Returns:
        Samples ``[H, W, 1]`` or ``[H, W, 3]``, and what is damaged, or "".

    Raises:
        UnusualSampling: as it says.
        ValueError: nothing can be decoded.
    """
    try:
        return _decode(data, colours, shrink)
    except ValueError as error:
        if _UNUSUAL_SAMPLING in str(error):
            raise UnusualSampling(str(error)) from error
        raise


def _decode(
    data: bytes, colours: Literal["GRAY", "RGB"], shrink: int
) -> tuple[NDArray[np.uint8], str]:
    whole = data
    for _ in range(_MOST_REPAIRS):
        try:
            samples = simplejpeg.decode_jpeg(whole, colours, min_factor=shrink, strict=True)
        except ValueError as error:
            warning = str(error)
        else:
            return samples, _lacking_scans(whole)
        repaired = _repaired(whole, warning)
        if repaired is None:
            break
        whole = repaired
    samples = simplejpeg.decode_jpeg(whole, colours, min_factor=shrink, strict=False)
    return samples, f"is damaged or cut short ({warning.removeprefix('Corrupt JPEG data: ')})"


def jpeg_damage(data: bytes) -> str:
    """Return what is damaged in a stream, or ""; "" too for streams of other kinds.

    Takes less time than decoding: it makes one gray sample of 64.
    """
    try:
        return decode_jpeg(data, "GRAY", shrink=8)[1]
    except ValueError:
        return ""


def _repaired(data: bytes, warning: str) -> bytes | None:
    """Return the stream without what led to a warning, or None if that costs pixels."""
    if warning.startswith("Premature end of JPEG file"):
        return data + bytes((0xFF, _END))
    if found := _EXTRANEOUS.search(warning):
        return _without_filling(data, int(found[1]), int(found[2], 16))
    if warning.startswith("Corrupt JPEG data: bad ICC marker"):
        return _with_header_of(
            data,
            lambda each: each.marker != _ICC or not data[each.body].startswith(_ICC_PROFILE),
        )
    if warning.startswith("Warning: unknown JFIF revision"):
        return _patched(data, _JFIF, 5, b"\x01\x01")
    if warning.startswith("Unknown Adobe color transform"):
        return _patched(data, _ADOBE, 11, b"\x01")  # what libjpeg takes it for
    if warning.startswith("Invalid SOS parameters"):
        return _patched(data, _SCAN, -3, bytes((0, _COEFFICIENTS - 1, 0)))
    return None


def _without_filling(data: bytes, count: int, marker: int) -> bytes | None:
    """Return the stream without the gaps in its header or, if it has none, before its end."""
    mended = _with_header_of(data, lambda _: True)
    if mended is not None or marker != _END:
        return mended
    for segment in _segments(data):
        if segment.marker == _END:
            filling = data[segment.start - count : segment.start]
            is_filling = len(set(filling)) == 1
            return data[: segment.start - count] + data[segment.start :] if is_filling else None
    return None


def _with_header_of(data: bytes, is_kept: Callable[[_Segment], bool]) -> bytes | None:
    """Return the stream with only these segments before its pixels, or None if it has no others."""
    parts = []
    for segment in _segments(data):
        if is_kept(segment):
            parts.append(data[segment.start : segment.body.stop])
        if segment.marker == _SCAN:
            parts.append(data[segment.body.stop :])
            mended = b"".join(parts)
            return None if mended == data else mended
    return None


def _patched(data: bytes, marker: int, position: int, value: bytes) -> bytes | None:
    """Return the stream with ``value`` at a position of the bodies of all such segments."""
    patched = bytearray(data)
    for segment in _segments(data):
        if segment.marker == marker:
            start = (segment.body.start if position >= 0 else segment.body.stop) + position
            patched[start : start + len(value)] = value
    return None if patched == data else bytes(patched)


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the end marker, found as libjpeg finds them."""
    position = 0
    while match := _MARKER.search(data, position):
        marker, start = data[match.start() + 1], match.end()
        if marker in _WITHOUT_LENGTH:
            segment = _Segment(marker, match.start(), slice(start, start))
        else:
            stop = start + max(2, int.from_bytes(data[start : start + 2]))
            segment = _Segment(marker, match.start(), slice(start + 2, stop))
        position = segment.body.stop
        yield segment
        if marker == _END:
            return


def _lacking_scans(data: bytes) -> str:
    """Say so if a file of several scans lacks some of them, of which libjpeg does not warn.

    An encoder may leave out the finest bits on purpose, but none is known to; a file that was cut
    between two scans and closed with an end marker looks the same.
    """
    is_progressive, missing = False, set[tuple[int, int]]()
    for segment in _segments(data):
        body = data[segment.body]
        if segment.marker in _FRAMES and not missing:
            is_progressive = segment.marker in _PROGRESSIVE
            components = body[6 : 6 + 3 * body[5] : 3]
            count = _COEFFICIENTS if is_progressive else 1
            missing = {(component, k) for component in components for k in range(count)}
        elif segment.marker == _SCAN:
            first, last, bits = body[-3:]
            in_scan = body[1 : 1 + 2 * body[0] : 2]
            if not is_progressive:
                if len(in_scan) == len({component for component, _ in missing}):
                    return ""  # without a look for the end
                first, last, bits = 0, 0, 0
            if not bits & 15:
                missing -= {(c, k) for c in in_scan for k in range(first, last + 1)}
    return "is cut short (it lacks scans)" if missing else ""
