"""Gray pictures stored as RGB are told from those with a slight tint."""

import struct

import numpy as np
import pytest

from restore.image.codecs import ImageFormat
from restore.image.colour import SRGB_PRIMARIES
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.gray import is_gray_as_rgb
from restore.image.icc_writer import written_profile
from restore.image.picture import Picture

CODE = 1 / 255


def picture(tint: float, **fields: object) -> Picture:
    pixels = np.random.default_rng(0).random((1, 300, 20), dtype=np.float32).repeat(3, 0)
    pixels[2, -1, -1] = pixels[1, -1, -1] + np.float32(tint)
    return Picture(pixels=pixels, **fields)


@pytest.mark.parametrize(
    ("image_format", "is_lossless", "most"),
    [
        (None, False, 0),
        (ImageFormat.PNG, False, 0),
        (ImageFormat.JPEG, False, 1),
        (ImageFormat.WEBP, False, 1),
        (ImageFormat.WEBP, True, 0),
        (ImageFormat.JXL, False, 1),
        (ImageFormat.JXL, True, 0),
    ],
)
def test_only_lossy_compression_excuses_a_tint(
    image_format: ImageFormat | None, is_lossless: bool, most: int
) -> None:
    for codes in range(3):
        tinted = picture(codes * CODE, format=image_format, is_lossless=is_lossless)
        assert is_gray_as_rgb(tinted) is (codes <= most)


@pytest.mark.parametrize(
    ("image_format", "options"),
    [(ImageFormat.WEBP, {"quality": 100}), (ImageFormat.JXL, {"bit_depth": 16})],
)
def test_a_tint_survives_lossless_files(image_format: ImageFormat, options: dict[str, int]) -> None:
    gray = picture(0)
    assert is_gray_as_rgb(decode(encode(gray, image_format, **options)))
    gray.pixels[2] = gray.pixels[2] * np.float32(0.996)
    assert not is_gray_as_rgb(decode(encode(gray, image_format, **options)))


def test_equal_samples_of_three_curves_are_colours() -> None:
    one = written_profile(SRGB_PRIMARIES, (1.8,), 3)
    assert one is not None
    assert is_gray_as_rgb(picture(0, icc=one))
    several = bytearray(one)
    blue = one.index(b"bTRC") + 4
    struct.pack_into(">I", several, blue, len(one))
    several += struct.pack(">4s4xIH", b"curv", 1, round(256 * 2.6))
    struct.pack_into(">I", several, blue + 4, 14)
    assert not is_gray_as_rgb(picture(0, icc=bytes(several)))
