"""What a JPEG holds beside its pixels: EXIF, XMP and its extension, profile, IPTC, a video.

EXIF is one segment of 64 kB. XMP goes on in an extension of many (Adobe, "XMP Specification",
part 3, 1.1.3.1), a profile in numbered parts (ICC.1:2022, annex B.4).
"""

import hashlib
import struct

from restore.image.exif_block import shortened
from restore.image.jpeg_stream import header_segments, segment
from restore.image.losses import in_words, note_loss
from restore.image.metadata import EXIF_HEADER
from restore.image.picture import Picture
from restore.image.xmp import claims_of, extension_of, video_length

__all__ = [
    "extends_xmp",
    "has_gain_map",
    "kept_notes",
    "metadata_segments",
    "names_of_notes",
    "video_of",
    "whole_xmp",
    "without_video",
]

_JFIF_MARKER, _EXIF_MARKER, _PROFILE_MARKER = 0xE0, 0xE1, 0xE2
_IPTC_MARKER, _COMMENT_MARKER = 0xED, 0xFE
_JFIF, _IPTC, _PROFILE = b"JFIF\x00", b"Photoshop 3.0\x00", b"ICC_PROFILE\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\x00"
_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\x00"
_END = b"\xff\xd9"
_LONGEST = 65_533
_PROFILE_PART = _LONGEST - len(_PROFILE) - 2
_GUID_BYTES = 32
_EXTENSION_HEAD = len(_EXTENSION) + _GUID_BYTES + 8
_EXTENSION_PART = _LONGEST - _EXTENSION_HEAD
_LONGEST_XMP = 64 << 20
_SAMSUNG_VIDEO = b"MotionPhoto_Data"
_POINTER = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
    b'xmpNote:HasExtendedXMP="%s"/></rdf:RDF></x:xmpmeta>'
)
"""A packet whose extension is all there is, where one segment does not hold it."""


def kept_notes(data: bytes, end: int, xmp: bytes | None) -> bytes:
    """Return ``Picture.notes`` of a JPEG.

    These are segments: its density, Photoshop's block with IPTC, comments, the extension of its
    XMP; then, after an end marker, the video of a motion photo.

    Args:
        data: The file.
        end: Where its first picture ends.
        xmp: Its XMP, which says what follows.
    """
    header, kept = b"", []
    name = extension_of(xmp) if xmp else b""
    for each in header_segments(data):
        content = data[each.start + 4 : each.stop]
        if each.marker == _JFIF_MARKER and content.startswith(_JFIF) and len(content) >= 12:
            # Without the thumbnail.
            header = header or segment(_JFIF_MARKER, content[:12] + b"\x00\x00")
        elif (
            (each.marker == _IPTC_MARKER and content.startswith(_IPTC))
            or each.marker == _COMMENT_MARKER
            or (each.marker == _EXIF_MARKER and name and content.startswith(_EXTENSION + name))
        ):
            kept.append(segment(each.marker, content))
    video = _video(data, end, xmp)
    return b"".join([header, *kept, _END + video if video else b""])


def _video(data: bytes, end: int, xmp: bytes | None) -> bytes:
    """Return the video at the end of a motion photo, or b""."""
    length = video_length(xmp) if xmp else 0
    if 8 < length <= len(data) - end and data[-length:][4:8] == b"ftyp":
        return data[-length:]
    # Samsung's has a directory at its end whose offsets are counted from there.
    return data[end:] if data.find(_SAMSUNG_VIDEO, end) >= 0 else b""


def has_gain_map(data: bytes, xmp: bytes | None) -> bool:
    """Return whether a JPEG says that a gain map follows it, by XMP or as ISO 21496-1 has it."""
    if xmp and claims_of(xmp).gain_map:
        return True
    return any(
        each.marker == _PROFILE_MARKER and data.startswith(_GAIN_MAP, each.start + 4)
        for each in header_segments(data)
    )


def video_of(notes: bytes) -> bytes:
    """Return the video in ``kept_notes``, or b""."""
    return notes[len(without_video(notes)) + len(_END) :]


def without_video(notes: bytes) -> bytes:
    """Return ``kept_notes`` without the video in them."""
    return notes[: max((each.stop for each in header_segments(notes, 0)), default=0)]


def extends_xmp(notes: bytes) -> bool:
    """Return whether ``kept_notes`` hold an extension of the XMP."""
    return any(each.marker == _EXIF_MARKER for each in header_segments(notes, 0))


def names_of_notes(notes: bytes) -> list[str]:
    """Return what ``kept_notes`` hold but for the density, in words for the user."""
    names = {_IPTC_MARKER: "IPTC", _COMMENT_MARKER: "comment"}
    markers = dict.fromkeys(each.marker for each in header_segments(notes, 0))
    found = [names[marker] for marker in markers if marker in names]
    return [*found, *(["motion video"] if video_of(notes) else [])]


def whole_xmp(xmp: bytes | None, notes: bytes) -> tuple[bytes | None, bytes]:
    """Return XMP and notes of a JPEG, of which the XMP may be all in an extension.

    Such a packet, as ``metadata_segments`` writes it, becomes one again, for any container.
    """
    name = extension_of(xmp) if xmp else b""
    if not name or xmp != _POINTER % name:
        return xmp, notes
    parts, others = {}, []
    for each in header_segments(notes, 0):
        content = notes[each.start + 4 : each.stop]
        if each.marker == _EXIF_MARKER and len(content) > _EXTENSION_HEAD:
            (offset,) = struct.unpack_from(">I", content, _EXTENSION_HEAD - 4)
            parts[offset] = content[_EXTENSION_HEAD:]
        else:
            others.append(notes[each.start : each.stop])
    packet = b"".join(parts[offset] for offset in sorted(parts))
    if not packet or _guid(packet) != name:
        return xmp, notes
    video = video_of(notes)
    return packet, b"".join([*others, _END + video if video else b""])


def metadata_segments(picture: Picture, notes: bytes) -> bytes:
    """Return the segments with a picture's metadata, in the order that readers expect.

    Args:
        picture: Picture whose EXIF, XMP and profile are written.
        notes: What ``kept_notes`` has returned.
    """
    own = list(header_segments(notes, 0))
    density = [notes[each.start : each.stop] for each in own if each.marker == _JFIF_MARKER]
    others = [notes[each.start : each.stop] for each in own if each.marker != _JFIF_MARKER]
    return b"".join(
        [
            *density[:1],
            *_exif(picture.exif),
            *_xmp(picture.xmp),
            *_profile(picture.icc),
            *others,
        ]
    )


def _exif(exif: bytes | None) -> list[bytes]:
    most = _LONGEST - len(EXIF_HEADER)
    if exif and len(exif) > most:
        exif, lost = shortened(exif, most)
        if exif is None:
            note_loss("its EXIF, which is damaged and too long for a JPEG")
        elif lost:
            note_loss(f"of its EXIF the {in_words(lost)}: a JPEG holds 64 kB")
    return [segment(_EXIF_MARKER, EXIF_HEADER + exif)] if exif else []


def _xmp(xmp: bytes | None) -> list[bytes]:
    if not xmp:
        return []
    if len(_XMP) + len(xmp) <= _LONGEST:
        return [segment(_EXIF_MARKER, _XMP + xmp)]
    if len(xmp) > _LONGEST_XMP:
        note_loss("its XMP, which is too long for a JPEG")
        return []
    packet = _without_wrapper(xmp)
    name = _guid(packet)
    parts = [_XMP + _POINTER % name]
    for start in range(0, len(packet), _EXTENSION_PART):
        head = _EXTENSION + name + struct.pack(">II", len(packet), start)
        parts.append(head + packet[start : start + _EXTENSION_PART])
    return [segment(_EXIF_MARKER, part) for part in parts]


def _without_wrapper(xmp: bytes) -> bytes:
    """Return a packet without the processing instructions around it, which an extension lacks."""
    start = xmp.find(b"?>") + 2 if xmp.lstrip().startswith(b"<?xpacket") else 0
    end = xmp.rfind(b"<?xpacket end")
    return xmp[start : end if end > start else None].strip()


def _guid(packet: bytes) -> bytes:
    return hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()


def _profile(icc: bytes | None) -> list[bytes]:
    if not icc:
        return []
    parts = [icc[start : start + _PROFILE_PART] for start in range(0, len(icc), _PROFILE_PART)]
    return [
        segment(_PROFILE_MARKER, _PROFILE + bytes((number, len(parts))) + part)
        for number, part in enumerate(parts, 1)
    ]
