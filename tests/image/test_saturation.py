from pathlib import Path

import numpy as np
import pytest

from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import ImageFormat, Picture
from restore.image.saturation import saturation_levels


def _scene(white: float) -> np.ndarray:
    """A gradient with noise in which everything above ``white`` was cut."""
    rng = np.random.default_rng(0)
    light = np.linspace(0, 1.5, 300)[None] + 0.02 * rng.standard_normal((200, 300))
    codes = np.round(np.clip(light, 0, white) * 255) / 255
    return codes.astype(np.float32)


@pytest.mark.parametrize("white", [1.0, 235 / 255, 0.85])
def test_a_clipped_white_is_found_wherever_it_lies(white: float) -> None:
    pixels = _scene(white)[None]
    (level,) = saturation_levels(pixels, is_lossy=False)
    assert white - 2.6 / 255 <= level < white
    assert pixels.max() >= level


def test_a_picture_that_ends_by_itself_is_not_saturated() -> None:
    fading = np.random.default_rng(0).beta(2, 6, (1, 200, 300)).astype(np.float32)
    assert np.isinf(saturation_levels(np.round(fading * 255) / 255, is_lossy=False)).all()
    dark = np.full((1, 50, 50), 0.2, dtype=np.float32)
    assert np.isinf(saturation_levels(dark, is_lossy=False)).all()


def test_each_channel_has_a_level_of_its_own() -> None:
    dark = np.random.default_rng(0).random((200, 300), dtype=np.float32) * 0.5
    levels = saturation_levels(np.stack([_scene(1.0), dark, _scene(0.9)]), is_lossy=False)
    assert np.isinf(levels).tolist() == [False, True, False]
    assert levels[2] < levels[0]


def test_jpeg_spreads_white_by_some_codes_around_it(clean_photos: list[Picture]) -> None:
    for photo in clean_photos:
        blown = photo.with_pixels((1.6 * photo.pixels).clip(0, 1))
        for quality in (75, 95):
            pixels = decode(encode(blown, ImageFormat.JPEG, quality=quality)).pixels
            lossy, exact = (
                saturation_levels(pixels, is_lossy=is_lossy) for is_lossy in (True, False)
            )
            found = np.isfinite(lossy)
            assert found.any()
            assert (lossy[found] < exact[found]).all()
            assert (lossy[found] > 0.97).all()
            assert (exact[found] < 1).all()


def test_jpeg_spreads_white_by_a_few_codes(shared_data: Path) -> None:
    picture = decode(shared_data / "hdr/brackets/stack_alignment/IMG_4211.jpg")
    lossy = saturation_levels(picture.pixels, is_lossy=True)
    assert (lossy < 1).all()
    assert (lossy > 0.97).all()
    assert (lossy < saturation_levels(picture.pixels, is_lossy=False)).all()
