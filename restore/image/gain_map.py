"""JPEG with a gain map (Ultra HDR): a picture for every screen, and what makes it light again.

Stated twice: as ISO 21496-1 has it, and in the XMP of Google, "Ultra HDR Image Format v1.1", for
readers that are older. The map is the file's second picture (CIPA DC-007, "Multi-Picture Format").
"""

import re
import struct
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from restore.image.codec import SampleEncoding
from restore.image.colour import SRGB_PRIMARIES, srgb_to_linear
from restore.image.icc_writer import srgb_profile, written_profile
from restore.image.jpeg import write_jpeg
from restore.image.jpeg_stream import header_segments, segment
from restore.image.losses import note_loss
from restore.image.picture import Picture
from restore.image.stated import SRGB_CURVE

__all__ = ["write_gain_map"]

_LARGEST = 10_000 / 203
"""The brightest is 10,000 cd/m^2, and 1.0 is shown at 203 (ITU-R BT.2408)."""
_OFFSET = 1 / 64
_UNIT = 1024
"""Numbers are stated in this fraction, so that both statements say the same."""
_APP1, _APP2 = 0xE1, 0xE2
_ISO = b"urn:iso:std:iso:ts:21496:-1\x00"
_ISO_VERSION = struct.pack(">HH", 0, 0)
_USE_BASE_COLOURS = 0x40
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_LONGEST_XMP = 65_533 - len(_XMP)
_MPF = b"MPF\x00"
_PRIMARY, _OTHER = 0x030000, 0
_RDF_END = re.compile(rb"</rdf:RDF\s*>")
_PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF></x:xmpmeta>'
)
_DIRECTORY = (
    '<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
    ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/" hdrgm:Version="1.0">'
    "<Container:Directory><rdf:Seq>"
    '<rdf:li rdf:parseType="Resource">'
    '<Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>'
    '<rdf:li rdf:parseType="Resource">'
    '<Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="{length}"/>'
    "</rdf:li></rdf:Seq></Container:Directory></rdf:Description>"
)
_NUMBERS = (
    '<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
    ' hdrgm:Version="1.0" hdrgm:GainMapMin="{low}" hdrgm:GainMapMax="{high}" hdrgm:Gamma="1"'
    ' hdrgm:OffsetSDR="{offset}" hdrgm:OffsetHDR="{offset}" hdrgm:HDRCapacityMin="0"'
    ' hdrgm:HDRCapacityMax="{headroom}" hdrgm:BaseRenditionIsHDR="False"/>'
)


def write_gain_map(
    base: Picture, light: NDArray[np.float32], *, quality: int | None = None
) -> bytes:
    """Encode linear light as a picture in 8 bits and a gain map of its size.

    On a screen that can show it all, a reader restores the light, up to 49 times white.

    Args:
        base: What other screens show, encoded with sRGB's curve, upright; with the metadata of the
            file, and its primaries, for which a profile is written.
        light: Linear light ``[3, H, W]`` in the same primaries, 1 the white of other screens.
        quality: 1 to 100, of both pictures; None for JPEG's default.

    Raises:
        OutputError: the picture is too large for JPEG.
    """
    encoding = SampleEncoding(quality=quality)
    codes, low, high = _gains(base, light)
    brightest = float(np.nan_to_num(light).max(initial=0))
    headroom = max(1, round(np.log2(min(max(brightest, 1), _LARGEST)) * _UNIT))
    gain_map = _with_segments(
        write_jpeg(Picture(pixels=codes), encoding),
        [(_APP1, _XMP + _numbers(low, high, headroom)), (_APP2, _ISO + _iso(low, high, headroom))],
    )
    xmp = _stated_in(base.xmp, _DIRECTORY.format(length=len(gain_map)).encode())
    profile = (
        srgb_profile()
        if base.primaries in ("", SRGB_PRIMARIES)
        else written_profile(base.primaries, SRGB_CURVE, 3)
    )
    primary = write_jpeg(replace(base, icc=profile, xmp=xmp), encoding)
    return _joined(primary, gain_map)


def _gains(base: Picture, light: NDArray[np.float32]) -> tuple[NDArray[np.float32], int, int]:
    """Return the map ``[3, H, W]`` in [0, 1], and the gains of its ends in stops / ``_UNIT``."""
    shape = (3, base.height, base.width)
    stored = np.rint(np.broadcast_to(base.pixels, shape) * 255) / np.float32(255)
    bright = np.nan_to_num(np.broadcast_to(light, shape), posinf=_LARGEST).clip(0, _LARGEST)
    gains = np.log2(
        (bright + np.float32(_OFFSET)) / (srgb_to_linear(stored) + np.float32(_OFFSET))
    ).astype(np.float32)
    low = int(np.floor(float(gains.min(initial=0)) * _UNIT))
    high = max(int(np.ceil(float(gains.max(initial=0)) * _UNIT)), low + 1)
    return (gains - np.float32(low / _UNIT)) / np.float32((high - low) / _UNIT), low, high


def _numbers(low: int, high: int, headroom: int) -> bytes:
    stops = {"low": low / _UNIT, "high": high / _UNIT, "headroom": headroom / _UNIT}
    return _PACKET % _NUMBERS.format(offset=_OFFSET, **stops).encode()


def _iso(low: int, high: int, headroom: int) -> bytes:
    """Return the metadata of ISO 21496-1, annex C: one channel's, which counts for all."""
    offset = int(_OFFSET * _UNIT)
    numbers = (0, headroom, low, high, _UNIT, offset, offset)
    fractions = (struct.pack(">iI", number, _UNIT) for number in numbers)
    return b"".join([_ISO_VERSION, bytes([_USE_BASE_COLOURS]), *fractions])


def _stated_in(xmp: bytes | None, directory: bytes) -> bytes:
    """Return the packet of the file with the list of its pictures."""
    if xmp:
        stated = _RDF_END.sub(lambda end: directory + end[0], xmp, count=1)
        if stated != xmp and len(stated) <= _LONGEST_XMP:
            return stated
        note_loss("its XMP, which has no place beside that of the gain map")
    return _PACKET % directory


def _joined(primary: bytes, gain_map: bytes) -> bytes:
    """Return one file of both pictures, with the index of the Multi-Picture Format."""
    empty = _MPF + _index(0, 0, 0)
    complete = _with_segments(primary, [(_APP2, _ISO + _ISO_VERSION), (_APP2, empty)])
    # Offsets count from the index's byte order mark. EXIF before it may hold such an index too.
    start = complete.index(empty) + len(_MPF)
    index = _index(len(complete), len(gain_map), len(complete) - start)
    return b"".join([complete[:start], index, complete[start + len(index) :], gain_map])


def _index(primary_bytes: int, gain_map_bytes: int, gain_map_start: int) -> bytes:
    """Return the index of a file of two pictures, big-endian."""
    fields = (
        struct.pack(">HHI4s", 0xB000, 7, 4, b"0100"),  # version
        struct.pack(">HHII", 0xB001, 4, 1, 2),  # number of pictures
        struct.pack(">HHII", 0xB002, 7, 32, 8 + 2 + 3 * 12 + 4),  # where the entries are
    )
    entries = (
        struct.pack(">IIIHH", _PRIMARY, primary_bytes, 0, 0, 0),
        struct.pack(">IIIHH", _OTHER, gain_map_bytes, gain_map_start, 0, 0),
    )
    head = b"MM\x00*" + struct.pack(">IH", 8, len(fields))
    return b"".join([head, *fields, bytes(4), *entries])


def _with_segments(jpeg: bytes, segments: list[tuple[int, bytes]]) -> bytes:
    """Return a JPEG with further segments after its EXIF and XMP."""
    ends = [each.stop for each in header_segments(jpeg) if each.marker in (0xE0, _APP1)]
    place = ends[-1] if ends else 2
    return b"".join([jpeg[:place], *(segment(*each) for each in segments), jpeg[place:]])
