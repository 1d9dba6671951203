from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from restore.engine.runner import Runner
from restore.errors import UsageError, WeightsError
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.mosaic.data import captured, planes_of, sensor_masks
from restore.mosaic.planes import UNIT
from restore.mosaic.runner import MosaicDenoiser, _Grid
from restore.mosaic.tiles import KSigmaTile, NormalisedTile
from restore.noise.poisson_gaussian import NoiseProfile

Sensor = Callable[..., RawPicture]

PROFILE = NoiseProfile(a=(1e-3, 1e-3, 1e-3), b=(1e-5, 2e-5, 3e-5))
PHASES = ("rggb", "grbg", "gbrg", "bggr", "xtrans")

pytestmark = pytest.mark.usefixtures("usual_engine")


@pytest.fixture
def denoiser(mosaic_model: Path) -> MosaicDenoiser:
    return MosaicDenoiser(mosaic_model, precision="fp32")


@pytest.fixture
def without_network(monkeypatch: pytest.MonkeyPatch, denoiser: MosaicDenoiser) -> MosaicDenoiser:
    """A denoiser whose network finds all samples to be one deviation too high."""

    def noise(_self: Runner, _generation: int, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((1, 4, *planes.shape[2:]), 1 / UNIT, np.float32)

    monkeypatch.setattr(Runner, "in_lane", noise)
    return denoiser


@pytest.mark.parametrize("pattern", PHASES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (37, 53), (64, 66)])
def test_any_size_comes_out_as_it_is(
    sensor: Sensor, denoiser: MosaicDenoiser, pattern: str, size: tuple[int, int]
) -> None:
    raw = sensor(pattern, size=size)
    done = denoiser(raw, profile=PROFILE)
    assert done.raw.mosaic.shape == size
    assert done.before is raw
    assert replace(done.raw, mosaic=raw.mosaic) == raw


@pytest.mark.parametrize("pattern", PHASES)
def test_blocks_come_back_where_they_were(
    sensor: Sensor, denoiser: MosaicDenoiser, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """Without any noise to take out, all that remains is reading and writing."""
    monkeypatch.setattr(Runner, "in_lane", lambda _self, _generation, planes: 0 * planes[:, :4])
    raw = sensor(pattern, size=(51, 65), black_level=(500.0, 512.0, 520.0, 530.0))
    done = denoiser(raw, profile=PROFILE)
    np.testing.assert_array_equal(done.raw.mosaic, raw.mosaic)


@pytest.mark.parametrize("pattern", PHASES)
def test_each_colour_has_its_own_noise(
    sensor: Sensor, without_network: MosaicDenoiser, pattern: str
) -> None:
    raw = sensor(pattern, size=(48, 48))
    black = replace(raw, mosaic=np.full((48, 48), 512 + 3000, np.uint16))
    profile = NoiseProfile(a=(0, 0, 0), b=(1e-4, 4e-4, 9e-4))
    removed = 3512 - without_network(black, profile=profile).raw.mosaic.astype(int)
    colours = np.tile(np.where(raw.cfa == 3, 1, raw.cfa), (24, 24))[:48, :48]
    for colour, sigma in enumerate((0.01, 0.02, 0.03)):
        np.testing.assert_allclose(removed[colours == colour], sigma * 15000, atol=1)


def test_the_phases_of_a_scene_are_denoised_alike(sensor: Sensor, denoiser: MosaicDenoiser) -> None:
    scene = sensor("rggb", size=(300, 320), level=0.1)
    whole = denoiser(scene, profile=PROFILE).raw.mosaic
    for pattern, (top, left) in {"grbg": (0, 1), "gbrg": (1, 0), "bggr": (1, 1)}.items():
        part = sensor(pattern, mosaic=np.ascontiguousarray(scene.mosaic[top:, left:]))
        done = denoiser(part, profile=PROFILE).raw.mosaic
        inside = slice(80, -80)
        np.testing.assert_allclose(
            done[inside, inside].astype(int), whole[top:, left:][inside, inside], atol=1
        )


def test_tiles_leave_no_seams(sensor: Sensor, mosaic_model: Path) -> None:
    raw = sensor("xtrans", size=(290, 310), level=0.2)
    whole, tiled = (
        MosaicDenoiser(mosaic_model, precision="fp32", tile=tile)(raw, profile=PROFILE).raw.mosaic
        for tile in (4096, 64)
    )
    np.testing.assert_allclose(tiled.astype(int), whole, atol=1)


def test_tiles_may_be_smaller_than_what_brings_a_filter_into_phase(
    sensor: Sensor, mosaic_model: Path
) -> None:
    raw = sensor(cfa=np.roll(REFERENCE_CFA[6], (1, 1), (0, 1)), size=(21, 23), level=0.2)
    whole, tiled = (
        MosaicDenoiser(mosaic_model, precision="fp32", tile=tile)(raw, profile=PROFILE).raw.mosaic
        for tile in (4096, 2)
    )
    np.testing.assert_allclose(tiled.astype(int), whole, atol=1)


def test_saturated_samples_stay_and_nothing_rises_above_white(
    sensor: Sensor, denoiser: MosaicDenoiser
) -> None:
    raw = sensor(size=(64, 64), level=1.2)
    done = denoiser(raw, profile=PROFILE).raw.mosaic
    is_saturated = raw.mosaic >= raw.white_level
    assert is_saturated.mean() > 0.05
    np.testing.assert_array_equal(done[is_saturated], raw.mosaic[is_saturated])
    assert done[~is_saturated].max() <= raw.white_level


def test_strength_blends_and_zero_changes_nothing(
    sensor: Sensor, without_network: MosaicDenoiser
) -> None:
    raw = sensor(mosaic=np.full((32, 32), 3512, np.uint16))
    flat = NoiseProfile(a=(0, 0, 0), b=(1e-4, 1e-4, 1e-4))
    removed = {
        strength: 3512 - int(without_network(raw, profile=flat, strength=strength).raw.mosaic[9, 9])
        for strength in (0.0, 0.5, 1.0, 2.0)
    }
    assert removed == {0.0: 0, 0.5: 75, 1.0: 150, 2.0: 300}
    with pytest.raises(UsageError, match=r"strength 2.5: give a number from 0 to 2"):
        without_network(raw, strength=2.5)


def test_the_record_says_where_the_noise_profile_came_from(
    sensor: Sensor, denoiser: MosaicDenoiser
) -> None:
    raw = sensor("xtrans", size=(192, 192))
    given = denoiser(raw, profile=PROFILE)
    assert given.record["noise_source"] == "given"
    assert given.record["noise_b"] == [1e-05, 2e-05, 3e-05]
    assert given.record["sensor"] == "X-Trans"
    estimated = denoiser(raw)
    assert estimated.record["noise_source"] == "estimated"
    assert estimated.profile != PROFILE


@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
def test_hot_photosites_are_filled_and_counted(
    sensor: Sensor, denoiser: MosaicDenoiser, pattern: str
) -> None:
    noise = np.random.default_rng(0).normal(1500, 20, (96, 132))
    mosaic = noise.astype(np.uint16)
    mosaic[[20, 50, 70], [30, 90, 41]] = 9000
    raw = sensor(pattern, mosaic=mosaic)
    repaired, kept = (denoiser(raw, profile=PROFILE, repair=repair) for repair in (True, False))
    assert (repaired.record["defects"], kept.record["defects"]) == (3, 0)
    assert repaired.before is raw
    assert repaired.raw.mosaic.max() < 3000 < kept.raw.mosaic.max()
    assert np.array_equal(denoiser(raw, profile=PROFILE, strength=0).raw.mosaic, mosaic)


@pytest.mark.parametrize("b", [0.0, 1e-8, 1e-4])
def test_the_transform_of_noise_without_shot_noise_loses_nothing(b: float) -> None:
    tile = KSigmaTile(NoiseProfile(a=(0.0,) * 3, b=(b,) * 3), 1.0)
    samples = np.random.default_rng(0).random((4, 8, 8), dtype=np.float32)
    result = tile(lambda planes: planes, samples)
    np.testing.assert_allclose(result, samples, atol=0.02 * b**0.5 + 1e-6)


def test_weights_for_finished_pictures_are_refused() -> None:
    with pytest.raises(WeightsError, match="are for denoise, not for denoise-raw"):
        MosaicDenoiser("resunet-color")


@pytest.mark.parametrize("kind", ["bayer", "xtrans"])
def test_files_are_prepared_for_the_network_as_in_training(sensor: Sensor, kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(1, 3, 48, 48, generator=generator)
    a, b = torch.tensor([1e-3]), torch.tensor([1e-5])
    learned = captured(clean, generator, filter_kind=kind, profiles=(a, b), exact=True)
    mosaic = torch.nn.functional.pixel_shuffle(learned.samples, 2)[0, 0].numpy()
    raw = sensor(
        mosaic=np.rint(512 + 15000 * mosaic).astype(np.uint16),
        cfa=REFERENCE_CFA[6 if kind == "xtrans" else 2],
    )
    patch = _Grid(raw).read((slice(0, 24), slice(0, 24)))
    expected = planes_of(
        torch.from_numpy(patch[None, :4]),
        sensor_masks(kind, 48, 48),
        a[:, None, None].expand(1, 3, 1),
        b[:, None, None].expand(1, 3, 1),
    )
    inputs: list[NDArray[np.float32]] = []

    def run(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs.append(planes)
        return 0 * planes[:, :4]

    profile = NoiseProfile(a=(1e-3,) * 3, b=(1e-5,) * 3)
    NormalisedTile(profile, 1.0, least_read=0)(run, patch)
    np.testing.assert_allclose(inputs[0], expected.planes.numpy(), rtol=1e-4, atol=1e-5)
