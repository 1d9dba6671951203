"""EXIF goes byte for byte into every container that holds blocks; what is lost is told."""

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.errors import OutputError
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.exif_block import (
    MAKER_NOTE,
    ExifParts,
    block_of,
    exif_parts,
    is_whole,
    shortened,
)
from restore.image.ifd import ByteOrder, Entry, items_of
from restore.image.losses import losses
from restore.image.metadata import orientation_of, with_orientation
from restore.image.picture import Picture, Transfer
from restore.image.tiff_exif import exif_of_tiff

TIFF, PNG, JPEG, WEBP, AVIF, PPM = (
    *(ImageFormat.TIFF, ImageFormat.PNG, ImageFormat.JPEG),
    *(ImageFormat.WEBP, ImageFormat.AVIF, ImageFormat.PPM),
)
ARTIST, ORIENTATION, USER_COMMENT = 0x013B, 0x0112, 0x9286
ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7
SERIAL = 0x0001
NOTE_PLACE = 600

needs_exiftool = pytest.mark.skipif(not shutil.which("exiftool"), reason="needs exiftool")


def note_at(place: int, order: ByteOrder) -> bytes:
    """Return a maker's note like Canon's: a directory with an offset from the block's start."""
    entry = struct.pack(f"{order}HHII", SERIAL, SHORT, 8, place + 2 + 12 + 4)
    return struct.pack(f"{order}H", 1) + entry + bytes(4) + struct.pack(f"{order}8H", *range(8))


def exif(order: ByteOrder, *, comment: bytes = b"") -> bytes:
    """Return a block with text that is not ASCII, a comment in UTF-16 and a maker's note."""
    comment = comment or b"UNICODE\x00" + "Zürich".encode(
        "utf-16-le" if order == "<" else "utf-16-be"
    )
    block = block_of(
        ExifParts(
            order=order,
            main={
                ORIENTATION: Entry(SHORT, 1, struct.pack(f"{order}H", 6)),
                ARTIST: Entry(ASCII, 5, "Zoë".encode() + b"\x00"),
            },
            details={
                MAKER_NOTE: Entry(UNDEFINED, 34, note_at(NOTE_PLACE, order), NOTE_PLACE),
                USER_COMMENT: Entry(UNDEFINED, len(comment), comment),
            },
            gps={1: Entry(ASCII, 2, b"N\x00")},
            interoperability={1: Entry(ASCII, 4, b"R98\x00")},
        )
    )
    assert block is not None
    assert is_whole(block)
    return block


def serial_of(file: io.BytesIO, offset: int | None = None) -> tuple[int, ...]:
    """Return what the maker's note holds, found as its maker's software finds it."""
    parts = exif_parts(file, offset)
    assert parts is not None
    note = parts.details[MAKER_NOTE]
    _, _, count, place = struct.unpack_from(f"{parts.order}HHII", note.data, 2)
    file.seek(place)
    return struct.unpack(f"{parts.order}{count}H", file.read(2 * count))


def picture_with(block: bytes | None, **fields: object) -> Picture:
    pixels = np.full((3, 16, 24), 0.5, np.float32)
    return Picture(pixels=pixels, exif=block, orientation=orientation_of(block), **fields)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("image_format", [PNG, JPEG, WEBP, AVIF])
def test_a_block_goes_byte_for_byte(image_format: ImageFormat, order: ByteOrder) -> None:
    block = exif(order)
    once = decode(encode(picture_with(block), image_format))
    assert once.exif == block
    for other in (PNG, JPEG, WEBP, AVIF):
        assert decode(encode(once, other)).exif == block


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("image_format", [ImageFormat.HEIC, ImageFormat.JXL])
def test_of_an_upright_picture_only_the_orientation_changes(
    image_format: ImageFormat, order: ByteOrder
) -> None:
    """HEIC and JPEG XL are decoded upright."""
    for block in (exif(order), exif(order)[:-20]):
        try:
            read = decode(encode(picture_with(block), image_format))
        except OutputError as error:
            pytest.skip(str(error))
        assert (read.exif, read.orientation) == (with_orientation(block, 1), 1)


@pytest.mark.parametrize("image_format", [PNG, WEBP, AVIF, JPEG])
def test_a_block_that_is_cut_short_keeps_its_bytes_and_orientation(
    image_format: ImageFormat,
) -> None:
    block = exif("<")[:-20]
    read = decode(encode(picture_with(block), image_format))
    assert (read.exif, read.orientation) == (block, 6)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_holds_the_block_where_its_offsets_are_right(order: ByteOrder) -> None:
    block = exif(order)
    for bit_depth in (8, 16):
        picture = picture_with(block, bit_depth=bit_depth)
        data = encode(picture, TIFF)
        assert data[8 : len(block)] == block[8:]
        assert serial_of(io.BytesIO(data)) == tuple(range(8))
        read = decode(data)
        np.testing.assert_allclose(read.pixels, picture.pixels, atol=1 / 255)
        assert read.exif is not None
        for twice in (read, decode(encode(read, TIFF))):
            parts, original = (
                exif_parts(io.BytesIO(twice.exif or b"")),
                exif_parts(io.BytesIO(block)),
            )
            assert parts is not None
            assert original is not None
            assert serial_of(io.BytesIO(twice.exif or b"")) == tuple(range(8))
            assert parts.details[USER_COMMENT].data == original.details[USER_COMMENT].data
            assert parts.main[ARTIST].data == "Zoë".encode() + b"\x00"
            assert (parts.gps[1].data, parts.interoperability[1].data) == (b"N\x00", b"R98\x00")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16, -16, -32])
def test_other_software_reads_the_samples_in_either_order(bits: int, order: ByteOrder) -> None:
    samples = np.random.default_rng(0).random((3, 70, 90), dtype=np.float32)
    peak = 1 if bits < 0 else 2**bits - 1
    stored = samples.astype(f"f{-bits // 8}") if bits < 0 else np.rint(samples * peak)
    pixels = (stored / np.float32(peak)).astype(np.float32)
    kinds = {"bit_depth": abs(bits), "is_float": bits < 0}
    transfer = Transfer.LINEAR if bits < 0 else Transfer.SRGB
    picture = Picture(pixels=pixels, exif=exif(order), orientation=6, transfer=transfer, **kinds)
    data = encode(picture, TIFF)
    assert data[:2] == (b"II" if order == "<" else b"MM")
    for read in (tifffile.imread(io.BytesIO(data)), imagecodecs.tiff_decode(data)):
        np.testing.assert_array_equal(read, stored.transpose(1, 2, 0))


def test_a_note_far_back_in_a_tiff_takes_its_offsets_along() -> None:
    """Other software puts it at the end, and offsets with it."""
    order: ByteOrder = "<"
    far = 300_000
    front = bytearray(exif(order))
    data = bytes(front) + bytes(far - len(front)) + note_at(far, order)
    parts = exif_parts(io.BytesIO(data))
    assert parts is not None
    place = data.index(struct.pack("<HHII", MAKER_NOTE, UNDEFINED, 34, NOTE_PLACE))
    moved = data[: place + 8] + struct.pack("<I", far) + data[place + 12 :]
    block = exif_of_tiff(io.BytesIO(moved))
    assert block is not None
    assert len(block) < 2000
    assert serial_of(io.BytesIO(block)) == tuple(range(8))


def test_of_a_cut_block_a_tiff_holds_what_is_there() -> None:
    whole = exif("<")
    parts = exif_parts(io.BytesIO(whole[:-20]))
    assert parts is not None
    data = encode(picture_with(whole[:-20]), TIFF)
    read = exif_parts(io.BytesIO(data))
    assert read is not None
    assert {tag: entry.data for tag, entry in read.details.items() if tag != MAKER_NOTE} == {
        tag: entry.data for tag, entry in parts.details.items() if tag != MAKER_NOTE
    }


def test_random_blocks_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    block = bytearray(exif(">"))
    for _ in range(300):
        damaged = bytearray(block)
        for place in rng.integers(0, len(block), 3):
            damaged[place] = rng.integers(256)
        parts = exif_parts(io.BytesIO(bytes(damaged)))
        if parts:
            block_of(parts)
        is_whole(bytes(damaged))
        shortened(bytes(damaged), 200)


def test_a_block_that_points_to_itself_is_not_whole() -> None:
    block = bytearray(exif("<"))
    parts = exif_parts(io.BytesIO(bytes(block)))
    assert parts is not None
    at = block.index(struct.pack("<HHI", 0x8769, LONG, 1))
    block[at + 8 : at + 12] = block[4:8]
    assert not is_whole(bytes(block))


def test_a_long_block_loses_its_thumbnail_first() -> None:
    image = Image.Exif()
    image[ARTIST] = "Zoe"
    main = block_of(ExifParts(order="<", main={ARTIST: Entry(ASCII, 4, b"Zoe\x00")}))
    assert main is not None
    # A second directory with one long value, as a thumbnail is.
    end = len(main)
    thumbnail = struct.pack("<HHHII", 1, 0x0201, UNDEFINED, 70_000, end + 18) + bytes(4 + 70_000)
    at = 8 + 2 + 12
    block = main[:at] + struct.pack("<I", end) + main[at + 4 :] + thumbnail
    with losses() as lost:
        read = decode(encode(picture_with(block), JPEG))
    assert lost == ["of its EXIF the thumbnail: a JPEG holds 64 kB"]
    assert read.exif == main


def test_a_long_block_that_cannot_be_read_is_left_out() -> None:
    with losses() as lost:
        read = decode(encode(picture_with(bytes(70_000)), JPEG))
    assert lost == ["its EXIF, which is damaged and too long for a JPEG"]
    assert read.exif is None


def test_values_that_overlap_take_no_more_memory_than_the_file_has() -> None:
    count, size = 4000, 1 << 20
    entries = (struct.pack("<HHII", 40_000 + n, UNDEFINED, size, 8) for n in range(count))
    block = b"II*\x00" + struct.pack("<I", size) + bytes(size - 8)
    block += struct.pack("<H", count) + b"".join(entries) + bytes(4)
    parts = exif_parts(io.BytesIO(block))
    assert parts is not None
    assert sum(len(entry.data) for entry in parts.main.values()) <= len(block)


@pytest.mark.parametrize("image_format", [PPM, ImageFormat.EXR, ImageFormat.HDR])
def test_what_a_container_does_not_hold_is_one_line(image_format: ImageFormat) -> None:
    picture = picture_with(exif("<"), xmp=b"<x:xmpmeta/>")
    with losses() as lost:
        encode(picture, image_format)
    assert lost == ["its EXIF and XMP"]
    with losses() as lost:
        encode(picture, image_format, strip_metadata=True)
    assert lost == []


def test_texts_of_a_png_are_told() -> None:
    picture = picture_with(None, format=PNG, notes=b"\x00\x00\x00\x00tEXt")
    for image_format, expected in ((JPEG, ["its texts"]), (PNG, [])):
        with losses() as lost:
            encode(picture, image_format)
        assert lost == expected


@needs_exiftool
@pytest.mark.parametrize("name", ["CanonRaw.cr2", "Nikon.nef"])
@pytest.mark.parametrize("image_format", [TIFF, PNG, JPEG, WEBP, AVIF])
def test_exiftool_reads_every_tag_of_makers(
    name: str, image_format: ImageFormat, shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "raw" / "metadata_only" / name
    with source.open("rb") as file:
        block = exif_of_tiff(file)
    path = tmp_path / f"written.{image_format}"
    path.write_bytes(encode(picture_with(block), image_format))
    before, after = by_exiftool(source), by_exiftool(path)
    # An offset in the file of the block, where exiftool counts from that file's start.
    before.pop("PreviewIFD:PreviewImageStart", None)
    assert len(before) > 80
    assert {key: after.get(key) for key in before} == before


def by_exiftool(path: Path) -> dict[str, object]:
    command = ["exiftool", "-j", "-G1", "-n", "-MakerNotes:all", "-ExifIFD:all", "-GPS:all"]
    text = subprocess.run([*command, str(path)], capture_output=True, check=True, text=True).stdout
    found = json.loads(text)[0]
    assert isinstance(found, dict)
    return {key: value for key, value in found.items() if key != "SourceFile"}


def test_items_are_read_in_their_byte_order() -> None:
    assert items_of(Entry(SHORT, 2, b"\x00\x01\x00\x02"), ">") == (1, 2)
    assert items_of(Entry(LONG, 1, b"\x01\x00\x00\x00"), "<") == (1,)
