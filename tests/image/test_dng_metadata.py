"""What a DNG says about its mosaic."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from restore.image.dng_metadata import DngMetadata, DngTag, opcode_names
from restore.image.ifd import Entry

_SHORT, _RATIONAL, _SRATIONAL, _DOUBLE = 3, 5, 10, 12
WARM = [2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0]
DAYLIGHT = [0.8, -0.2, -0.1, -0.5, 1.3, 0.2, -0.1, 0.2, 0.7]


def rationals(values: list[float], kind: int = _RATIONAL) -> Entry:
    parts = [Fraction(value).limit_denominator(10000) for value in values]
    numbers = [n for part in parts for n in (part.numerator, part.denominator)]
    return Entry(kind, len(values), struct.pack(f"<{len(numbers)}i", *numbers))


def short(value: int) -> Entry:
    return Entry(_SHORT, 1, struct.pack("<H", value))


@pytest.mark.parametrize("swapped", [False, True])
def test_the_matrix_for_daylight_is_chosen(swapped: bool) -> None:
    """Calibration illuminants are standard light A (17) and D65 (21) in either order."""
    first, second = (WARM, DAYLIGHT) if not swapped else (DAYLIGHT, WARM)
    lights = (17, 21) if not swapped else (21, 17)
    said = DngMetadata(
        tags={
            DngTag.COLOR_MATRIX[0]: rationals(first, _SRATIONAL),
            DngTag.COLOR_MATRIX[1]: rationals(second, _SRATIONAL),
            DngTag.ILLUMINANT[0]: short(lights[0]),
            DngTag.ILLUMINANT[1]: short(lights[1]),
        }
    )
    assert said.xyz_to_camera is not None
    np.testing.assert_allclose(said.xyz_to_camera.ravel(), DAYLIGHT, atol=1e-6)


def test_calibration_and_analog_balance_belong_to_the_matrix() -> None:
    said = DngMetadata(
        tags={
            DngTag.COLOR_MATRIX[0]: rationals(DAYLIGHT, _SRATIONAL),
            DngTag.CAMERA_CALIBRATION[0]: rationals([1.1, 0, 0, 0, 1, 0, 0, 0, 0.9], _SRATIONAL),
            DngTag.ANALOG_BALANCE: rationals([2, 1, 1.5]),
        }
    )
    factors = np.array([2 * 1.1, 1, 1.5 * 0.9])
    assert said.xyz_to_camera is not None
    expected = factors[:, None] * np.reshape(DAYLIGHT, (3, 3))
    np.testing.assert_allclose(said.xyz_to_camera, expected, atol=1e-6)


def test_neutral_becomes_white_balance() -> None:
    said = DngMetadata(tags={DngTag.AS_SHOT_NEUTRAL: rationals([0.5, 1, 0.625])})
    assert said.white_balance == pytest.approx((2, 1, 1.6))
    assert DngMetadata(tags={DngTag.AS_SHOT_NEUTRAL: rationals([0, 1, 1])}).white_balance is None


def test_undefined_baseline_exposure_is_none() -> None:
    undefined = Entry(_SRATIONAL, 1, struct.pack("<ii", 0, 0))
    assert DngMetadata(tags={DngTag.BASELINE_EXPOSURE: undefined}).baseline_exposure == 0
    brighter = rationals([0.35], _SRATIONAL)
    assert DngMetadata(tags={DngTag.BASELINE_EXPOSURE: brighter}).baseline_exposure == 0.35


def test_noise_profile_is_read_for_each_colour() -> None:
    numbers = (1e-4, 1e-7, 2e-4, 2e-7, 3e-4, 3e-7)
    entry = Entry(_DOUBLE, 6, struct.pack("<6d", *numbers))
    said = DngMetadata(tags={DngTag.NOISE_PROFILE: entry})
    assert said.noise_profile == ((1e-4, 1e-7), (2e-4, 2e-7), (3e-4, 3e-7))
    assert said.without(DngTag.NOISE_PROFILE).noise_profile == ()


def test_opcodes_are_named() -> None:
    def opcode(number: int, body: bytes) -> bytes:
        return struct.pack(">IIII", number, 0x01030000, 0, len(body)) + body

    data = struct.pack(">I", 3) + opcode(9, b"12345") + opcode(1, b"") + opcode(77, b"x")
    assert opcode_names(data) == ["GainMap", "WarpRectilinear", "opcode 77"]
    assert opcode_names(data[:-10]) == ["GainMap", "WarpRectilinear"]
    assert opcode_names(struct.pack(">I", 2**32 - 1) + data[4:]) == opcode_names(data)
    assert opcode_names(b"") == []
    lists = {tag: Entry(7, len(data), data) for tag in DngTag.OPCODE_LISTS}
    assert DngMetadata(tags=lists).opcodes == ("GainMap", "WarpRectilinear", "opcode 77")
