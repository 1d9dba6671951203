"""Synthetic RAW files: softly textured scenes, as sensors of many pixels see them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from restore.errors import UsageError
from restore.image.colour import srgb_to_linear
from restore.image.dng_metadata import DngMetadata
from restore.image.ifd import Entry
from restore.image.picture import Picture
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.noise.poisson_gaussian import NoiseProfile, estimate_profile, stated_profile

Sensor = Callable[..., RawPicture]

_BLACK, _RANGE = 512.0, 15871.0
_KINDS = {"bayer": 2, "xtrans": 6, "mono": 1}


@pytest.fixture(scope="module")
def scenes(clean_photos: list[Picture]) -> list[NDArray[np.float32]]:
    """Camera RGB ``[3, 640, 640]``: a lens does not resolve what is smaller than a few pixels."""
    scenes = []
    for photo in clean_photos:
        light = srgb_to_linear(gaussian_filter(photo.pixels, (0, 0.7, 0.7)))
        large = np.stack([zoom(plane, 4, order=3) for plane in light]).clip(0, 1)
        scenes.append(large * np.array([0.5, 0.95, 0.6], np.float32)[:, None, None])
    return scenes


def shot(
    scene: NDArray[np.float32], a: float, b: float, *, side: int = 2, black_error: float = 0.0,
    iso: float | None = None, seed: int = 0,
) -> RawPicture:  # fmt: skip
    """Return a 14-bit RAW file of a scene."""
    rng = np.random.default_rng(seed)
    cfa = REFERENCE_CFA[side]
    height, width = scene.shape[1:]
    colours = np.where(cfa == 3, 1, cfa)
    colours = np.tile(colours, (height // side + 1, width // side + 1))[:height, :width]
    light = np.take_along_axis(scene, colours[None].astype(np.intp), axis=0)[0]
    sigma = np.sqrt(a * light + b)
    stored = _BLACK + _RANGE * (light + sigma * rng.standard_normal(light.shape))
    return RawPicture(
        mosaic=np.rint(stored).clip(0, 16383).astype(np.uint16),
        cfa=cfa,
        black_level=(_BLACK - black_error,) * 4,
        white_level=_BLACK + _RANGE,
        iso=iso,
    )


def error(found: NoiseProfile, a: float, b: float, light: float) -> float:
    """Return by how much the sigma found is off at ``light``, relative to the true one."""
    return found.sigma(light)[1] / math.sqrt(a * light + b + 1 / 12 / _RANGE**2) - 1


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize(("a", "b"), [(1e-4, 2e-7), (1e-3, 5e-6)])
def test_shot_and_read_noise_are_found(
    scenes: list[NDArray[np.float32]], kind: str, a: float, b: float
) -> None:
    for scene in scenes[:3]:
        found = estimate_profile(shot(scene, a, b, side=_KINDS[kind]))
        # One scene lies near 0.1, on which side depends on the processor.
        assert abs(error(found, a, b, 0.18)) < 0.12
        assert abs(error(found, a, b, 0.02)) < 0.15


def test_a_wrong_black_level_does_no_harm(scenes: list[NDArray[np.float32]]) -> None:
    a, b = 2e-4, 1e-6
    for off in (-5.0, 5.0):
        found = estimate_profile(shot(scenes[0], a, b, black_error=off))
        assert abs(error(found, a, b, 0.18)) < 0.1


def test_saturated_and_clipped_samples_do_not_count(scenes: list[NDArray[np.float32]]) -> None:
    a, b = 5e-4, 2e-6
    bright = shot((3 * scenes[0]).clip(0, 1.2), a, b)
    for raw in (
        bright,
        replace(bright, mosaic=bright.mosaic.clip(540, 14000)),
    ):
        known = replace(raw, saturation=(14000.0,) * 4)
        assert abs(error(estimate_profile(known), a, b, 0.18)) < 0.12


def test_texture_alone_is_not_taken_for_strong_noise() -> None:
    """What grows with the square of the light is texture; the ISO speed says what is usual."""
    rng = np.random.default_rng(0)
    light = np.linspace(0.02, 0.8, 640)[None] * (1 + 0.05 * rng.standard_normal((640, 640)))
    scene = np.repeat(light[None].clip(0, 1).astype(np.float32), 3, axis=0)
    found = estimate_profile(shot(scene, 1e-5, 1e-8, iso=100))
    assert found.sigma(0.18)[1] < 3 * math.sqrt(1e-5 * 0.18)


@pytest.mark.parametrize("kind", ["bayer", "xtrans"])
def test_fine_texture_is_told_from_noise(clean_photos: list[Picture], kind: str) -> None:
    """Photographs at 160 pixels a side have texture in every pixel, as strong as this noise."""
    a, b = 4e-5, 6e-8
    for photo in clean_photos:
        light = srgb_to_linear(photo.pixels) * np.array([0.5, 0.95, 0.6], np.float32)[:, None, None]
        found = estimate_profile(shot(light, a, b, side=_KINDS[kind], iso=400))
        assert -0.5 < error(found, a, b, 0.18) < 0.4


def test_grain_that_is_nearly_white_is_no_strong_noise_at_a_low_speed() -> None:
    rng = np.random.default_rng(0)
    grain = gaussian_filter(rng.standard_normal((500, 500)), 0.5)
    light = np.linspace(0.05, 0.6, 500)[None] + 0.012 * grain / grain.std()
    scene = np.repeat(light[None].clip(0, 1).astype(np.float32), 3, axis=0)
    found = estimate_profile(shot(scene, 1e-5, 1e-8, iso=100))
    assert found.a[0] < 2e-5


@pytest.mark.parametrize("level", [0, 512, 16383])
def test_pictures_that_say_nothing_get_usual_numbers(sensor: Sensor, level: int) -> None:
    for size in ((1, 1), (40, 30), (200, 200)):
        found = estimate_profile(sensor(mosaic=np.full(size, level, np.uint16)))
        assert 0 <= found.a[0] < 1e-2
        assert 0 <= found.b[0] < 1e-2


def test_profiles_of_real_cameras_are_found_within_15_percent(
    scenes: list[NDArray[np.float32]], shared_data: Path
) -> None:
    """Median within 5 %, nine in ten within 15 %, of sigma at middle gray, ISO 400 to 25600."""
    entries = json.loads((shared_data / "noise/noiseprofiles.json").read_text())
    profiles = [
        profile
        for maker in entries["noiseprofiles"]
        for model in maker["models"]
        for profile in model["profiles"]
        if profile["iso"] in (400, 1600, 6400, 25600) and min(profile["a"][1], profile["b"][1]) > 0
    ]
    rng = np.random.default_rng(0)
    errors = []
    for index in rng.choice(len(profiles), 20, replace=False):
        iso, a, b = (profiles[index][key] for key in ("iso", "a", "b"))
        raw = shot(scenes[index % len(scenes)], a[1], b[1], iso=iso, seed=int(index))
        errors.append(abs(error(estimate_profile(raw), a[1], b[1], 0.18)))
    assert np.median(errors) < 0.05
    assert np.quantile(errors, 0.9) < 0.15


def _dng(*numbers: float) -> DngMetadata:
    data = np.array(numbers, "<f8").tobytes()
    return DngMetadata(tags={51041: Entry(12, len(numbers), data)})


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((2e-4, 3e-7), ((2e-4,) * 3, (3e-7,) * 3)),
        ((1e-4, 1e-7, 2e-4, 2e-7, 3e-4, 3e-7), ((1e-4, 2e-4, 3e-4), (1e-7, 2e-7, 3e-7))),
        ((0.0, 0.0), None),
        ((2e-4, -1e-7), ((2e-4,) * 3, (0.0,) * 3)),
        ((2e-4, 2.0), None),
        ((1e-4, 1e-7, 2e-4, 2e-7), None),
    ],
)
def test_a_dng_may_state_its_noise(sensor: Sensor, numbers: Any, expected: Any) -> None:
    stated = stated_profile(sensor(dng=_dng(*numbers)))
    assert stated == (NoiseProfile(a=expected[0], b=expected[1]) if expected else None)


@pytest.mark.parametrize(
    ("a", "b"), [((1e-4, 1e-4), (0, 0, 0)), ((-1, 0, 0), (0, 0, 0)), ((0, 0, 0), (2, 0, 0))]
)
def test_impossible_profiles_are_refused(a: Any, b: Any) -> None:
    with pytest.raises(UsageError, match="three numbers from 0 to 1"):
        NoiseProfile(a=a, b=b)
