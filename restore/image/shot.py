"""How a photograph was taken, where a RAW file has no EXIF that says so."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from restore.image.exif_block import ExifParts, block_of, exif_parts
from restore.image.ifd import Entry, ValueType, entry_of
from restore.image.metadata import ORIENTATION

__all__ = ["Shot", "completed_exif", "maker_and_model"]

_MAKE, _MODEL = 271, 272
_DATE_TIME = 306
_EXPOSURE_TIME, _F_NUMBER, _ISO, _DATE_TIME_ORIGINAL = 33434, 33437, 34855, 36867
_FOCAL_LENGTH, _LENS_MODEL = 37386, 42036
_MOST_ISO = 65535
_MOST_DENOMINATOR = 10_000


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What is known of a photograph; None or "" for what is not.

    Attributes:
        make, model: Maker and camera.
        lens: Name of the lens.
        exposure_time_s, iso, aperture, focal_length_mm: Exposure time in seconds, ISO speed,
            f-number and focal length in millimetres.
        taken: Date and time as EXIF writes them, ``2024:05:01 12:00:00``.
        orientation: EXIF orientation 1..8.
    """

    make: str = ""
    model: str = ""
    lens: str = ""
    exposure_time_s: float | None = None
    iso: float | None = None
    aperture: float | None = None
    focal_length_mm: float | None = None
    taken: str = ""
    orientation: int | None = None


def completed_exif(exif: bytes | None, shot: Shot) -> bytes | None:
    """Return an EXIF block with what it lacks of a shot; the very block if it lacks nothing."""
    parts = (exif_parts(io.BytesIO(exif)) if exif else None) or ExifParts("<")
    if _DATE_TIME_ORIGINAL in parts.details:
        shot = replace(shot, taken="")
    main = {tag: entry for tag, entry in _main(shot) if tag not in parts.main}
    details = {tag: entry for tag, entry in _details(shot, parts.order) if tag not in parts.details}
    if not details and not main:
        return exif
    if shot.orientation and ORIENTATION not in parts.main:
        main[ORIENTATION] = entry_of(ValueType.SHORT, [shot.orientation], parts.order)
    return block_of(replace(parts, main=parts.main | main, details=parts.details | details))


def maker_and_model(exif: bytes | None) -> tuple[str, str]:
    """Return the names of maker and camera in a block, "" for what it does not say."""
    parts = exif_parts(io.BytesIO(exif), None, {_MAKE, _MODEL}.__contains__) if exif else None
    if parts is None:
        return "", ""
    make, model = (
        parts.main[tag].data.split(b"\x00")[0].decode(errors="replace").strip()
        if tag in parts.main
        else ""
        for tag in (_MAKE, _MODEL)
    )
    return make, model


def _main(shot: Shot) -> Iterator[tuple[int, Entry]]:
    for tag, text in ((_MAKE, shot.make), (_MODEL, shot.model), (_DATE_TIME, shot.taken)):
        if text:
            yield tag, _ascii(text)


def _details(shot: Shot, order: str) -> Iterator[tuple[int, Entry]]:
    for tag, value in (
        (_EXPOSURE_TIME, shot.exposure_time_s),
        (_F_NUMBER, shot.aperture),
        (_FOCAL_LENGTH, shot.focal_length_mm),
    ):
        if value and value > 0:
            yield tag, _rational(value, order)
    if shot.iso and 0 < shot.iso <= _MOST_ISO:
        yield _ISO, entry_of(ValueType.SHORT, [round(shot.iso)], order)
    if shot.taken:
        yield _DATE_TIME_ORIGINAL, _ascii(shot.taken)
    if shot.lens:
        yield _LENS_MODEL, _ascii(shot.lens)


def _ascii(text: str) -> Entry:
    data = text.encode() + b"\x00"
    return Entry(ValueType.ASCII, len(data), data)


def _rational(value: float, order: str) -> Entry:
    """Return a fraction as cameras write 1/60 and 28/10, short but for what is out of range."""
    if value * _MOST_DENOMINATOR < 2:  # of electronic shutters
        short = Fraction(1, round(1 / max(value, 1e-9)))
    else:
        short = Fraction(min(value, 1e5)).limit_denominator(_MOST_DENOMINATOR)
    return entry_of(ValueType.RATIONAL, [float(short)], order)
