"""Before/after pictures."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from restore.image.compare import compare_png, shown_white, viewable
from restore.image.picture import Picture, Transfer


def picture(height: int, width: int, channels: int = 3, **fields: object) -> Picture:
    values = np.random.default_rng(0).integers(0, 256, (channels, height, width))
    return Picture(pixels=(values / 255).astype(np.float32), **fields)


def opened(png: bytes) -> Image.Image:
    return Image.open(BytesIO(png))


@pytest.mark.parametrize("channels", [1, 3])
def test_8_bit_values_are_shown_as_they_are(channels: int) -> None:
    source = picture(600, 5, channels)
    shown = viewable(source)
    assert shown.shape == (600, 5, channels)
    np.testing.assert_array_equal(shown.transpose(2, 0, 1) / np.float32(255), source.pixels)


def test_linear_light_is_encoded_and_what_no_screen_can_show_is_clipped() -> None:
    pixels = np.array([[[0.0, 0.2140, 1.0, 7.0, -1.0, np.nan, np.inf, -np.inf]]], np.float32)
    shown = viewable(Picture(pixels=pixels, is_float=True, transfer=Transfer.LINEAR))
    assert shown[0, :, 0].tolist() == [0, 127, 255, 255, 0, 0, 255, 0]


def test_light_above_white_is_told_apart_on_a_scale_of_its_own() -> None:
    light = np.linspace(0, 8, 1000, dtype=np.float32)[None, None].repeat(3, axis=0)
    picture = Picture(pixels=light, is_float=True, transfer=Transfer.LINEAR)
    white = shown_white(picture)
    assert white == pytest.approx(8, rel=0.01)
    shown = viewable(picture, white=white)[0, :, 0].astype(int)
    assert shown[-1] == 255
    assert len(set(shown[125:])) > 50
    assert (np.diff(shown) >= 0).all()


def test_encoded_samples_are_shown_on_the_scale_of_light() -> None:
    encoded = Picture(pixels=np.full((3, 1, 1), 0.5, np.float32))
    light = Picture(
        pixels=np.full((3, 1, 1), 0.21404, np.float32), is_float=True, transfer=Transfer.LINEAR
    )
    assert viewable(encoded, white=4.0).tolist() == viewable(light, white=4.0).tolist()
    assert viewable(encoded, white=1.0).tolist() == [[[128, 128, 128]]]


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, -1.0])
def test_the_shown_white_is_a_number(value: float) -> None:
    pixels = np.full((3, 4, 4), value, np.float32)
    assert 1 <= shown_white(Picture(pixels=pixels, transfer=Transfer.LINEAR)) <= 1e6


@pytest.mark.parametrize("channels", [1, 3])
def test_before_is_on_the_left_and_after_on_the_right(channels: int) -> None:
    before = viewable(picture(4, 6, channels))
    shown = np.asarray(opened(compare_png(before, 255 - before, picture(4, 6, channels))))
    shown = shown.reshape(4, 16, channels)
    np.testing.assert_array_equal(shown[:, :6], before)
    np.testing.assert_array_equal(shown[:, -6:], 255 - before)
    assert (shown[:, 6:10] == 255).all()


def test_of_a_wide_picture_there_are_two_halves() -> None:
    before = np.zeros((3, 2000, 3), np.uint8)
    shown = np.asarray(opened(compare_png(before, before + 9, picture(3, 2000))))
    assert shown.shape == (3, 2000, 3)
    assert (shown[:, :998] == 0).all()
    assert (shown[:, 998:1002] == 255).all()
    assert (shown[:, 1002:] == 9).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_shown_upright(orientation: int) -> None:
    """Pillow's own handling of EXIF is the reference."""
    before = viewable(picture(3, 5))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    Image.fromarray(before).save(file, "PNG", exif=exif)
    from PIL import ImageOps

    upright = np.asarray(ImageOps.exif_transpose(opened(file.getvalue())))
    shown = np.asarray(opened(compare_png(before, before, picture(3, 5, orientation=orientation))))
    np.testing.assert_array_equal(shown[:, : upright.shape[1]], upright)


def test_the_profile_stays_attached_unless_the_light_was_linear() -> None:
    before = np.zeros((1, 1, 3), np.uint8)
    kept = opened(compare_png(before, before, picture(1, 1, icc=b"profile")))
    assert kept.info["icc_profile"] == b"profile"
    linear = picture(1, 1, icc=b"profile", transfer=Transfer.LINEAR)
    assert "icc_profile" not in opened(compare_png(before, before, linear)).info


def test_a_picture_of_one_pixel_has_two_sides() -> None:
    before = np.zeros((1, 1, 1), np.uint8)
    assert opened(compare_png(before, before, picture(1, 1, 1))).size == (6, 1)
