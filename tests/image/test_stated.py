"""Colour spaces stated without a profile become profiles that Little CMS reads as we do."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from restore.image.cicp import HLG, PQ, Cicp
from restore.image.codecs import ImageFormat
from restore.image.colour import in_srgb_primaries, linear_to_srgb
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.icc import code_points, other_primaries
from restore.image.icc_writer import profile_of_cicp, written_profile
from restore.image.picture import Picture, Transfer
from restore.image.stated import stated_profile
from restore.image.tone import light_of

PNG, JPEG, TIFF, PPM = ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.TIFF, ImageFormat.PPM
BEST_OF = {PQ: 10_000 / 203, HLG: 12 / 3.1797}
"""Light of the highest sample, which a profile's curve calls 1."""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: np.ndarray, *chunks: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(samples).save(file, "PNG")
    data = file.getvalue()
    return data[:33] + b"".join(chunks) + data[33:]


def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)


def in_srgb(picture: Picture, white: float = 1.0) -> np.ndarray:
    light = replace(picture, pixels=light_of(picture) / white, transfer=Transfer.LINEAR)
    return linear_to_srgb(in_srgb_primaries(light).pixels).clip(0, 1)


def by_little_cms(samples: np.ndarray, icc: bytes) -> np.ndarray:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    to_srgb = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    converted = ImageCms.applyTransform(Image.fromarray(samples), to_srgb)
    return np.asarray(converted, np.float32).transpose(2, 0, 1) / 255


@pytest.mark.parametrize(
    ("primaries", "transfer"),
    [(12, 13), (9, 1), (9, 14), (1, 8), (5, 4), (6, 5), (7, 7), (11, 17), (9, PQ), (9, HLG)],
)
def test_profiles_of_code_points_agree_with_little_cms(primaries: int, transfer: int) -> None:
    icc = profile_of_cicp(Cicp(primaries, transfer), 3)
    assert icc is not None
    assert code_points(icc) == (primaries, transfer)
    samples = colours()
    pixels = np.float32(samples.transpose(2, 0, 1)) / 255
    ours = in_srgb(
        Picture(pixels=pixels, icc=icc, primaries=other_primaries(icc)), BEST_OF.get(transfer, 1.0)
    )
    assert np.abs(ours - by_little_cms(samples, icc)).max() < 1 / 255


def test_gray_profiles_are_of_gray() -> None:
    icc = profile_of_cicp(Cicp(9, 4), 1)
    assert icc is not None
    assert ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip() == "GRAY"


@pytest.mark.parametrize("cicp", [Cicp(10, 13), Cicp(3, 13), Cicp(1, 9), Cicp(200, 200)])
def test_code_points_without_meaning_have_no_profile(cicp: Cicp) -> None:
    assert profile_of_cicp(cicp, 3) is None


def test_impossible_primaries_have_no_profile() -> None:
    assert written_profile("0 0 0 0 0 0 0 0", (1.0,), 3) is None
    assert written_profile("0.3 0.3 0.3 0.3 0.3 0.3 0.3 0.3", (1.0,), 3) is None


GAMA = chunk(b"gAMA", struct.pack(">I", 55556))
ADOBE = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
CICP = chunk(b"cICP", bytes((12, 13, 0, 1)))


@pytest.mark.parametrize("chunks", [(CICP,), (GAMA, chunk(b"cHRM", ADOBE))])
@pytest.mark.parametrize("to", [JPEG, TIFF, ImageFormat.WEBP])
def test_what_a_png_states_goes_with_its_pixels(chunks: tuple[bytes, ...], to: ImageFormat) -> None:
    samples = colours()
    picture = decode(png(samples, *chunks))
    written = encode(picture, to, quality=None if to is TIFF else 100)
    icc = Image.open(io.BytesIO(written)).info["icc_profile"]
    difference = np.abs(in_srgb(picture) - by_little_cms(samples, icc))
    assert difference.max() < 1 / 255


def test_adobe_rgb_is_told_by_gamma_and_chromaticities() -> None:
    picture = decode(png(colours(), GAMA, chunk(b"cHRM", ADOBE)))
    numbers = [float(each) for each in picture.primaries.split()]
    assert numbers == pytest.approx([0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.329], abs=2e-4)
    np.testing.assert_allclose(light_of(picture), picture.pixels**1.8, atol=1e-4)


@pytest.mark.parametrize("chunks", [(CICP,), (GAMA,), (GAMA, chunk(b"cHRM", ADOBE))])
def test_png_to_png_adds_nothing(chunks: tuple[bytes, ...]) -> None:
    written = encode(decode(png(colours(), *chunks)), PNG)
    assert b"iCCP" not in written
    assert all(each in written for each in chunks)


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (chunk(b"gAMA", struct.pack(">I", 45455)),),
        (chunk(b"gAMA", struct.pack(">I", 0)),),
        (GAMA, chunk(b"sRGB", b"\x00")),
        (chunk(b"cICP", bytes((1, 13, 0, 1))),),
        (chunk(b"cICP", bytes((2, 2, 0, 1))),),
    ],
)
def test_srgb_needs_no_profile(chunks: tuple[bytes, ...]) -> None:
    assert stated_profile(decode(png(colours(), *chunks))) is None


def test_colours_are_converted_where_nothing_can_be_stated() -> None:
    samples = colours()
    picture = decode(png(samples, CICP))
    icc = stated_profile(picture)
    assert icc is not None
    written = decode(encode(picture, PPM))
    assert np.abs(written.pixels - by_little_cms(samples, icc)).max() < 1.1 / 255
