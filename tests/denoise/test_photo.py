"""The shipped network for photographs at work."""

import numpy as np
import pytest

from restore.denoise.runner import Denoiser
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture
from restore.noise.sensor import add_gaussian_noise

pytestmark = pytest.mark.usefixtures("usual_engine")


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser("photo", device="cpu")


@pytest.mark.parametrize("sigma", [0, 10])
def test_photo_keeps_the_colours_of_clean_and_of_noisy_pictures(
    denoiser: Denoiser, clean_photos: list[Picture], sigma: int
) -> None:
    """Means within 0.2 of 255; of noise that is not clipped."""
    for photo in clean_photos:
        middle = photo.with_pixels(0.2 + 0.6 * photo.pixels)
        noisy = middle.with_pixels(add_gaussian_noise(middle.pixels, sigma / 255, seed=0))
        after = denoiser(noisy).picture.pixels
        shift = 255 * (after - noisy.pixels).mean(axis=(1, 2))
        assert np.abs(shift).max() < 0.2


def test_photo_takes_noise_away(denoiser: Denoiser, clean_photos: list[Picture]) -> None:
    for photo in clean_photos:
        noisy = photo.with_pixels(add_gaussian_noise(photo.pixels, 15 / 255, seed=0))
        after = denoiser(noisy).picture.pixels
        assert psnr_chw(after, photo.pixels) > psnr_chw(noisy.pixels, photo.pixels) + 4
