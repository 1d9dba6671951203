from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.engine.inputs import pictures_in
from restore.errors import TrainingError
from restore.training.data import (
    GaussianNoise,
    PairedCrops,
    RandomCrops,
    load_pictures,
)

CPU = torch.device("cpu")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_has_the_drawn_level_and_no_bias() -> None:
    gray = torch.full((1, 64, 64), 128, dtype=torch.uint8)
    crops = RandomCrops([gray], patch=64, batch=64)
    batch = GaussianNoise(crops, sigma_range=(10 / 255, 50 / 255))(rng(), CPU)
    assert float(batch.sigma.min()) >= 10 / 255
    assert float(batch.sigma.max()) <= 50 / 255
    assert float(batch.sigma.std()) > 8 / 255, "levels spread over the range"
    noise = (batch.noisy - batch.clean).flatten(1)
    torch.testing.assert_close(noise.std(dim=1), batch.sigma, rtol=0.06, atol=0)
    assert float(noise.mean().abs()) < 2e-3


def test_crops_reach_every_pixel_in_every_orientation() -> None:
    picture = torch.arange(36, dtype=torch.uint8).reshape(1, 6, 6)
    crops = RandomCrops([picture], patch=5, batch=400)(rng(), CPU) * 255
    assert set(crops.round().int().flatten().tolist()) == set(range(36))
    distinct = {tuple(crop.flatten().tolist()) for crop in crops}
    assert len(distinct) == 4 * 8, "four places, eight orientations"


def test_same_seed_same_batch() -> None:
    pictures = [torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8) for _ in range(3)]
    source = GaussianNoise(RandomCrops(pictures, patch=16, batch=4), sigma_range=(0, 0.2))
    first, second = (source(rng(7), CPU) for _ in range(2))
    assert torch.equal(first.noisy, second.noisy)


def test_pairs_stay_aligned() -> None:
    clean = torch.randint(0, 200, (3, 40, 50), dtype=torch.uint8)
    batch = PairedCrops([(clean + 51, clean)], patch=16, batch=8)(rng(), CPU)
    difference = batch.noisy - batch.clean
    torch.testing.assert_close(difference, torch.full_like(difference, 0.2))
    torch.testing.assert_close(batch.sigma, torch.zeros(8), atol=1e-6, rtol=0)


def test_loading_converts_to_luma_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    rgb = np.zeros((40, 40, 3), dtype=np.uint8)
    rgb[..., 1] = 200
    Image.fromarray(rgb).save(tmp_path / "a.png")
    Image.fromarray(rgb[:8, :8]).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("not a picture")
    notes: list[str] = []
    pictures = load_pictures(
        pictures_in(tmp_path, recursive=True),
        channels=1,
        least_size=16,
        max_bytes=1 << 20,
        warn=notes.append,
    )
    (picture,) = pictures.values()
    assert picture.shape == (1, 40, 40)
    assert int(picture[0, 0, 0]) == round(0.587 * 200)
    assert ["small.png" in notes[0], "text.png" in notes[1]] == [True, True]


def test_gray_pictures_cannot_train_colour(tmp_path: Path) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "gray.png")
    with pytest.raises(TrainingError, match="no usable picture"):
        load_pictures(
            pictures_in(tmp_path, recursive=True),
            channels=3,
            least_size=16,
            max_bytes=1 << 20,
            warn=print,
        )


def test_memory_limit_is_kept_and_said(tmp_path: Path) -> None:
    for name in "abc":
        Image.new("L", (40, 40)).save(tmp_path / f"{name}.png")
    notes: list[str] = []
    pictures = load_pictures(
        pictures_in(tmp_path, recursive=True),
        channels=1,
        least_size=16,
        max_bytes=2000,
        warn=notes.append,
    )
    assert len(pictures) == 1
    assert "2 pictures left out" in notes[0]
