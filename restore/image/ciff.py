"""CIFF, the container of Canon's CRW files: what it says of the shot.

Canon, "CIFF Specification on Image Data File", version 1.0: heaps of records, each with its
directory at the end.
"""

import struct
import time
from typing import BinaryIO

from restore.image.shot import Shot

__all__ = ["read_ciff"]

_MOST_HEAPS, _MOST_RECORDS = 32, 200
_MOST_RECORD_BYTES = 4096
_HEAPS = (0x28, 0x30)
_MAKE_AND_MODEL, _TIME, _IMAGE, _SHOT, _FOCAL, _SETTINGS = (
    *(0x080A, 0x180E, 0x1810, 0x102A, 0x1029, 0x102D),
)
_INLINE = 0x4000
_MOST_STOPS = 20
_ORIENTATIONS = {0: 1, 90: 6, 180: 3, 270: 8}


def read_ciff(file: BinaryIO) -> Shot:
    """Return what a CRW file says of its shot, as far as it is whole."""
    file.seek(0)
    head = file.read(6)
    (start,) = struct.unpack_from("<I", head, 2) if len(head) == 6 else (0,)
    records = _records(file, start, file.seek(0, 2))
    make, _, model = records.get(_MAKE_AND_MODEL, b"").partition(b"\x00")
    shot, settings = (_shorts(records.get(tag, b"")) for tag in (_SHOT, _SETTINGS))
    focal = _shorts(records.get(_FOCAL, b""))
    taken = records.get(_TIME, b"")[:4].ljust(4, b"\x00")
    (seconds,) = struct.unpack("<I", taken)
    image = records.get(_IMAGE, b"")
    (rotation,) = struct.unpack_from("<i", image, 12) if len(image) >= 16 else (None,)
    auto_iso, base_iso, aperture, exposure = _stops(shot, (1, 2, 4, 5))
    return Shot(
        make=_text(make),
        model=_text(model),
        lens=_lens(settings),
        exposure_time_s=2**-exposure if exposure is not None else None,
        aperture=2 ** (aperture / 2) if aperture else None,
        iso=2 ** (auto_iso + base_iso) * 100 / 32 if base_iso and auto_iso is not None else None,
        focal_length_mm=float(focal[1]) if len(focal) > 1 and focal[1] > 0 else None,
        # The camera's own clock, without a time zone.
        taken=time.strftime("%Y:%m:%d %H:%M:%S", time.gmtime(seconds)) if seconds else "",
        orientation=_ORIENTATIONS.get(rotation % 360) if rotation is not None else None,
    )


def _records(file: BinaryIO, start: int, stop: int) -> dict[int, bytes]:
    """Return the records of a heap, and those of the heaps in it."""
    records: dict[int, bytes] = {}
    waiting, seen = [(start, stop)], 0
    # Heaps may overlap, so that a few bytes could ask for any number of them.
    while waiting and seen < _MOST_HEAPS:
        start, stop = waiting.pop()
        seen += 1
        for kind, data in _entries(file, start, stop):
            size, offset = struct.unpack("<II", data)
            place = start + offset
            if kind & 0xC000 == _INLINE:
                records.setdefault(kind & 0x3FFF, data)
            elif place + size > stop:
                continue
            elif kind >> 8 & 0x38 in _HEAPS:
                waiting.append((place, place + size))
            elif size <= _MOST_RECORD_BYTES:
                file.seek(place)
                records.setdefault(kind, file.read(size))
    return records


def _entries(file: BinaryIO, start: int, stop: int) -> list[tuple[int, bytes]]:
    """Return type and eight bytes of each record in the directory of a heap."""
    if stop - start < 6:
        return []
    file.seek(stop - 4)
    (place,) = struct.unpack("<I", file.read(4).ljust(4, b"\x00"))
    file.seek(start + place)
    (count,) = struct.unpack("<H", file.read(2).ljust(2, b"\x00"))
    directory = file.read(10 * min(count, _MOST_RECORDS))
    return list(struct.iter_unpack("<H8s", directory[: len(directory) // 10 * 10]))


def _shorts(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 2}h", data[: len(data) // 2 * 2])


def _stops(shot: tuple[int, ...], places: tuple[int, ...]) -> list[float | None]:
    """Return numbers in stops: they are stored in parts of 32, and damaged beyond 20 of them."""
    found = (shot[place] / 32 if place < len(shot) else None for place in places)
    return [stops if stops is not None and abs(stops) <= _MOST_STOPS else None for stops in found]


def _lens(settings: tuple[int, ...]) -> str:
    """Return the range of focal lengths, which is all that these files say."""
    if len(settings) < 26 or min(settings[23:26]) <= 0:
        return ""
    longest, shortest = (round(each / settings[25]) for each in settings[23:25])
    return f"{shortest} mm" if longest == shortest else f"{shortest}-{longest} mm"


def _text(data: bytes) -> str:
    return data.split(b"\x00")[0].decode("latin-1").strip()
