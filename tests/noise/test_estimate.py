from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from restore.image.picture import Picture
from restore.noise.estimate import estimate_sigma_chw
from restore.noise.sensor import add_gaussian_noise


def _kodak(shared_data: Path, *, mode: str) -> list[NDArray[np.float32]]:
    paths = sorted((shared_data / "denoise/test/kodak24").glob("*.png"))
    assert len(paths) == 24
    pictures = [np.atleast_3d(np.asarray(Image.open(path).convert(mode))) for path in paths]
    return [picture.transpose(2, 0, 1) / np.float32(255) for picture in pictures]


def _as_8_bit(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.rint(pixels.clip(0, 1) * 255) / np.float32(255)


def _noise(*shape: int, sigma: float, mean: float = 0.5) -> NDArray[np.float32]:
    return add_gaussian_noise(np.full(shape, mean, np.float32), sigma, seed=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("clipped", [False, True], ids=["float", "clipped to 8 bits"])
@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_within_15_percent_or_3_levels_on_every_photo(
    clean_photos: list[Picture], sigma: int, clipped: bool, channels: int
) -> None:
    """Fur that fills a small picture is taken for two or three levels of noise."""
    for index, photo in enumerate(clean_photos):
        noisy = add_gaussian_noise(photo.pixels[:channels], sigma / 255, seed=index)
        estimate = 255 * estimate_sigma_chw(_as_8_bit(noisy) if clipped else noisy)
        assert estimate == pytest.approx(sigma, rel=0.15, abs=3), index


def test_clean_photos_have_next_to_no_noise(clean_photos: list[Picture]) -> None:
    for photo in clean_photos:
        assert 255 * estimate_sigma_chw(photo.pixels) < 2


@pytest.mark.parametrize("clipped", [False, True], ids=["float", "clipped to 8 bits"])
@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_within_15_percent_on_every_kodak_picture(
    shared_data: Path, sigma: int, clipped: bool
) -> None:
    for index, clean in enumerate(_kodak(shared_data, mode="L")):
        noisy = add_gaussian_noise(clean, sigma / 255, seed=index)
        estimate = 255 * estimate_sigma_chw(_as_8_bit(noisy) if clipped else noisy)
        assert estimate == pytest.approx(sigma, rel=0.15), index + 1


@pytest.mark.slow
@pytest.mark.parametrize("clipped", [False, True], ids=["float", "clipped to 8 bits"])
@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_within_15_percent_on_every_colour_kodak_picture(
    shared_data: Path, sigma: int, clipped: bool
) -> None:
    for index, clean in enumerate(_kodak(shared_data, mode="RGB")):
        noisy = add_gaussian_noise(clean, sigma / 255, seed=index)
        estimate = 255 * estimate_sigma_chw(_as_8_bit(noisy) if clipped else noisy)
        assert estimate == pytest.approx(sigma, rel=0.15), index + 1


def test_clean_pictures_have_next_to_no_noise(shared_data: Path) -> None:
    for clean in _kodak(shared_data, mode="L"):
        assert 255 * estimate_sigma_chw(clean) < 2


def test_colour_gives_the_root_mean_square_of_the_channels() -> None:
    red, green, blue = (_noise(1, 200, 200, sigma=sigma) for sigma in (0.02, 0.05, 0.1))
    expected = np.sqrt((0.02**2 + 0.05**2 + 0.1**2) / 3)
    assert estimate_sigma_chw(np.concatenate([red, green, blue])) == pytest.approx(
        expected, rel=0.03
    )


@pytest.mark.parametrize(
    ("height", "width", "tolerance"),
    [(1, 5000, 0.1), (5000, 1, 0.1), (6, 500, 0.1), (16, 16, 0.2), (20, 20, 0.3), (64, 64, 0.1)],
)
def test_small_and_narrow_pictures(height: int, width: int, tolerance: float) -> None:
    estimate = estimate_sigma_chw(_noise(3, height, width, sigma=0.1))
    assert estimate == pytest.approx(0.1, rel=tolerance)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 2), (1, 0, 5), (1, 64, 64), (3, 4, 4)])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_pictures_have_none(shape: tuple[int, int, int], value: float) -> None:
    assert estimate_sigma_chw(np.full(shape, value, np.float32)) == 0


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_clipping_in_half_of_the_pixels_is_undone(mean: float) -> None:
    pixels = _noise(1, 200, 200, sigma=0.1, mean=mean).clip(0, 1)
    assert estimate_sigma_chw(pixels) == pytest.approx(0.1, rel=0.1)


def test_saturated_areas_are_left_out() -> None:
    pixels = _noise(1, 200, 200, sigma=0.05)
    pixels[:, :150] = 1
    assert estimate_sigma_chw(pixels) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("size", [(20, 20), (21, 21), (21, 22), (18, 26), (24, 24)])
@pytest.mark.parametrize("sigma", [25, 50])
def test_small_pictures_that_are_half_black(size: tuple[int, int], sigma: int) -> None:
    for seed, mean in product(range(4), (8, 16, 25)):
        clean = np.full((1, *size), mean / 255, np.float32)
        noisy = _as_8_bit(add_gaussian_noise(clean, sigma / 255, seed=seed))
        assert sigma / 2 < 255 * estimate_sigma_chw(noisy) < 2 * sigma


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_left_out(hole: float) -> None:
    pixels = _noise(1, 200, 200, sigma=0.05)
    pixels[:, :80] = hole
    pixels[:, 150, 150] = hole
    assert estimate_sigma_chw(pixels) == pytest.approx(0.05, rel=0.1)
    assert estimate_sigma_chw(np.full((3, 50, 50), hole, np.float32)) == 0
    assert estimate_sigma_chw(np.full((3, 5, 5), hole, np.float32)) == 0


def test_scales_with_the_picture() -> None:
    pixels = _noise(1, 200, 200, sigma=0.05) - np.float32(0.5)
    assert estimate_sigma_chw(pixels * 1e20) == pytest.approx(
        estimate_sigma_chw(pixels) * 1e20, rel=1e-5
    )


def test_is_the_same_every_time() -> None:
    pixels = _noise(1, 400, 400, sigma=0.05)
    assert estimate_sigma_chw(pixels) == estimate_sigma_chw(pixels.copy())


def test_refuses_what_is_no_picture() -> None:
    with pytest.raises(ValueError, match=r"\[C, H, W\]"):
        estimate_sigma_chw(np.zeros((5, 5), np.float32))
