"""AVIF keeps its colour space, its depth, and what is in its boxes; Pillow confirms it."""

import io
import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from restore.errors import CorruptImage
from restore.image.cicp import Cicp
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.isobmff import box, read_items
from restore.image.picture import Picture

AVIF, PNG, JPEG = ImageFormat.AVIF, ImageFormat.PNG, ImageFormat.JPEG

P3, PQ, HLG = Cicp(12, 13, 6), Cicp(9, 16, 9), Cicp(9, 18, 9)


def ramp(channels: int = 3) -> np.ndarray:
    """A picture without noise, in which lossy compression leaves small errors."""
    across = np.linspace(0.1, 0.9, 48, dtype=np.float32)
    plane = np.add.outer(np.linspace(0, 0.1, 32, dtype=np.float32), across)
    return np.stack([plane * share for share in (1.0, 0.8, 0.5)[:channels]])


def by_imagecodecs(cicp: Cicp, bits: int) -> bytes:
    samples = np.rint(ramp().transpose(1, 2, 0) * (2**bits - 1))
    return bytes(
        imagecodecs.avif_encode(
            samples.astype(np.uint8 if bits == 8 else np.uint16),
            95,
            speed=10,
            bitspersample=bits,
            primaries=cicp.primaries,
            transfer=cicp.transfer,
            matrix=cicp.matrix,
        )
    )


def nclx(data: bytes) -> tuple[int, ...]:
    place = data.index(b"colrnclx") + 8
    return (*struct.unpack_from(">HHH", data, place), data[place + 6] >> 7)


@pytest.mark.parametrize(("cicp", "bits"), [(P3, 8), (PQ, 10), (HLG, 10), (HLG, 12)])
def test_colour_space_and_depth_survive(cicp: Cicp, bits: int) -> None:
    picture = decode(by_imagecodecs(cicp, bits))
    assert (picture.cicp, picture.bit_depth) == (cicp, bits)
    written = encode(picture, AVIF)
    assert nclx(written) == (cicp.primaries, cicp.transfer, cicp.matrix, 1)
    again = decode(written)
    assert (again.cicp, again.bit_depth) == (cicp, bits)
    np.testing.assert_allclose(again.pixels, ramp(), atol=6 / 255)
    assert imagecodecs.avif_decode(written).max() > 2 ** (bits - 1)


@pytest.mark.parametrize("cicp", [P3, PQ, HLG])
def test_png_gets_code_points_and_a_profile(cicp: Cicp) -> None:
    picture = decode(by_imagecodecs(cicp, 10))
    png = encode(picture, PNG)
    place = png.index(b"cICP") + 4
    assert png[place : place + 4] == bytes((cicp.primaries, cicp.transfer, 0, 1))
    read = decode(png)
    assert read.bit_depth == 16
    assert Image.open(io.BytesIO(png)).info["icc_profile"] == read.icc
    assert decode(encode(picture, JPEG)).icc == read.icc
    np.testing.assert_allclose(read.pixels, picture.pixels, atol=1 / 65535)


def test_srgb_needs_no_profile() -> None:
    picture = decode(by_imagecodecs(Cicp(1, 13, 6), 8))
    assert decode(encode(picture, JPEG)).icc is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_hold_orientation_exif_xmp_and_profile(orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = orientation, "Zoe"
    exif = tags.tobytes().removeprefix(b"Exif\x00\x00").replace(b"Zoe", "Zoë".encode()[:3])
    picture = Picture(
        pixels=ramp(),
        alpha=np.full((32, 48), 0.5, np.float32),
        exif=exif,
        xmp=b"<x:xmpmeta/>",
        icc=b"profile",
        orientation=orientation,
    )
    written = encode(picture, AVIF)
    with Image.open(io.BytesIO(written)) as opened:
        assert opened.getexif().get(0x0112, 1) == orientation
        assert (opened.info["xmp"], opened.info["icc_profile"]) == (b"<x:xmpmeta/>", b"profile")
        assert opened.mode == "RGBA"
        opened.load()
    read = decode(written)
    assert (read.exif, read.xmp, read.icc) == (exif, picture.xmp, picture.icc)
    assert read.orientation == orientation
    assert read.alpha is not None
    np.testing.assert_allclose(read.alpha, 0.5, atol=2 / 255)


def test_orientation_of_the_box_counts_and_is_told_in_exif() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    exif = tags.tobytes().removeprefix(b"Exif\x00\x00")
    turned = replace(Picture(pixels=ramp(), exif=exif), orientation=8)
    read = decode(encode(turned, AVIF))
    assert read.orientation == 8
    assert read.exif is not None
    assert read.exif != exif


def test_gray_stays_gray() -> None:
    written = encode(Picture(pixels=ramp(1)), AVIF)
    assert Image.open(io.BytesIO(written)).mode == "L"
    assert decode(written).channels == 1


def test_sixteen_bits_become_twelve() -> None:
    written = encode(Picture(pixels=ramp(), bit_depth=16), AVIF)
    assert decode(written).bit_depth == 12


def test_damaged_boxes_are_refused_or_read() -> None:
    """Every change of a byte in the boxes gives a picture's items or a refusal."""
    data = bytearray(encode(Picture(pixels=ramp(), xmp=b"<x/>", orientation=6), AVIF))
    end = data.index(b"mdat")
    rng = np.random.default_rng(0)
    for place in rng.integers(0, end, 300):
        damaged = bytearray(data)
        damaged[place] = rng.integers(256)
        try:
            read_items(bytes(damaged))
        except CorruptImage:
            continue


def test_parts_that_overlap_are_not_copied_for_ever() -> None:
    data = bytes(1 << 20)
    parts = struct.pack(">II", 0, len(data)) * 60_000
    entry = struct.pack(">HHH", 2, 0, 60_000) + parts
    iloc = box(b"iloc", struct.pack(">IHH", 0, 0x4400, 1) + entry)
    infe = box(b"infe", struct.pack(">IHH4s", 2 << 24, 2, 0, b"Exif") + b"\x00")
    meta = b"".join(
        [
            box(b"pitm", bytes(4) + b"\x00\x01"),
            box(b"iinf", bytes(4) + b"\x00\x01" + infe),
            box(b"iref", bytes(4) + box(b"cdsc", struct.pack(">HHH", 2, 1, 1))),
            box(b"iprp", box(b"ipco", b"") + box(b"ipma", bytes(8))),
            iloc,
        ]
    )
    with pytest.raises(CorruptImage):
        read_items(box(b"meta", bytes(4) + meta) + box(b"mdat", data))
