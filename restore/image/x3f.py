"""X3F, the container of Sigma's Foveon sensors: its EXIF, or what its list of properties says."""

import struct
import time
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from restore.image.shot import Shot

__all__ = ["read_x3f"]

_MOST_SECTIONS = 64
_MOST_BYTES = 1 << 20
_MOST_TEXT = 512
_JPEG = 18
_PICTURE_HEAD = 28
_ROTATION = 36
_ORIENTATIONS = {0: 1, 90: 6, 180: 3, 270: 8}


def read_x3f(file: BinaryIO) -> tuple[bytes, Shot]:
    """Return the start of the JPEG in a file, or b"", and what it says of its shot."""
    jpeg, properties = b"", dict[str, str]()
    for kind, data in _sections(file):
        is_picture = kind in (b"IMAG", b"IMA2") and data.startswith(b"SECi")
        if is_picture and len(data) > _PICTURE_HEAD and data[12] == _JPEG:
            jpeg = jpeg or data[_PICTURE_HEAD:]
        elif kind == b"PROP" and data.startswith(b"SECp"):
            properties |= dict(_properties(data))
    file.seek(0)
    head = file.read(_ROTATION + 4).ljust(_ROTATION + 4, b"\x00")
    version, rotation = struct.unpack_from("<I", head, 4)[0], head[_ROTATION:]
    degrees = struct.unpack("<I", rotation)[0] if version >> 16 < 4 else 0
    seconds = _number(properties, "TIME")
    exposure = _number(properties, "SHUTTER")
    return jpeg, Shot(
        make=properties.get("CAMMANUF", ""),
        model=properties.get("CAMMODEL", ""),
        lens=_lens(properties),
        exposure_time_s=exposure,
        iso=_number(properties, "ISO"),
        aperture=_number(properties, "APERTURE"),
        focal_length_mm=_number(properties, "FLENGTH"),
        taken=time.strftime("%Y:%m:%d %H:%M:%S", time.gmtime(seconds)) if seconds else "",
        orientation=_ORIENTATIONS.get(degrees),
    )


def _sections(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type of each section and its bytes, of which the first megabyte is read."""
    end = file.seek(0, 2)
    file.seek(max(0, end - 4))
    (place,) = struct.unpack("<I", file.read(4).ljust(4, b"\x00"))
    file.seek(place)
    head = file.read(12)
    if len(head) < 12 or not head.startswith(b"SECd"):
        return
    (count,) = struct.unpack_from("<I", head, 8)
    entries = file.read(12 * min(count, _MOST_SECTIONS))
    for offset, size, kind in struct.iter_unpack("<II4s", entries[: len(entries) // 12 * 12]):
        file.seek(offset)
        yield kind, file.read(min(size, _MOST_BYTES))


def _properties(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield names and values: pairs of offsets into text of two bytes a character."""
    if len(data) < 24:
        return
    (count,) = struct.unpack_from("<I", data, 8)
    start = 24 + 8 * count
    text = data[start:]
    for name, value in struct.iter_unpack("<II", data[24 : min(start, len(data) // 8 * 8)]):
        yield _text(text, name), _text(text, value)


def _text(text: bytes, place: int) -> str:
    start = stop = 2 * place
    while stop - start < _MOST_TEXT and text[stop : stop + 2] not in (b"", b"\x00", b"\x00\x00"):
        stop += 2
    return text[start:stop].decode("utf-16-le", errors="replace").strip()


def _number(properties: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(properties.get(name, ""))
    except ValueError:
        return None
    return value if 0 < value < 2**32 else None


def _lens(properties: Mapping[str, str]) -> str:
    """Return the range of focal lengths; the model is a number that only Sigma can read."""
    return f"{properties['LENSFRANGE']} mm" if properties.get("LENSFRANGE") else ""
