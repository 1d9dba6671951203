import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.metrics import psnr_chw, ssim_chw


def _gaussian_ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """SSIM of two 11x11 planes, equation 13 of Wang et al. 2004, written out."""
    offsets = np.arange(-5, 6)
    row = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(row, row) / row.sum() ** 2
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    variance_x = (weights * (x - mean_x) ** 2).sum()
    variance_y = (weights * (y - mean_y) ** 2).sum()
    covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float(luminance * (2 * covariance + c2) / (variance_x + variance_y + c2))


def test_psnr_of_known_errors() -> None:
    reference = np.zeros((3, 4, 4), np.float32)
    assert psnr_chw(reference + np.float32(0.1), reference) == pytest.approx(20, abs=1e-5)
    one_of_three = reference.copy()
    one_of_three[0] = 0.1
    assert psnr_chw(one_of_three, reference) == pytest.approx(20 + 10 * math.log10(3), abs=1e-5)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    pixels = np.full((1, 2, 2), 0.3, np.float32)
    assert psnr_chw(pixels, pixels) == math.inf


def test_ssim_equals_the_formula_written_out() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 3, 11, 11), dtype=np.float32)
    expected = np.mean([_gaussian_ssim(*planes) for planes in zip(x, y, strict=True)])
    assert ssim_chw(x, y) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_constant_pictures_is_the_luminance_term() -> None:
    x, y = np.full((1, 20, 30), 0.5, np.float32), np.full((1, 20, 30), 0.25, np.float32)
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    assert ssim_chw(x, y) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_equal_pictures_is_one() -> None:
    pixels = np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)
    assert ssim_chw(pixels, pixels) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 10, 40), (3, 40, 10), (1, 1, 1)])
def test_ssim_refuses_pictures_smaller_than_its_window(shape: tuple[int, int, int]) -> None:
    pixels = np.zeros(shape, np.float32)
    with pytest.raises(UnsupportedImage, match="11x11"):
        ssim_chw(pixels, pixels)


@pytest.mark.parametrize("metric", [psnr_chw, ssim_chw])
@pytest.mark.parametrize("other", [(1, 16, 16), (3, 16, 17), (3, 0, 16)])
def test_refuses_different_shapes(
    metric: Callable[..., float], other: tuple[int, int, int]
) -> None:
    with pytest.raises(ValueError, match=r"\[C, H, W\]"):
        metric(np.zeros((3, 16, 16), np.float32), np.zeros(other, np.float32))
