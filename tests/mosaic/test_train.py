from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.errors import UsageError
from restore.mosaic.recipe import MosaicRecipe
from restore.mosaic.train import train_mosaic_denoiser
from restore.tasks import load

TINY = MosaicRecipe(widths=(4, 8), patch=32, batch=2, steps=3)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((160, 128), Image.Resampling.BICUBIC).save(folder / name)
    return folder


def test_writes_weights_that_are_measured_by_iso_speed(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "raw.safetensors"
    train_mosaic_denoiser(TINY, output, clean=[photos])
    weights = load(output)
    assert (weights.architecture, weights.task) == ("MosaicResUNet", "denoise-raw")
    assert set(weights.precision_loss_db["bf16"]) == {
        "ISO 100", "ISO 800", "ISO 6400", "ISO 25600",
    }  # fmt: skip
    assert weights.build()(torch.rand(1, 31, 16, 24)).shape == (1, 4, 16, 24)


def test_the_levels_of_a_denoiser_of_finished_pictures_are_taken(
    photos: Path, tmp_path: Path
) -> None:
    output, told = tmp_path / "raw.safetensors", []
    recipe = replace(TINY, widths=(), steps=1, learning_rate=1e-9, ema=0.0)
    train_mosaic_denoiser(
        recipe, output, clean=[photos], start_from="resunet-color", warn=told.append
    )
    assert told == ["2 of 36 tensors start afresh"]
    donor, weights = load("resunet-color"), load(output)
    key = "encoder.3.0.conv1.weight"
    torch.testing.assert_close(weights.tensors[key], donor.tensors[key], atol=2e-3, rtol=2e-3)


def test_mosaics_are_not_learned_from_other_networks(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="DnCNN"):
        train_mosaic_denoiser(
            TINY, tmp_path / "raw.safetensors", clean=[photos], start_from="dncnn-color"
        )


def test_crops_must_fit_the_network() -> None:
    with pytest.raises(UsageError, match="give a multiple of 16"):
        MosaicRecipe(patch=120, steps=1).network()
