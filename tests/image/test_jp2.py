"""JPEG 2000 is read exactly, with its profile and metadata."""

import struct

import imagecodecs
import numpy as np
import pytest

from restore.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from restore.image.decode import decode
from restore.image.encode import encode

EXIF = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"


def samples(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_sample_is_read(codec: str, shape: tuple[int, ...], dtype: type) -> None:
    stored = samples(shape, dtype)
    encoded = imagecodecs.jpeg2k_encode(stored, level=0, codecformat=codec, reversible=True)
    picture = decode(bytes(encoded))
    peak = np.iinfo(dtype).max
    codes = np.rint(picture.pixels * peak).astype(dtype)
    assert np.array_equal(codes.squeeze() if len(shape) == 2 else codes.transpose(1, 2, 0), stored)
    assert picture.bit_depth == 8 * np.dtype(dtype).itemsize


def test_exif_and_xmp_are_read_and_go_into_a_png() -> None:
    encoded = bytes(imagecodecs.jpeg2k_encode(samples((30, 40, 3), np.uint8), codecformat="jp2"))
    xmp = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<x:xmpmeta/>"
    for body in (b"JpgTiffExif->JP2" + EXIF, xmp):
        encoded += struct.pack(">I4s", 8 + len(body), b"uuid") + body
    picture = decode(encoded)
    assert (picture.exif, picture.xmp) == (EXIF, b"<x:xmpmeta/>")
    assert decode(encode(picture, "png")).exif == EXIF


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    encoded = imagecodecs.jpeg2k_encode(samples((30, 40), np.uint8), codecformat="jp2")
    with pytest.raises(ImageTooLarge, match="40x30"):
        decode(bytes(encoded), max_pixels=1000)


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.8])
def test_a_file_that_is_cut_short_is_refused(codec: str, share: float) -> None:
    encoded = bytes(
        imagecodecs.jpeg2k_encode(samples((60, 80, 3), np.uint8), level=0, codecformat=codec)
    )
    with pytest.raises((CorruptImage, UnsupportedImage)):
        decode(encoded[: int(share * len(encoded))])


def test_tiles_that_the_bytes_cannot_hold_are_refused() -> None:
    """A decoder makes a table of them first, of hundreds of megabytes."""
    encoded = bytearray(imagecodecs.jpeg2k_encode(samples((60, 80), np.uint8), codecformat="j2k"))
    struct.pack_into(">II", encoded, 24, 1, 1)
    with pytest.raises(CorruptImage, match="at least 67,200 bytes"):
        decode(bytes(encoded))


def test_cmyk_is_refused() -> None:
    encoded = bytes(imagecodecs.jpeg2k_encode(samples((30, 40, 4), np.uint8), codecformat="jp2"))
    place = encoded.index(b"colr") + 7
    cmyk = encoded[:place] + struct.pack(">I", 12) + encoded[place + 4 :]
    with pytest.raises(UnsupportedImage, match="CMYK"):
        decode(cmyk)


def test_a_fourth_channel_that_is_not_declared_is_refused() -> None:
    encoded = bytes(imagecodecs.jpeg2k_encode(samples((30, 40, 4), np.uint8), codecformat="j2k"))
    with pytest.raises(UnsupportedImage, match="opacity"):
        decode(encoded)
