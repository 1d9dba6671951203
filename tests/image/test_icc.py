"""Colour profiles, made here tag by tag."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageCms

from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.icc import is_encoded, other_primaries
from restore.image.icc_writer import srgb_profile
from restore.image.picture import Picture, Transfer

P3 = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
"""Display P3 as profiles hold it, adapted to D50."""
D65_TO_D50 = (1.04788, 0.02292, -0.05022, 0.02960, 0.99048, -0.01707, -0.00925, 0.01508, 0.75168)
D65 = (0.95047, 1.0, 1.08883)
GAMMA = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256))
STRAIGHT = b"curv" + bytes(4) + struct.pack(">I", 0)


def fixed(kind: bytes, values: tuple[float, ...]) -> bytes:
    numbers = (round(value * 65536) for value in values)
    return kind + bytes(4) + struct.pack(f">{len(values)}i", *numbers)


def profile(tags: dict[bytes, bytes]) -> bytes:
    start = 132 + 12 * len(tags)
    table, data = b"", b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(tag))
        data += tag
    return bytes(128) + struct.pack(">I", len(tags)) + table + data


def p3(curve: bytes = GAMMA, *, chad: bool = True) -> bytes:
    tags = {name: fixed(b"XYZ ", values) for name, values in P3.items()} | {b"gTRC": curve}
    white = {b"chad": fixed(b"sf32", D65_TO_D50)} if chad else {b"wtpt": fixed(b"XYZ ", D65)}
    return profile(tags | white)


@pytest.mark.parametrize("chad", [True, False])
def test_primaries_are_those_of_the_display(chad: bool) -> None:
    values = [float(value) for value in other_primaries(p3(chad=chad)).split()]
    expected = [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329]
    np.testing.assert_allclose(values, expected, atol=0.002)


def test_srgb_and_profiles_without_primaries_say_nothing(icc: bytes) -> None:
    black = {name: fixed(b"XYZ ", (0, 0, 0)) for name in (*P3, b"wtpt")}
    for each in (
        None, b"", b"no profile", bytes(200), icc, profile({b"gTRC": GAMMA}), profile(black)
    ):  # fmt: skip
        assert other_primaries(each) == ""


def test_a_curve_is_straight_or_not(icc: bytes) -> None:
    steep = np.round(65535 * np.linspace(0, 1, 64) ** 2).astype(">u2").tobytes()
    level = np.round(65535 * np.linspace(0, 1, 64)).astype(">u2").tobytes()
    table = b"curv" + bytes(4) + struct.pack(">I", 64)
    power = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, round(2.4 * 65536))
    line = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 65536)
    for curve in (GAMMA, table + steep, power):
        assert is_encoded(p3(curve))
    for curve in (STRAIGHT, table + level, line, b"curv", b"para", b""):
        assert not is_encoded(p3(curve))
    assert is_encoded(icc)
    assert not is_encoded(None)


def test_floats_are_what_their_profile_says() -> None:
    pixels = np.full((3, 5, 6), 0.5, np.float32)
    picture = Picture(pixels=pixels, bit_depth=32, is_float=True, transfer=Transfer.LINEAR)
    for curve, transfer, code in ((GAMMA, Transfer.SRGB, 128), (STRAIGHT, Transfer.LINEAR, 188)):
        stored = encode(replace(picture, icc=p3(curve)), ImageFormat.TIFF)
        read = decode(stored)
        assert read.transfer is transfer
        assert decode(encode(read, ImageFormat.PNG)).pixels[0, 0, 0] * 255 == pytest.approx(
            code, abs=0.6
        )
        again = decode(encode(read, ImageFormat.TIFF))
        np.testing.assert_array_equal(again.pixels, pixels)
        assert again.icc == read.icc == p3(curve)


@pytest.mark.parametrize("image_format", [ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.TIFF])
def test_wide_colours_keep_their_meaning_in_exr(image_format: ImageFormat) -> None:
    picture = Picture(pixels=np.full((3, 8, 8), 0.5, np.float32), icc=p3())
    read = decode(encode(picture, image_format))
    light = decode(encode(read, ImageFormat.EXR))
    assert light.primaries.split()[0].startswith("0.68")


def test_the_profile_of_srgb_is_the_same_in_every_run() -> None:
    """Little CMS states the second in which it makes one."""
    profile = srgb_profile()
    assert struct.unpack_from(">6H", profile, 24) == (2026, 1, 1, 0, 0, 0)
    description = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description
    assert str(description).startswith("sRGB")
