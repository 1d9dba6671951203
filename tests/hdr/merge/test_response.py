import numpy as np
import pytest

from restore.hdr.merge.response import SRGB, estimate_response
from restore.image.colour import linear_to_srgb

LIGHTS = (1.0, 4.0, 16.0, 64.0)
USABLE = np.ones((40, 50), dtype=bool)


def _scene() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.exp(rng.uniform(np.log(0.001), np.log(1.0), (3, *USABLE.shape))).astype(np.float32)


def _shots(camera: object) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    frames = []
    for light in LIGHTS:
        samples = camera(np.clip(_scene() * light / 8, 0, 1))  # type: ignore[operator]
        noisy = samples + 0.003 * rng.standard_normal(samples.shape)
        frames.append((np.round(noisy.clip(0, 1) * 255) / 255).astype(np.float32))
    return frames


def _contrasty(light: np.ndarray) -> np.ndarray:
    """SRGB with a film-like S on top, as cameras finish their JPEGs."""
    encoded = linear_to_srgb(light.astype(np.float32))
    return encoded + 0.12 * np.sin(2 * np.pi * (encoded - 0.5)) * (1 - np.abs(2 * encoded - 1))


def test_srgb_is_taken_where_it_explains_the_bracket() -> None:
    frames = _shots(lambda light: linear_to_srgb(light.astype(np.float32)))
    assert estimate_response(frames, LIGHTS, USABLE) is SRGB


def test_a_cameras_own_curve_is_found() -> None:
    response = estimate_response(_shots(_contrasty), LIGHTS, USABLE)
    assert response.name == "estimated"
    light = np.linspace(0.02, 0.9, 50)
    for channel in range(3):
        found = response.light(_contrasty(light).astype(np.float32), channel)
        ratio = found / light
        assert ratio.max() / ratio.min() < 1.15
        wrong = SRGB.light(_contrasty(light).astype(np.float32), channel) / light
        assert wrong.max() / wrong.min() > 1.6


def test_gray_stays_gray() -> None:
    response = estimate_response(_shots(_contrasty), LIGHTS, USABLE)
    middle = np.full(1, 118 / 255, dtype=np.float32)
    values = [float(response.light(middle, channel)[0]) for channel in range(3)]
    assert max(values) / min(values) < 1.001
    assert (np.diff(response.curves, axis=1) >= 0).all()


@pytest.mark.parametrize("usable", [~USABLE, USABLE & (np.arange(50) < 1)])
def test_too_little_to_go_by_means_srgb(usable: np.ndarray) -> None:
    frames = [np.full((3, 40, 50), 0.99, dtype=np.float32)] * 4
    assert estimate_response(frames, LIGHTS, usable) is SRGB
