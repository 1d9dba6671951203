import numpy as np
import pytest

from restore.noise.sensor import add_gaussian_noise


def test_noise_is_white_gaussian_and_not_clipped() -> None:
    noisy = add_gaussian_noise(np.ones((1, 300, 300), np.float32), 0.2, seed=3)
    noise = noisy - 1
    assert noisy.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=0.003)
    assert noise.std() == pytest.approx(0.2, rel=0.01)
    assert (noise > 0).mean() == pytest.approx(0.5, abs=0.01)
    assert np.mean(noise[..., 1:] * noise[..., :-1]) == pytest.approx(0, abs=0.001)


def test_one_seed_is_one_draw_at_every_level() -> None:
    pixels = np.zeros((3, 20, 20), np.float32)
    weak, strong = (add_gaussian_noise(pixels, sigma, seed=1) for sigma in (0.1, 0.2))
    np.testing.assert_allclose(strong, 2 * weak, rtol=1e-6)
    assert not np.array_equal(weak, add_gaussian_noise(pixels, 0.1, seed=2))


def test_input_is_left_alone() -> None:
    pixels = np.zeros((1, 8, 8), np.float32)
    add_gaussian_noise(pixels, 0.1, seed=0)
    assert not pixels.any()


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_refuses_levels_that_make_no_sense(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        add_gaussian_noise(np.zeros((1, 8, 8), np.float32), sigma, seed=0)
