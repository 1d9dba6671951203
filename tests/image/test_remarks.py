"""What a file has and a picture has not is said: palettes, and samples of other depths."""

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.losses import losses, remarks

GRAY = np.linspace(0, 255, 20 * 30).reshape(20, 30).astype(np.uint8)
DEEP = GRAY.astype(np.uint16) * 257
ONE_BIT = "has 1 bit a sample; it is read as a picture of 8 bits"
PALETTE = "has a palette; it is read as RGB"


def pillow(name: str, mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.stack([GRAY, GRAY[::-1], GRAY], -1)).convert(mode).save(file, name)
    return file.getvalue()


def tiff(samples: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **options)
    return file.getvalue()


def small_palette(bits: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GRAY).quantize(2**bits).save(file, "PNG", bits=bits)
    return file.getvalue()


def palette_tiff() -> bytes:
    colours = np.linspace(0, 65535, 768).astype(np.uint16).reshape(3, 256)
    return tiff(GRAY, photometric="palette", colormap=colours)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(lambda: pillow("PNG", "P"), PALETTE, id="PNG with a palette"),
        pytest.param(lambda: small_palette(4), PALETTE, id="PNG with a small palette"),
        pytest.param(lambda: pillow("BMP", "P"), PALETTE, id="BMP with a palette"),
        pytest.param(palette_tiff, PALETTE, id="TIFF with a palette"),
        pytest.param(lambda: pillow("PNG", "1"), ONE_BIT, id="PNG of 1 bit"),
        pytest.param(lambda: pillow("BMP", "1"), ONE_BIT, id="BMP of 1 bit"),
        pytest.param(lambda: tiff(GRAY > 99), ONE_BIT, id="TIFF of 1 bit"),
        pytest.param(
            lambda: imagecodecs.jpeg2k_encode(DEEP >> 5, level=0, bitspersample=11),
            "has 11 bits a sample; it is read as a picture of 12 bits",
            id="JPEG 2000 of 11 bits",
        ),
        pytest.param(
            lambda: imagecodecs.jpegxl_encode(DEEP >> 2, lossless=True, bitspersample=14),
            "has 14 bits a sample; it is read as a picture of 16 bits",
            id="JPEG XL of 14 bits",
        ),
        pytest.param(
            lambda: b"P5 30 20 1000\n" + GRAY.astype(">u2").tobytes(),
            "has samples up to 1000; they are read as up to 65535",
            id="PGM",
        ),
    ],
)
def test_a_form_that_results_do_not_have_is_said(
    written: Callable[[], bytes], expected: str
) -> None:
    picture = decode(written())
    with remarks() as said, losses() as lost:
        encode(picture, ImageFormat.PNG)
    assert (said, lost) == ([expected], [])


@pytest.mark.parametrize(
    "written",
    [
        lambda: pillow("PNG", "RGB"),
        lambda: pillow("BMP", "L"),
        lambda: pillow("JPEG", "L"),
        lambda: tiff(GRAY),
        lambda: tiff(GRAY.astype(np.float16)),
        lambda: b"P5 30 20 255\n" + GRAY.tobytes(),
    ],
)
def test_of_usual_pictures_nothing_is_said(written: Callable[[], bytes]) -> None:
    assert not decode(written()).remarks
