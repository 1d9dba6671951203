from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from restore.image.picture import Picture
from restore.image.raw_picture import RawPicture
from restore.image.sample_noise import SampleNoise

Sensor = Callable[..., RawPicture]


@pytest.mark.parametrize("shot", [1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
def test_noise_is_measured_by_brightness(sensor: Sensor, pattern: str, shot: float) -> None:
    light = np.outer(np.linspace(0.5, 1, 300), np.linspace(0.01, 0.8, 420))
    sigma = np.sqrt(shot * light + 1e-6)
    seen = light + sigma * np.random.default_rng(0).standard_normal(light.shape)
    mosaic = np.rint(512 + 15000 * seen).clip(0, 15512).astype(np.uint16)
    noise = SampleNoise.of(sensor(pattern, mosaic=mosaic))
    for level in (0.1, 0.3, 0.6):
        expected = 15000 * np.sqrt(shot * level + 1e-6)
        assert noise.at(np.array([512 + 15000 * level])) == pytest.approx(expected, rel=0.25)


def test_texture_hardly_counts_as_noise(sensor: Sensor, clean_photos: list[Picture]) -> None:
    for photo in clean_photos:
        green = ((photo.pixels[1] + 0.055) / 1.055) ** 2.4
        sigma = np.sqrt(1e-4 * green + 1e-6)
        seen = green + sigma * np.random.default_rng(0).standard_normal(green.shape)
        raw = sensor(size=green.shape)
        raw = replace(raw, mosaic=np.rint(512 + 15000 * seen).clip(0, 15512).astype(np.uint16))
        measured = SampleNoise.of(raw).at(np.float32(512 + 15000 * green))
        assert np.median(measured / (15000 * sigma)) < 6


def test_where_nothing_can_be_told_everything_may_be_noise(sensor: Sensor) -> None:
    assert SampleNoise.of(sensor(size=(5, 7))).sigmas.min() > 15000
