"""Any curve of a profile leads to sRGB's encoding, and back to the very samples."""

import struct

import numpy as np
import pytest
from PIL import ImageCms

from restore.image.cicp import Cicp
from restore.image.colour import SRGB_PRIMARIES, linear_to_srgb
from restore.image.icc_writer import profile_of_cicp, written_profile
from restore.image.picture import Picture, Transfer
from restore.image.tone import light_of, tone_of

ALL = np.arange(65536, dtype=np.float32).reshape(1, 256, 256) / 65535


def profile(curve: bytes) -> bytes:
    """A profile with this curve for all colours."""
    icc = written_profile(SRGB_PRIMARIES, (1.0,), 3)
    assert icc is not None
    start = len(icc)
    (count,) = struct.unpack_from(">I", icc, 128)
    result = bytearray(icc + curve)
    for index in range(count):
        place = 132 + 12 * index
        if result[place : place + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">II", result, place + 4, start, len(curve))
    return bytes(result)


def sampled(light: np.ndarray) -> bytes:
    values = np.rint(np.asarray(light) * 65535).astype(">u2")
    return struct.pack(">4s4xI", b"curv", len(values)) + values.tobytes()


def parametric(kind: int, *numbers: float) -> bytes:
    fixed = [round(number * 65536) for number in numbers]
    return struct.pack(f">4s4xH2x{len(fixed)}i", b"para", kind, *fixed)


def gamma(exponent: float) -> bytes:
    return struct.pack(">4s4xIH", b"curv", 1, round(256 * exponent))


LAB = ((16 / 116, 116 / 903.3), 903.3)
X = np.linspace(0, 1, 4096)
CURVES = {
    "linear": (struct.pack(">4s4xI", b"curv", 0), ALL),
    "gamma 1.8": (gamma(1.8), ALL ** np.float32(460.8 / 256)),
    "gamma 2.2": (parametric(0, 2.2), ALL**2.2),
    "L*": (
        parametric(3, 3, 1 / 1.16, 0.16 / 1.16, 1 / 9.033, 0.08),
        np.where(ALL > 0.08, ((ALL + 0.16) / 1.16) ** 3, ALL / 9.033),
    ),
    "ProPhoto": (
        parametric(3, 1.8, 1, 0, 1 / 16, 1 / 32),
        np.where(ALL >= 1 / 32, ALL**1.8, ALL / 16),
    ),
    "Rec. 2020": (
        parametric(3, 1 / 0.45, 1 / 1.0993, 0.0993 / 1.0993, 1 / 4.5, 0.08145),
        np.where(ALL >= 0.08145, ((ALL + 0.0993) / 1.0993) ** (1 / 0.45), ALL / 4.5),
    ),
    "sampled": (sampled(X**1.5), ALL**1.5),
    "black at 5 %": (sampled(np.maximum(X - 0.05, 0) / 0.95), np.maximum(ALL - 0.05, 0) / 0.95),
    "offset": (parametric(2, 2, 0.9, 0, 0.1), 0.1 + (0.9 * ALL) ** 2),
}


@pytest.mark.parametrize("name", CURVES)
def test_samples_are_encoded_as_srgb_and_return(name: str) -> None:
    curve, light = CURVES[name]
    picture = Picture(pixels=ALL.repeat(3, 0), bit_depth=16, icc=profile(curve))
    tone = tone_of(picture)
    assert tone is not None
    encoded = tone.encoded(picture.pixels)
    np.testing.assert_allclose(encoded[0], linear_to_srgb(np.float32(light))[0], atol=1e-3)
    assert np.abs(tone.decoded(encoded) - picture.pixels).max() < 0.3 / 65535
    np.testing.assert_allclose(light_of(picture)[1], light[0], atol=1e-3)


def test_values_outside_return_too() -> None:
    pixels = np.array([-3, -0.1, 1.2, 100, 60_000], np.float32).reshape(1, 1, 5)
    tone = tone_of(Picture(pixels=pixels, icc=profile(gamma(1.8)), is_float=True))
    assert tone is not None
    encoded = tone.encoded(pixels)
    assert (np.diff(encoded[0, 0]) > 0).all()
    np.testing.assert_allclose(tone.decoded(encoded), pixels, rtol=1e-5, atol=1e-6)


def test_channels_have_their_own_curves() -> None:
    icc = bytearray(profile(gamma(1.8)))
    start = len(icc)
    icc += gamma(2.6)
    for index in range(struct.unpack_from(">I", icc, 128)[0]):
        place = 132 + 12 * index
        if icc[place : place + 4] == b"bTRC":
            struct.pack_into(">II", icc, place + 4, start, 14)
    light = light_of(Picture(pixels=ALL.repeat(3, 0), icc=bytes(icc)))
    np.testing.assert_allclose(light[1], ALL[0] ** 1.8, atol=1e-3)
    np.testing.assert_allclose(light[2], ALL[0] ** 2.6, atol=1e-3)


@pytest.mark.parametrize(
    "icc",
    [
        None,
        b"profile",
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        profile(parametric(3, 0, 0, 0, 0, 0)),
        profile(sampled(np.zeros(1024))),
        profile(parametric(1, 2.2, 0, 0)),
        profile(b"curv"),
        profile(b"para\x00\x00\x00\x00\x00\x09\x00\x00"),
    ],
)
def test_srgb_and_damage_are_no_curve(icc: bytes | None) -> None:
    assert tone_of(Picture(pixels=ALL, icc=icc)) is None


def test_linear_pictures_have_no_curve() -> None:
    linear = Picture(pixels=ALL, icc=profile(gamma(1.8)), transfer=Transfer.LINEAR)
    assert tone_of(linear) is None
    assert light_of(linear) is linear.pixels


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.5807), (18, 0.75)])
def test_pq_and_hlg_stay_as_they_are(transfer: int, white: float) -> None:
    """ITU-R BT.2408, table 1: diffuse white is 58 % of PQ and 75 % of HLG."""
    picture = Picture(pixels=np.full((3, 1, 1), white, np.float32), cicp=Cicp(9, transfer))
    tone = tone_of(picture)
    assert tone is not None
    assert tone.encoded(picture.pixels) is picture.pixels
    np.testing.assert_allclose(light_of(picture), 1, rtol=2e-3)
    by_profile = Picture(pixels=picture.pixels, icc=profile_of_cicp(Cicp(9, transfer), 3))
    assert tone_of(by_profile) == tone_of(picture)
