"""EXIF and XMP that are longer than a segment of a JPEG."""

import io
import logging

import numpy as np
import pytest
from PIL import Image

from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.metadata import exif_directories, orientation_of
from restore.image.picture import Picture

MAKE, EXIF_IFD, ISO, MAKER_NOTE, USER_COMMENT = 0x010F, 0x8769, 0x8827, 0x927C, 0x9286


def exif(details: dict[int, object]) -> bytes:
    block = Image.Exif()
    block[MAKE], block[0x0112] = "Nikon", 6
    block.get_ifd(EXIF_IFD).update({ISO: 6400, **details})
    return block.tobytes().removeprefix(b"Exif\x00\x00")


def jpeg(*, exif: bytes | None = None, xmp: bytes | None = None) -> Picture:
    gray = np.full((3, 8, 8), 0.5, np.float32)
    picture = Picture(pixels=gray, orientation=orientation_of(exif), exif=exif, xmp=xmp)
    return decode(encode(picture, ImageFormat.JPEG))


def test_short_blocks_stay_as_they_are() -> None:
    block = exif({MAKER_NOTE: bytes(1000)})
    assert jpeg(exif=block).exif == block


def test_long_notes_of_the_maker_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        block = jpeg(exif=exif({MAKER_NOTE: bytes(70_000)})).exif
    assert block is not None
    main, details, _ = exif_directories(block)
    assert (main[MAKE], details[ISO], orientation_of(block)) == ("Nikon", 6400, 6)
    assert MAKER_NOTE not in details
    assert "maker's notes" in caplog.text


def test_the_longest_value_goes_and_the_rest_stays(caplog: pytest.LogCaptureFixture) -> None:
    long = exif({USER_COMMENT: b"ASCII\0\0\0" + bytes(70_000), MAKER_NOTE: bytes(1000)})
    with caplog.at_level(logging.WARNING):
        block = jpeg(exif=long).exif
    assert block is not None
    main, details, _ = exif_directories(block)
    assert (main[MAKE], details[ISO], orientation_of(block)) == ("Nikon", 6400, 6)
    assert details[MAKER_NOTE] == bytes(1000)
    assert USER_COMMENT not in details
    assert "of its EXIF the user comment" in caplog.text


def test_long_xmp_goes_on_in_an_extension(caplog: pytest.LogCaptureFixture) -> None:
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    assert jpeg(xmp=packet).xmp == packet
    long = packet[:-2] + b">" + b"<!-- %s -->" % (b"x" * 200_000) + b"</x:xmpmeta>"
    wrapped = b"<?xpacket begin=''?>\n" + long + b"\n<?xpacket end='w'?>"
    with caplog.at_level(logging.WARNING):
        once = jpeg(xmp=wrapped)
    assert once.xmp == long
    assert decode(encode(once, ImageFormat.JPEG)).xmp == long
    assert not caplog.text


def test_segments_are_filled_to_the_last_byte() -> None:
    longest = 65_533 - 29
    data = encode(
        Picture(pixels=np.zeros((3, 8, 8), np.float32), xmp=b"x" * longest), ImageFormat.JPEG
    )
    with Image.open(io.BytesIO(data)) as image:
        assert len(image.info["xmp"]) == longest


def test_coded_pixels_that_no_longer_decode_are_encoded_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where metadata between the scans were damaged."""

    def failing(*_arguments: object) -> Picture:
        raise OSError("cannot load this image")

    pixels = np.random.default_rng(0).random((3, 24, 32), np.float32)
    picture = decode(encode(Picture(pixels=pixels), "jpeg"))
    with monkeypatch.context() as patched:
        patched.setattr("restore.image.jpeg.read_jpeg", failing)
        encoded = encode(picture, "jpeg")
    assert decode(encoded).width == 32
