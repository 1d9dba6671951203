"""Colours of wide gamuts in files that cannot say so."""

import numpy as np
import pytest

from restore.image.codecs import ImageFormat
from restore.image.colour import SRGB_PRIMARIES, in_srgb_primaries, linear_to_srgb
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer

P3 = "0.68 0.32 0.265 0.69 0.15 0.06 0.3127 0.329"
ACES_CG = "0.713 0.293 0.165 0.83 0.128 0.044 0.32168 0.33767"
P3_TO_SRGB = ((1.2249, -0.2247, 0), (-0.0420, 1.0419, 0), (-0.0197, -0.0786, 1.0979))
"""Lindbloom, "RGB/XYZ Matrices": both have the white D65."""


def light(primaries: str, *rgb: float) -> Picture:
    pixels = np.array(rgb, np.float32)[:, None, None] * np.ones((1, 4, 6), np.float32)
    return Picture(
        pixels=pixels, is_float=True, bit_depth=32, transfer=Transfer.LINEAR, primaries=primaries
    )


def test_display_p3_to_srgb_is_the_known_matrix() -> None:
    for rgb in np.eye(3):
        converted = in_srgb_primaries(light(P3, *rgb))
        expected = np.array(P3_TO_SRGB) @ rgb
        np.testing.assert_allclose(converted.pixels[:, 0, 0], expected, atol=1e-3)
        assert converted.primaries == ""


def test_white_stays_white_under_another_white() -> None:
    np.testing.assert_allclose(in_srgb_primaries(light(ACES_CG, 1, 1, 1)).pixels, 1, atol=1e-3)


@pytest.mark.parametrize("primaries", ["", SRGB_PRIMARIES, "0 0 0 0 0 0 0 0", "1 0 1 0 1 0 1 0"])
def test_srgb_and_nonsense_stay_as_they_are(primaries: str) -> None:
    before = light(primaries, 0.2, 0.4, 0.6)
    np.testing.assert_array_equal(in_srgb_primaries(before).pixels, before.pixels)


@pytest.mark.parametrize("container", [ImageFormat.TIFF, ImageFormat.HDR, ImageFormat.PNG])
def test_files_without_chromaticities_hold_the_same_colours(container: ImageFormat) -> None:
    expected = np.array(P3_TO_SRGB) @ (0.5, 0.6, 0.4)
    if container is ImageFormat.PNG:
        expected = linear_to_srgb(expected.astype(np.float32))
    stored = decode(encode(light(P3, 0.5, 0.6, 0.4), container))
    np.testing.assert_allclose(stored.pixels[:, 0, 0], expected, atol=4e-3)


def test_a_ppm_holds_the_colours_of_the_profile_that_it_cannot_keep() -> None:
    """Encoded samples stay as they are where the profile goes with them."""
    codes = linear_to_srgb(np.array((0.5, 0.6, 0.4), np.float32))
    pixels = codes[:, None, None] * np.ones((1, 4, 6), np.float32)
    before = Picture(pixels=pixels, bit_depth=16, icc=b"P3", primaries=P3)
    expected = np.array(P3_TO_SRGB) @ (0.5, 0.6, 0.4)
    stored = decode(encode(before, ImageFormat.PPM)).pixels[:, 0, 0]
    np.testing.assert_allclose(stored, linear_to_srgb(expected.astype(np.float32)), atol=1e-3)
    kept = decode(encode(before, ImageFormat.TIFF)).pixels[:, 0, 0]
    np.testing.assert_allclose(kept, codes, atol=1e-4)


def test_openexr_states_what_it_holds() -> None:
    before = light(P3, 0.5, 0.6, 0.4)
    stored = decode(encode(before, ImageFormat.EXR))
    np.testing.assert_array_equal(stored.pixels, before.pixels)
    assert [float(each) for each in stored.primaries.split()] == pytest.approx(
        [float(each) for each in P3.split()]
    )
