"""EXIF and XMP of the RAW files of all makers, beside what exiftool reads in them."""

import io
import json
import random
import struct
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from restore.image.dng_reader import read_dng
from restore.image.exif_block import MAKER_NOTE, ExifParts, block_of, exif_parts
from restore.image.ifd import directory_bytes, entry_of, tiff_header
from restore.image.isobmff import box
from restore.image.metadata import EXIF_HEADER, exif_directories
from restore.image.raw_metadata import read_raw_metadata
from restore.image.shot import Shot, completed_exif, maker_and_model

EXPOSURE, F_NUMBER, ISO, TAKEN, FOCAL, LENS = 33434, 33437, 34855, 36867, 37386, 42036
_SHOT = {EXPOSURE: [1 / 50], F_NUMBER: [2.8], ISO: [800], FOCAL: [35.0]}
FILES = (
    *("CanonRaw.cr2", "CanonRaw.cr3", "CanonRaw.crw", "FujiFilm.raf", "Minolta.mrw", "Nikon.nef"),
    "Panasonic.rw2",
)
SAID = ("Make", "Model", "ExposureTime", "ISO", "FNumber", "FocalLength", "DateTimeOriginal")


def block(order: str = "<", note: bytes = b"") -> bytes:
    """An EXIF block of a camera."""
    kinds = {EXPOSURE: 5, F_NUMBER: 5, ISO: 3, FOCAL: 5}
    details = {tag: entry_of(kinds[tag], values, order) for tag, values in _SHOT.items()}
    details[TAKEN] = entry_of(2, b"2024:05:01 12:00:00\x00", order)
    if note:
        details[MAKER_NOTE] = entry_of(7, note, order)
    main = {
        271: entry_of(2, b"Maker\x00", order),
        272: entry_of(2, b"Model 5\x00", order),
        274: entry_of(3, [6], order),
    }
    assert order in ("<", ">")
    whole = block_of(ExifParts("<" if order == "<" else ">", main, details))
    assert whole is not None
    return whole


def app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def jpeg(exif: bytes, xmp: bytes = b"<xmp/>") -> bytes:
    parts = [app1(EXIF_HEADER + exif), app1(b"http://ns.adobe.com/xap/1.0/\x00" + xmp)]
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xda\x00\x02"


def fuji() -> bytes:
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\x00") + struct.pack(">II", 148, 999)
    return head.ljust(148, b"\x00") + jpeg(block())


def minolta() -> bytes:
    blocks = b"\x00PRD" + struct.pack(">I", 4) + b"size"
    tiff = block(">")
    blocks += b"\x00TTW" + struct.pack(">I", len(tiff)) + tiff
    return b"\x00MRM" + struct.pack(">I", len(blocks)) + blocks


def panasonic() -> bytes:
    data = jpeg(block())
    directory = {0x2E: entry_of(7, data, "<")}
    written = tiff_header("<", 8) + directory_bytes(directory, "<", {0x2E: 26}) + data
    return b"IIU\x00" + written[4:]


def canon() -> bytes:
    parts = exif_parts(io.BytesIO(block()))
    assert parts is not None

    def tiff(directory: dict[int, Any]) -> bytes:
        whole = block_of(ExifParts("<", directory))
        assert whole is not None
        return whole

    # A note of one value that lies at offset 26, counted from the header of its own TIFF.
    text = entry_of(2, b"Camera 5 RAW\x00", "<")
    note = tiff_header("<", 8) + directory_bytes({6: text}, "<", {6: 26}) + text.data
    boxes = [
        box(b"CMT1", tiff(parts.main)),
        box(b"CMT2", tiff(parts.details)),
        box(b"CMT3", note),
    ]
    uuid = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    xmp = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<xmp/>"
    movie = box(b"moov", box(b"uuid", uuid + b"".join(boxes)))
    return (
        box(b"ftyp", b"crx \x00\x00\x00\x01") + movie + box(b"uuid", xmp) + box(b"mdat", b"0" * 99)
    )


def tiff_ep() -> bytes:
    """A TIFF with the shot in its first directory, as ISO 12234-2 has it."""
    parts = exif_parts(io.BytesIO(block()))
    assert parts is not None
    xmp = {700: entry_of(1, b"<xmp/>", "<")}
    whole = block_of(ExifParts("<", parts.main | parts.details | xmp))
    assert whole is not None
    return whole


MADE = {
    "raf": fuji,
    "mrw": minolta,
    "rw2": panasonic,
    "cr3": canon,
    "tiff/ep": tiff_ep,
}


@pytest.mark.parametrize("kind", MADE)
def test_exif_is_found_in_every_container(kind: str) -> None:
    found = read_raw_metadata(io.BytesIO(MADE[kind]()))
    assert found.exif is not None
    main, details, _ = exif_directories(found.exif)
    assert (main[271], main[272], main[274]) == ("Maker", "Model 5", 6)
    for tag, (value,) in _SHOT.items():
        assert float(details[tag]) == pytest.approx(value, rel=1e-5)
    assert details[TAKEN] == "2024:05:01 12:00:00"
    if kind != "mrw":
        assert found.xmp == b"<xmp/>"


def test_the_offsets_of_canons_notes_stay_right() -> None:
    found = read_raw_metadata(io.BytesIO(canon()))
    parts = exif_parts(io.BytesIO(found.exif or b""))
    assert parts is not None
    note = parts.details[MAKER_NOTE]
    assert note.place == 8
    (offset,) = struct.unpack_from("<I", note.data, 2 + 8)
    assert (found.exif or b"")[offset : offset + 12] == b"Camera 5 RAW"


@pytest.mark.parametrize("name", FILES)
def test_samples_say_what_exiftool_reads(shared_data: Path, tmp_path: Path, name: str) -> None:
    if which("exiftool") is None:
        pytest.skip("exiftool is not there")
    path = shared_data / "raw/metadata_only" / name
    with path.open("rb") as file:
        found = read_raw_metadata(file)
    (tmp_path / "exif.tif").write_bytes(found.exif or b"")
    wanted, got = (
        json.loads(subprocess.check_output(["exiftool", "-j", "-n", "-a", each]))[0]
        for each in (path, tmp_path / "exif.tif")
    )
    for tag in SAID:
        # Those of CRW are rounded as cameras show them, and not by exiftool.
        expected = pytest.approx(wanted[tag], rel=0.08) if tag[0] in "EIF" else wanted[tag]
        assert got[tag] == expected, tag
    assert got["Orientation"] == wanted.get("Orientation", got["Orientation"])
    assert "Warning" not in got
    if not name.endswith(".crw"):
        notes = {"Canon": "OwnerName", "Nikon": "Quality", "Minolt": "ImageStabilization"}
        tag = notes.get(name[:6].rstrip("R"), "Sharpness")
        assert got.get(tag) == wanted.get(tag)
    else:
        assert got["LensModel"] == "18-55 mm"


def test_what_exif_lacks_comes_from_elsewhere() -> None:
    bare = block_of(ExifParts("<", {271: entry_of(2, b"Maker\x00", "<")}))
    shot = Shot(make="Other", model="Model 5", lens="50 mm", exposure_time_s=0.01, iso=100.0)
    completed = completed_exif(bare, shot)
    assert completed is not None
    main, details, _ = exif_directories(completed)
    assert (main[271], main[272]) == ("Maker", "Model 5")
    assert (float(details[EXPOSURE]), details[ISO], details[LENS]) == (0.01, 100, "50 mm")
    assert maker_and_model(completed) == ("Maker", "Model 5")
    assert completed_exif(None, Shot()) is None
    assert completed_exif(None, Shot(orientation=6)) is None


@pytest.mark.parametrize("inverse", [3, 60, 8000, 16000, 32000, 180000])
def test_no_exposure_is_too_short_to_be_stated(inverse: int) -> None:
    completed = completed_exif(None, Shot(exposure_time_s=1 / inverse))
    assert completed is not None
    assert float(exif_directories(completed)[1][EXPOSURE]) == pytest.approx(1 / inverse, rel=1e-6)


def test_a_whole_block_is_kept_byte_for_byte() -> None:
    whole = block(note=b"a maker's note")
    shot = Shot(make="x", model="y", exposure_time_s=1, iso=1, aperture=1, focal_length_mm=1)
    assert completed_exif(whole, shot) is whole


class _Counted(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


def test_heaps_of_a_crw_may_contain_themselves() -> None:
    count = 200
    size = 2 + 10 * count + 4
    entry = struct.pack("<HII", 0x2800, size, 0)
    heap = struct.pack("<H", count) + count * entry + bytes(4)
    file = _Counted(b"II" + struct.pack("<I", 26) + b"HEAPCCDR" + bytes(12) + heap)
    read_raw_metadata(file)
    assert file.reads < 1000


def test_damaged_files_of_every_kind_are_read_as_far_as_possible() -> None:
    """No damage raises, or takes memory for numbers that are not true."""
    rng = random.Random(0)
    files = [make() for make in MADE.values()]
    for _ in range(600):
        changed = bytearray(rng.choice(files))
        if rng.random() < 0.3:
            del changed[rng.randrange(len(changed)) :]
        for _ in range(rng.choice((1, 3, 30))):
            if changed:
                place = rng.randrange(len(changed))
                changed[place] = rng.choice((0, 1, 255, rng.randrange(256)))
        found = read_raw_metadata(io.BytesIO(bytes(changed)))
        assert len(found.exif or b"") <= 4 * len(changed) + 4096
        read_dng(io.BytesIO(bytes(changed)))
