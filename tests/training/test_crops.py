from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from restore.batch.inputs import pictures_in
from restore.denoise.crops import PairedCrops
from restore.errors import TrainingError, UsageError
from restore.image.codecs import ImageFormat
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer
from restore.training.crops import RandomCrops, crops_of, load_pictures
from restore.training.picture_store import PictureStore
from restore.training.state import Randomness


def rng(seed: int = 0) -> Randomness:
    return Randomness(seed, torch.device("cpu"))


def test_crops_reach_every_pixel_in_every_orientation() -> None:
    picture = torch.arange(36, dtype=torch.uint8).reshape(1, 6, 6)
    crops = RandomCrops([picture], patch=5, batch=400)(rng()) * 255
    assert set(crops.round().int().flatten().tolist()) == set(range(36))
    distinct = {tuple(crop.flatten().tolist()) for crop in crops}
    assert len(distinct) == 4 * 8, "four places, eight orientations"


def test_same_seed_same_batch() -> None:
    pictures = [torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8) for _ in range(3)]
    crops = RandomCrops(pictures, patch=16, batch=4)
    assert torch.equal(crops(rng(7)), crops(rng(7)))
    assert not torch.equal(crops(rng(7)), crops(rng(8)))


def test_large_pictures_give_more_crops() -> None:
    small, large = torch.zeros((1, 10, 10)), torch.full((1, 30, 30), 255)
    crops = RandomCrops([picture.byte() for picture in (small, large)], patch=8, batch=2000)(rng())
    assert float(crops.mean()) == pytest.approx(0.9, abs=0.03)


def test_pairs_stay_aligned() -> None:
    clean = torch.randint(0, 200, (3, 40, 50), dtype=torch.uint8)
    batch = PairedCrops([(clean + 51, clean)], patch=16, batch=8)(rng())
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
        store=PictureStore(),
        warn=notes.append,
    )
    (picture,) = pictures.values()
    assert picture.shape == (1, 40, 40)
    assert int(picture[0, 0, 0]) == round(0.587 * 200)
    assert [any(name in note for note in notes) for name in ("small.png", "text.png")] == [True] * 2


def test_gray_pictures_cannot_train_colour(tmp_path: Path) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "gray.png")
    with pytest.raises(TrainingError, match="no usable picture"):
        load_pictures(
            pictures_in(tmp_path, recursive=True),
            channels=3,
            least_size=16,
            store=PictureStore(),
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
        store=PictureStore(most_bytes=2000),
        warn=notes.append,
    )
    assert len(pictures) == 1
    assert notes == [
        "2 of 3 pictures, chosen at random, left out: 0 MiB of memory are full; with a folder as "
        "cache, none is left out"
    ]


def test_linear_light_is_exposed_and_encoded(tmp_path: Path) -> None:
    light = np.linspace(0, 50, 40 * 40 * 3, dtype=np.float32).reshape(3, 40, 40)
    picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    path = tmp_path / "light.exr"
    path.write_bytes(encode(picture, ImageFormat.EXR))
    (loaded,) = load_pictures(
        [path], channels=3, least_size=16, store=PictureStore(), warn=print
    ).values()
    assert (loaded == 255).float().mean() == pytest.approx(0.01, abs=0.005)
    assert loaded[:, :, :].float().median() == pytest.approx(255 * 0.735, abs=3)


@pytest.mark.parametrize("wrong", [{"patch": 0}, {"batch": 0}, {"channels": 2}, {"patch": "8"}])
def test_crops_that_cannot_be_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} .*: give"):
        crops_of(tmp_path, **{"patch": 8, "batch": 2} | wrong)


def test_crops_are_cut_from_all_pictures_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name, value in (("a.png", 51), ("below/b.png", 204)):
        Image.new("RGB", (12, 9), (value, value, value)).save(tmp_path / name)
    crops = crops_of(tmp_path, patch=8, batch=40)(rng())
    assert crops.shape == (40, 3, 8, 8)
    assert set((crops * 255).round().int().flatten().tolist()) == {51, 204}
