from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.errors import UsageError
from restore.training.dark import train_dark_enhancer
from restore.training.recipes import DarkRecipe
from restore.weights import build, load

TINY = DarkRecipe(width=2, patch=96, batch=2, steps=3)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((160, 128), Image.Resampling.BICUBIC).save(folder / name)
    return folder


@pytest.mark.parametrize("xtrans", [False, True])
def test_writes_weights_for_bayer_and_xtrans(photos: Path, tmp_path: Path, xtrans: bool) -> None:
    output = tmp_path / "night.safetensors"
    train_dark_enhancer(replace(TINY, xtrans=xtrans), output, clean=[photos])
    weights = load(output)
    assert (weights.architecture, weights.task) == ("IspUNet", "dark-enhance")
    assert weights.provenance["recipe"]["ratio"] == [50.0, 300.0]
    assert set(weights.precision_loss_db["bf16"]) == {"x50", "x100", "x300"}
    planes, scale = (9, 3) if xtrans else (4, 2)
    assert build(weights)(torch.rand(1, planes, 16, 32)).shape == (1, 3, 16 * scale, 32 * scale)


def test_goes_on_from_other_weights(photos: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    train_dark_enhancer(TINY, first, clean=[photos])
    second = tmp_path / "second.safetensors"
    told: list[str] = []
    train_dark_enhancer(TINY, second, clean=[photos], start_from=first, warn=told.append)
    assert load(second).provenance["started_from"] == "first"
    assert not told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ratio": (0.5, 300)}, "ratio"),
        ({"ratio": (300, 50)}, "ratio"),
        ({"cameras": ("Box Brownie",)}, "Box Brownie"),
        ({"width": 0}, "width"),
        ({"loss": "l3"}, "loss"),
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        replace(TINY, **changes)


def test_patch_must_fit_the_network() -> None:
    with pytest.raises(UsageError, match="multiple of 48"):
        replace(TINY, xtrans=True, patch=64).network()
