"""Tests of training on noisy pictures alone."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy import ndimage

from restore.denoise import noisy_train
from restore.denoise.noisy_pictures import open_noisy_pictures
from restore.denoise.noisy_recipe import NoisyRecipe
from restore.denoise.noisy_train import train_on_noisy
from restore.denoise.runner import Denoiser
from restore.denoise.self_supervision import BlindSpots, Neighbours, NoisyCrops, NoisyLoss
from restore.errors import TrainingError, UsageError
from restore.image.decode import decode
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture
from restore.training.picture_store import PictureStore
from restore.training.session import Settings
from restore.training.state import Randomness

SIDE, SIGMA = 96, 0.1
CPU = Settings(device="cpu", precision="fp32")


def scene(seed: int) -> np.ndarray:
    """Return a smooth clean picture ``[H, W]`` in [0.2, 0.8]."""
    values = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    values = ndimage.gaussian_filter(values, 6, mode="wrap")
    return np.clip(0.5 + 0.12 * values / values.std(), 0.2, 0.8)


def noisy(seed: int, blur: float = 0.0) -> np.ndarray:
    values = np.random.default_rng(100 + seed).normal(size=(SIDE, SIDE))
    if blur:
        values = ndimage.gaussian_filter(values, blur, mode="wrap")
    return scene(seed) + SIGMA * values / values.std()


def write_bytes(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(4):
        write_bytes(tmp_path / "noisy" / f"{seed}.png", noisy(seed))
    return tmp_path / "noisy"


def opened(folder: Path, method: str = "auto", channels: int = 0, patch: int = 32):
    said: list[str] = []
    found = open_noisy_pictures(
        [folder],
        method=method,
        channels=channels,
        patch=patch,
        store=PictureStore(),
        warn=said.append,
    )
    return found, said


def recipe(**settings: object) -> NoisyRecipe:
    # The rate is still rising when it ends.
    return NoisyRecipe(
        steps=40, widths=(8,), patch=32, batch=8, ema=0.8, learning_rate=0.03, **settings
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the measurement of precisions out, which takes longer than these trainings."""
    monkeypatch.setattr(noisy_train, "measured", lambda weights, **_: weights)


def test_white_noise_is_learned_from_averages(folder: Path) -> None:
    found, said = opened(folder)
    assert (found.method, found.channels, found.pictures) == ("downscaled", 1, 4)
    assert any("white" in line and "Recorrupted" in line for line in said)
    assert any("sigma 25" in line or "sigma 26" in line for line in said)
    assert found.noise is not None
    assert found.noise.sigma == pytest.approx(SIGMA, rel=0.05)


def test_noise_that_gaussian_noise_cannot_stand_in_for_is_learned_from_neighbours(
    tmp_path: Path,
) -> None:
    for seed in range(4):
        spots = np.random.default_rng(seed).random((SIDE, SIDE)) < 0.1
        pixels = np.where(spots, 4 * noisy(seed) - 3 * scene(seed), noisy(seed))
        tifffile.imwrite(tmp_path / f"{seed}.tif", pixels.astype(np.float32))
    found, said = opened(tmp_path)
    assert found.method == "neighbours"
    assert any("unlike Gaussian noise" in line for line in said)


def test_pictures_too_small_to_measure_their_noise_are_learned_from_neighbours(
    tmp_path: Path,
) -> None:
    for seed in range(2):
        write_bytes(tmp_path / f"{seed}.png", noisy(seed)[:40, :40])
    found, said = opened(tmp_path)
    assert found.method == "neighbours"
    assert any("how strong" in line for line in said)
    with pytest.raises(TrainingError, match="neighbours"):
        opened(tmp_path, method="downscaled")


def test_correlated_noise_is_learned_from_averages_too(tmp_path: Path) -> None:
    for seed in range(4):
        write_bytes(tmp_path / f"{seed}.png", noisy(seed, blur=0.6))
    found, said = opened(tmp_path)
    assert found.method == "downscaled"
    assert min(found.correlation.reach) >= 1
    assert any("correlated over" in line for line in said)
    assert found.noise is not None
    assert found.noise.sigma == pytest.approx(SIGMA, rel=0.15)


def test_correlated_spots_are_learned_with_spots_as_wide(tmp_path: Path) -> None:
    for seed in range(4):
        values = np.random.default_rng(seed).normal(size=(SIDE, SIDE)) ** 5
        values = ndimage.gaussian_filter(values, 0.6, mode="wrap")
        pixels = scene(seed) + SIGMA * values / values.std()
        tifffile.imwrite(tmp_path / f"{seed}.tif", pixels.astype(np.float32))
    found, said = opened(tmp_path)
    assert found.method == "blind-spot"
    assert any("unlike Gaussian noise" in line for line in said)


def test_stripes_are_too_long_to_make(tmp_path: Path) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        stripes = rng.normal(0, SIGMA, (SIDE, 1)) + rng.normal(0, SIGMA / 4, (SIDE, SIDE))
        tifffile.imwrite(tmp_path / f"{seed}.tif", (scene(seed) + stripes).astype(np.float32))
    found, said = opened(tmp_path)
    assert found.method == "blind-spot"
    assert any("farther than can be measured" in line for line in said)


def test_folders_of_one_scene_each_are_bursts(tmp_path: Path) -> None:
    for name in range(2):
        for frame in range(3):
            pixels = scene(name) + np.random.default_rng(frame).normal(0, SIGMA, (SIDE, SIDE))
            write_bytes(tmp_path / str(name) / f"{frame}.png", pixels)
    found, _ = opened(tmp_path)
    assert (found.method, [len(frames) for frames in found.scenes]) == ("bursts", [3, 3])


def test_a_folder_between_the_frames_of_a_burst_does_not_part_them(tmp_path: Path) -> None:
    for index, name in enumerate(("a.tif", "b/a.tif", "b/c.tif", "d.tif")):
        pixels = scene(0) + np.random.default_rng(index).normal(0, SIGMA, (SIDE, SIDE))
        write_bytes(tmp_path / name, pixels)
    found, _ = opened(tmp_path)
    assert [len(frames) for frames in found.scenes] == [2, 2]


def test_bursts_are_refused_where_folders_hold_several_scenes(folder: Path) -> None:
    with pytest.raises(TrainingError, match="several frames of one scene"):
        opened(folder, method="bursts")


def test_floating_point_pictures_keep_their_range(tmp_path: Path) -> None:
    for seed in range(2):
        tifffile.imwrite(tmp_path / f"{seed}.tif", (1000 + 5000 * noisy(seed)).astype(np.float32))
    tifffile.imwrite(tmp_path / "byte.tif", np.zeros((SIDE, SIDE), np.uint8))
    found, said = opened(tmp_path)
    assert found.samples.kind == "float"
    assert found.samples.black < 3000 < found.samples.white
    assert any("byte.tif" in line and "8 bits" in line for line in said)
    frame = found.scenes[0][0][:]
    assert frame.dtype == torch.float32
    assert -0.2 < float(frame.min()) < float(frame.max()) < 1.2


def test_neighbours_of_a_sample_are_adjacent_pixels_of_the_whole() -> None:
    picture = torch.arange(64 * 64, dtype=torch.float32).view(1, 64, 64)
    crops = NoisyCrops([[picture]], [0.0], patch=32, batch=3, turns=False)
    batch = Neighbours(crops)(Randomness(0, torch.device("cpu")))
    distance = (batch.noisy - batch.target).abs()
    assert batch.noisy.shape == (3, 1, 16, 16)
    assert set(distance.unique().tolist()) == {1.0, 64.0}


def test_the_regularisation_comes_in_when_the_network_has_begun_to_learn() -> None:
    picture = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    crops = NoisyCrops([[picture]], [0.0], patch=32, batch=3, turns=False)
    batch = Neighbours(crops)(Randomness(0, torch.device("cpu")))
    loss = NoisyLoss()

    def halved(noisy: torch.Tensor, _sigma: torch.Tensor) -> torch.Tensor:
        return noisy / 2

    plain = float((batch.noisy / 2 - batch.target).square().mean())
    # Half of the difference of the samples is expected, and half of the target is left.
    regularisation = float((batch.target / 2).square().mean())
    for progress, weight in ((0.0, 0.0), (0.2, 0.0), (0.6, 1.0), (1.0, 2.0)):
        assert not list(loss.pace(progress))
        expected = plain + weight * regularisation
        assert float(loss(halved, batch)) == pytest.approx(expected, rel=1e-5)


def test_nothing_near_the_centre_of_a_spot_is_of_its_own_place() -> None:
    picture = torch.arange(64 * 64, dtype=torch.float32).view(1, 64, 64)
    crops = NoisyCrops([[picture]], [0.0], patch=48, batch=4, turns=False)
    batch = BlindSpots(crops, (1, 2))(Randomness(0, torch.device("cpu")))
    assert batch.counts is not None
    assert batch.counts.sum() > 0
    for crop, _, row, column in batch.counts.nonzero().tolist():
        around = (slice(max(0, row - 1), row + 2), slice(max(0, column - 2), column + 3))
        there = batch.noisy[crop, 0][around].flatten().tolist()
        own = batch.target[crop, 0][around].flatten().tolist()
        assert not set(there) & set(own)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["downscaled", "neighbours", "blind-spot"])
def test_noise_is_removed_without_clean_pictures(folder: Path, tmp_path: Path, method: str) -> None:
    output = tmp_path / "mine.safetensors"
    weights = train_on_noisy(recipe(method=method), output, noisy=[folder], settings=CPU)
    assert weights.provenance["data"]["noisy"] == 4
    assert ("sigma" in weights.provenance["data"]) is (method == "downscaled")
    denoised = Denoiser(output, device="cpu")(folder / "0.png")
    clean = scene(0)[None].astype(np.float32)
    before, after = (
        psnr_chw(picture.pixels, clean) for picture in (decode(folder / "0.png"), denoised.picture)
    )
    assert after > before + 2
    assert denoised.record["trained_on_noisy"] == method


@pytest.mark.usefixtures("quick")
def test_the_range_of_training_is_that_of_denoising(tmp_path: Path) -> None:
    for seed in range(2):
        tifffile.imwrite(tmp_path / f"{seed}.tif", (1000 + 5000 * noisy(seed)).astype(np.float32))
    output = tmp_path / "mine.safetensors"
    train_on_noisy(recipe(), output, noisy=[tmp_path], settings=CPU)
    denoiser = Denoiser(output, device="cpu")
    denoised = denoiser(tmp_path / "0.tif")
    error = denoised.picture.pixels[0] - (1000 + 5000 * scene(0))
    assert float(error.std()) < 0.8 * 5000 * SIGMA
    assert abs(float(error.mean())) < 0.1 * 5000 * SIGMA
    assert denoised.picture.is_float
    assert denoised.record["scale"] > 1000
    # Pictures of another kind are presented as ever.
    byte = denoiser(Picture(pixels=np.full((1, 32, 32), 0.5, np.float32)))
    assert "scale" not in byte.record


@pytest.mark.usefixtures("quick")
def test_a_start_that_takes_the_level_keeps_it_unless_blind(folder: Path, tmp_path: Path) -> None:
    for blind in (False, True):
        weights = train_on_noisy(
            NoisyRecipe(steps=1, patch=32, batch=1, blind=blind),
            tmp_path / f"{blind}.safetensors",
            noisy=[folder],
            start_from="resunet-gray",
            settings=CPU,
        )
        assert weights.takes_sigma is not blind


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UsageError, match="downscaled, neighbours, blind-spot"):
        NoisyRecipe(steps=1, method="magic")
