from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from restore.image.develop import gains_of
from restore.image.highlights import clipping_levels, rebuild_highlights, without_clipped_colour
from restore.image.raw_picture import PLANE_COLOURS, RawPicture, normalised, pack

Sensor = Callable[..., RawPicture]


def _planes(light: np.ndarray, levels: np.ndarray, period: int = 2) -> np.ndarray:
    """Planes of what a sensor sees of balanced light ``[3, h, w]``, clipped."""
    colours = list(PLANE_COLOURS[period])
    return np.minimum(light, levels[:, None, None])[colours].astype(np.float32)


LEVELS = np.array([2.1, 1.0, 1.6], dtype=np.float32)


@pytest.mark.parametrize("period", [2, 6])
def test_a_lamp_is_white_to_its_middle_and_nothing_around_it_changes(period: int) -> None:
    y, x = np.mgrid[:60, :80]
    light = (4 * np.exp(-((y - 30) ** 2 + (x - 40) ** 2) / 200))[None].repeat(3, axis=0)
    planes = _planes(light, LEVELS, period)
    seen = planes.copy()
    share = rebuild_highlights(planes, LEVELS, period)
    assert 0 < share < 0.5
    by_colour = np.stack(
        [planes[np.array(PLANE_COLOURS[period]) == colour].mean(axis=0) for colour in range(3)]
    )
    np.testing.assert_allclose(by_colour, by_colour[1][None].repeat(3, axis=0), rtol=0.02)
    np.testing.assert_allclose(by_colour[1], np.minimum(light[0], LEVELS.max()), rtol=0.02)
    is_free = (light < LEVELS[:, None, None] - 1e-3).all(axis=0)
    np.testing.assert_array_equal(planes[:, is_free], seen[:, is_free])


def test_a_saturated_colour_is_rebuilt_in_the_hue_of_its_surroundings() -> None:
    light = np.linspace(0.3, 1.15, 120)[None, None].repeat(40, axis=1)
    light = light * np.array([0.8, 1.0, 0.9])[:, None, None]
    planes = _planes(light, LEVELS)
    rebuild_highlights(planes, LEVELS, 2)
    np.testing.assert_allclose(planes[1], light[1].clip(0, 1.15), rtol=0.1)


def test_highlights_are_never_darker_than_what_was_measured() -> None:
    rng = np.random.default_rng(0)
    planes = rng.uniform(0, 2.5, (4, 30, 30)).astype(np.float32)
    planes = np.minimum(planes, LEVELS[[0, 1, 2, 1]][:, None, None])
    before = planes.copy()
    rebuild_highlights(planes, LEVELS, 2)
    assert (planes >= before).all()
    assert planes.max() <= LEVELS.max() + 1e-6


def test_the_first_colour_to_saturate_is_white(sensor: Sensor) -> None:
    raw = sensor(saturation=(14512.0, 15012.0, 15512.0, 15112.0))
    levels = clipping_levels(raw)
    np.testing.assert_allclose(levels, [1, 14500 / 14000, 15000 / 14000])
    gains = gains_of((2.0, 1.0, 1.5), levels.tolist())
    assert float((gains * levels).min()) == pytest.approx(1)
    full = replace(raw, mosaic=np.full((8, 8), 15512, np.uint16))
    planes = pack(normalised(full), raw.cfa).planes * gains[[0, 1, 2, 1]][:, None, None]
    rebuild_highlights(planes, levels * gains, 2)
    assert planes.min() >= 1
    np.testing.assert_allclose(planes, planes[0, 0, 0], rtol=1e-6)


def test_colours_beyond_white_keep_their_luminance_and_lose_their_tint() -> None:
    linear = np.array([[1.5, 0.2, 3.0], [0.6, 0.3, 2.5], [0.1, 0.9, 2.8]], np.float32)[:, None]
    shown = without_clipped_colour(linear)
    assert shown.max() <= 1 + 1e-6
    np.testing.assert_array_equal(shown[:, 0, 1], linear[:, 0, 1])
    np.testing.assert_allclose(shown[:, 0, 2], 1, atol=1e-6)
    weights = np.array([0.2126, 0.7152, 0.0722])
    assert weights @ shown[:, 0, 0] == pytest.approx(weights @ linear[:, 0, 0], rel=1e-4)
