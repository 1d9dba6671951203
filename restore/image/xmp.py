"""XMP packets that claim what a new file does not hold: a video, a gain map, a turn, an extension.

The packet is edited as text, and only where such a claim is: all else stays byte for byte.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "Claims",
    "claims_of",
    "extension_of",
    "video_length",
    "without_claims",
    "xmp_with_orientation",
]

_CAMERA = b"http://ns.google.com/photos/1.0/camera/"
_CONTAINER = b"http://ns.google.com/photos/1.0/container/"
_GAIN_MAPS = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"http://ns.apple.com/HDRGainMap/1.0/")
_OPPO_CAMERA = b"http://ns.oplus.com/photos/1.0/camera/"
_TIFF = b"http://ns.adobe.com/tiff/1.0/"
_NOTE = b"http://ns.adobe.com/xmp/note/"
_VIDEO_NAMES = (rb"MotionPhoto\w*", rb"MicroVideo\w*")
_OPPO_NAMES = (rb"MotionPhoto\w*", rb"OLivePhoto\w*", rb"VideoLength")
_MOST_PREFIXES = 4
_NUMBER = rb"\s*(?:=\s*[\"']|>)\s*(\d{1,12})"
_GUID = rb"\s*(?:=\s*[\"']|>)\s*([0-9A-Fa-f]{32})"
_ITEM = re.compile(rb"<rdf:li\b")
_ITEM_END = b"</rdf:li>"
_VIDEO_ITEM = re.compile(rb"Semantic\s*(?:=\s*[\"']|>)\s*MotionPhoto")
_GAIN_MAP_ITEM = re.compile(rb"Semantic\s*(?:=\s*[\"']|>)\s*GainMap")


@dataclass(frozen=True)
class Claims:
    """What a packet says is in its file beside the picture and the packet."""

    video: bool = False
    gain_map: bool = False
    extension: bool = False


def claims_of(xmp: bytes) -> Claims:
    """Return what a packet claims."""
    videos = _named(xmp, _CAMERA, _VIDEO_NAMES)
    gain_maps = [name for space in _GAIN_MAPS for name in _named(xmp, space, (rb"\w+",))]
    items = [xmp[start:end] for start, end in _items(xmp)]
    return Claims(
        video=any(re.search(name, xmp) for name in videos)
        or any(_VIDEO_ITEM.search(item) for item in items),
        gain_map=any(re.search(name, xmp) for name in gain_maps)
        or any(_GAIN_MAP_ITEM.search(item) for item in items),
        extension=extension_of(xmp) != b"",
    )


def xmp_with_orientation(xmp: bytes | None, orientation: int) -> bytes | None:
    """Return a packet with its orientation replaced, if it states one; nothing else changes."""
    for name in _named(xmp, _TIFF, (rb"Orientation",)) if xmp else ():
        stated = b"(" + name + rb"\s*(?:=\s*[\"']|>)\s*)[1-8]\b"
        xmp = re.sub(stated, rb"\g<1>%d" % orientation, xmp or b"")
    return xmp


def video_length(xmp: bytes) -> int:
    """Return the bytes at the end of the file that a packet says are a video; 0 if none."""
    for name in _named(xmp, _CAMERA, (rb"MicroVideoOffset",)):
        if found := re.search(name + _NUMBER, xmp):
            return int(found[1])
    for start, end in _items(xmp):
        item = xmp[start:end]
        if _VIDEO_ITEM.search(item) and (found := re.search(rb":Length" + _NUMBER, item)):
            return int(found[1])
    return 0


def extension_of(xmp: bytes) -> bytes:
    """Return the name of the extension that a packet says it has, 32 digits, or b""."""
    for name in _named(xmp, _NOTE, (rb"HasExtendedXMP",)):
        if found := re.search(name + _GUID, xmp):
            return found[1]
    return b""


def without_claims(xmp: bytes, claims: Claims) -> bytes:
    """Return a packet without these claims."""
    if claims.video:
        xmp = _without(xmp, _named(xmp, _CAMERA, _VIDEO_NAMES))
        xmp = _without(xmp, _named(xmp, _OPPO_CAMERA, _OPPO_NAMES))
        xmp = _without_items(xmp, _VIDEO_ITEM)
    if claims.gain_map:
        for space in _GAIN_MAPS:
            xmp = _without(xmp, _named(xmp, space, (rb"\w+",)))
        xmp = _without_items(xmp, _GAIN_MAP_ITEM)
    if claims.extension:
        xmp = _without(xmp, _named(xmp, _NOTE, (rb"HasExtendedXMP",)))
    return xmp


def _prefixes(xmp: bytes, space: bytes) -> list[bytes]:
    """Return the prefixes that are bound to a name space."""
    return re.findall(rb"xmlns:([\w.-]{1,64})\s*=\s*[\"']" + re.escape(space) + rb"[\"']", xmp)


def _named(xmp: bytes, space: bytes, names: Sequence[bytes]) -> list[bytes]:
    """Return patterns of the qualified names in a packet."""
    return [
        rb"\b" + re.escape(prefix) + rb":" + name
        for prefix in list(dict.fromkeys(_prefixes(xmp, space)))[:_MOST_PREFIXES]
        for name in names
    ]


def _without(xmp: bytes, names: Sequence[bytes]) -> bytes:
    """Return a packet without the attributes and elements of these names."""
    for name in names:
        xmp = re.sub(rb"(?<!\s)\s+" + name + rb"\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')", b"", xmp)
        xmp = _without_elements(xmp, name)
    return xmp


def _without_elements(xmp: bytes, name: bytes) -> bytes:
    parts, position = [], 0
    for opening in re.finditer(rb"<(" + name + rb")(?![\w.-])[^<>]*>", xmp):
        if opening.start() < position:
            continue
        end = opening.end()
        if not opening[0].endswith(b"/>"):
            closing = b"</" + opening[1] + b">"
            end = xmp.find(closing, end) + len(closing)
            if end < len(closing):
                break  # no packet that an XML parser takes
        parts.append(xmp[position : opening.start()])
        position = end
    return b"".join([*parts, xmp[position:]])


def _without_items(xmp: bytes, kind: re.Pattern[bytes]) -> bytes:
    """Return a packet whose container lists no items of a kind, or is gone if it lists one at most.

    What is left then is the picture itself.
    """
    items = list(_items(xmp))
    dropped = [place for place in items if kind.search(xmp[slice(*place)])]
    if not dropped:
        return xmp
    if len(items) - len(dropped) <= 1:
        return _without(xmp, _named(xmp, _CONTAINER, (rb"Directory",)))
    for start, end in reversed(dropped):
        xmp = xmp[:start] + xmp[end:]
    return xmp


def _items(xmp: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the items of the container's directory."""
    for name in _named(xmp, _CONTAINER, (rb"Directory",)):
        opening = re.search(rb"<(" + name + rb")\b[^<>]*>", xmp)
        if opening is None:
            continue
        last = xmp.find(b"</" + opening[1] + b">", opening.end())
        position = opening.end()
        while (item := _ITEM.search(xmp, position, max(last, position))) is not None:
            end = xmp.find(_ITEM_END, item.end(), last) + len(_ITEM_END)
            if end < len(_ITEM_END):
                # An item may hold all in attributes of its own.
                end = xmp.find(b"/>", item.end(), last) + 2
                if end < 2:
                    return
            yield item.start(), end
            position = end
