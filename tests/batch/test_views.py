"""What a page stores of a picture."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from restore.batch.views import View, Views, views_of
from restore.image.picture import Picture


def like(channels: int = 3, **fields: object) -> Picture:
    return Picture(pixels=np.zeros((channels, 1, 1), np.float32), **fields)


def opened(uri: str) -> np.ndarray:
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    with Image.open(BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image.convert("RGB")).astype(float)


def both(view: View, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Return before and after as the page makes them."""
    after = opened(view.after)
    return after + (opened(view.difference) - 128) / gain, after


def length(views: Views) -> int:
    shown = (views.overview, *views.places)
    return len(views.thumbnail) + sum(len(view.after) + len(view.difference) for view in shown)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.5, 4, 30])
def test_before_comes_back_from_the_result_and_what_was_removed(
    channels: int, sigma: float, clean_photos: list[Picture]
) -> None:
    clean = np.rint(255 * clean_photos[0].pixels[:channels]).astype(np.uint8).transpose(1, 2, 0)
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    before = (clean + noise).round().clip(0, 255).astype(np.uint8)
    views = views_of(before, clean, like(channels))
    assert (views.height, views.width, views.reduction, views.places) == (160, 160, 1, ())
    shown, after = both(views.overview, views.gain)
    assert np.abs((after - clean).mean(axis=2)).mean() < 2
    removed, true = shown - after, before.astype(float) - clean
    error = (removed - true).mean(axis=2)
    assert error.std() < 0.75 * true.mean(axis=2).std()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (500, 500), (700, 700), (2100, 2600)])
def test_noise_fits_too(size: tuple[int, int]) -> None:
    before, after = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    views = views_of(before, after, like())
    assert length(views) < 185_000
    for view in views.places:
        assert opened(view.after).shape[:2] == (view.place.height, view.place.width)


def test_places_of_a_large_picture_are_at_one_to_one() -> None:
    rows, columns = np.mgrid[:1500, :2000]
    before = np.stack([rows // 8, columns // 8, 0 * rows + 90], axis=2).astype(np.uint8)
    views = views_of(before, before, like())
    assert views.reduction > 2
    assert len(views.places) == 4
    for view in views.places:
        inside = np.s_[8:-8, 8:-8]
        expected = before[view.place.area][inside]
        np.testing.assert_allclose(opened(view.after)[inside], expected, atol=12)


def test_pictures_are_shown_upright_and_in_srgb() -> None:
    left_red = np.zeros((40, 60, 3), np.uint8)
    left_red[:, :30] = (200, 60, 60)
    display_p3 = "0.68 0.32 0.265 0.69 0.15 0.06 0.3127 0.329"
    views = views_of(left_red, left_red, like(orientation=6, primaries=display_p3))
    assert (views.height, views.width) == (60, 40)
    shown = opened(views.overview.after)
    np.testing.assert_allclose(shown[10, 20], (217, 40, 53), atol=8)
    assert shown[50].max() < 20


def test_the_expected_error_is_turned_and_scaled_with_the_picture() -> None:
    """Black where there is none or none is known, red to yellow to white at a round level."""
    pixels = np.full((40, 60, 3), 128, np.uint8)
    error = np.zeros((40, 60), np.float32)
    error[:, 30:] = 8
    error[:5] = np.nan
    views = views_of(pixels, pixels, like(orientation=6), error)
    assert views.error_white == 10
    shown = opened(views.overview.error)
    assert shown.shape == (60, 40, 3)
    assert shown[:28, :30].max() < 40
    assert shown[35:, 38:].max() < 40, "nothing is known there"
    red, green, blue = shown[35:, 5:30].mean(axis=(0, 1))
    assert (red > 200, green > 200) == (True, True)
    assert 60 < blue < 140
    assert views_of(pixels, pixels, like()).overview.error == ""
