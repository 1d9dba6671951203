from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.errors import OutputExists, TrainingError, TrainingStopped, UsageError
from restore.training.checkpoint import checkpoint_path
from restore.training.denoise import train_denoiser
from restore.training.recipes import DenoiseRecipe
from restore.weights import build, load, save_weights

TINY = DenoiseRecipe(
    model="dncnn", channels=1, depth=3, widths=(8,), patch=16, batch=4, steps=6, sigma=(25, 25)
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "more/c.png"):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC).save(folder / name)
    return folder


def test_writes_weights_that_carry_their_recipe(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    train_denoiser(TINY, output, clean=photos, device="cpu")
    weights = load(output)
    assert weights.architecture == "DnCNN"
    assert weights.task == "denoise"
    assert (weights.channels, weights.config.depth) == (1, 3)
    assert weights.provenance["recipe"]["sigma"] == [25, 25]
    assert weights.provenance["data"] == {"folder": "photos", "pictures": 3}
    assert weights.provenance["steps"] == 6
    assert set(weights.precision_loss_db) == {"fp16", "bf16"}
    assert not checkpoint_path(output).exists(), "a finished run leaves no checkpoint"
    assert build(weights)(torch.rand(1, 1, 9, 9)).shape == (1, 1, 9, 9)


@pytest.mark.parametrize("model", ["dncnn", "resunet"])
def test_trains_colour_networks(photos: Path, tmp_path: Path, model: str) -> None:
    widths = (8,) if model == "dncnn" else (4, 6)
    recipe = replace(TINY, model=model, channels=3, widths=widths)
    weights = train_denoiser(recipe, tmp_path / "c.safetensors", clean=photos, device="cpu")
    assert weights.channels == 3


def test_batch_norm_is_folded_away(photos: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, batch_norm=True)
    weights = train_denoiser(recipe, tmp_path / "bn.safetensors", clean=photos, device="cpu")
    assert not weights.config.batch_norm
    assert not any("norm" in key for key in weights.tensors)


def test_stopped_run_resumes_to_the_same_weights(photos: Path, tmp_path: Path) -> None:
    whole = train_denoiser(TINY, tmp_path / "whole.safetensors", clean=photos, device="cpu")
    parts = tmp_path / "parts.safetensors"
    with pytest.raises(TrainingStopped):
        train_denoiser(TINY, parts, clean=photos, device="cpu", should_stop=lambda: True)
    assert not parts.exists()
    with pytest.raises(OutputExists, match="--resume"):
        train_denoiser(TINY, parts, clean=photos, device="cpu")
    resumed = train_denoiser(TINY, parts, clean=photos, device="cpu", resume=True)
    for key, tensor in whole.tensors.items():
        assert torch.equal(tensor, resumed.tensors[key]), key


def test_starts_from_a_shallower_network(photos: Path, tmp_path: Path) -> None:
    train_denoiser(TINY, tmp_path / "shallow.safetensors", clean=photos, device="cpu")
    recipe = replace(TINY, depth=6, learning_rate=1e-9)
    deep = train_denoiser(
        recipe,
        tmp_path / "deep.safetensors",
        clean=photos,
        start_from=tmp_path / "shallow.safetensors",
        device="cpu",
    )
    noisy = torch.rand(1, 1, 16, 16)
    shallow = build(load(tmp_path / "shallow.safetensors"))
    torch.testing.assert_close(build(deep)(noisy), shallow(noisy), rtol=0, atol=1e-3)
    assert deep.provenance["started_from"] == "shallow"


def test_student_learns_what_its_teacher_says(photos: Path, tmp_path: Path) -> None:
    """A teacher that does nothing makes a student that does nothing."""
    teacher = tmp_path / "idle.safetensors"
    weights = train_denoiser(TINY, tmp_path / "any.safetensors", clean=photos, device="cpu")
    idle = {key: torch.zeros_like(tensor) for key, tensor in weights.tensors.items()}
    save_weights(replace(weights, tensors=idle), teacher)
    recipe = replace(TINY, steps=150, learning_rate=3e-3)
    student, scholar = (
        build(train_denoiser(recipe, tmp_path / f"{name}.safetensors", clean=photos, teacher=by))
        for name, by in (("student", teacher), ("scholar", None))
    )
    noisy = torch.rand(1, 1, 32, 32)
    changes = [float((network(noisy) - noisy).abs().mean()) for network in (student, scholar)]
    assert changes[0] < 0.2 * changes[1]


def test_teacher_must_know_the_same_pictures(photos: Path, tmp_path: Path) -> None:
    gray = tmp_path / "gray.safetensors"
    train_denoiser(TINY, gray, clean=photos, device="cpu")
    with pytest.raises(UsageError, match="teacher gray has 1 channels"):
        train_denoiser(
            replace(TINY, channels=3), tmp_path / "x.safetensors", clean=photos, teacher=gray
        )


def test_trains_on_pairs(photos: Path, tmp_path: Path) -> None:
    weights = train_denoiser(
        TINY, tmp_path / "pairs.safetensors", pairs=(photos, photos), device="cpu"
    )
    assert weights.provenance["data"]["pairs"] == 3


def test_pairs_of_different_size_are_refused(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "more").mkdir(parents=True)
    Image.new("RGB", (50, 50)).save(other / "a.png")
    with pytest.raises(TrainingError, match="differ in size"):
        train_denoiser(TINY, tmp_path / "x.safetensors", pairs=(photos, other), device="cpu")


def test_existing_output_is_kept(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    output.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        train_denoiser(TINY, output, clean=photos, device="cpu")
    assert output.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "unet"},
        {"loss": "ssim"},
        {"sigma": (50, 10)},
        {"sigma": (0, 300)},
        {"steps": None},
        {"seconds": 5.0},
        {"steps": 0},
        {"learning_rate": 0.0},
        {"batch": 0},
        {"patch": 4},
        {"ema": 1.0},
    ],
)
def test_recipes_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(TINY, **wrong)


def test_sources_must_be_one(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.safetensors"
    for sources in ({}, {"clean": photos, "pairs": (photos, photos)}):
        with pytest.raises(UsageError, match="not both"):
            train_denoiser(TINY, output, device="cpu", **sources)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_folder_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"not a folder|no pictures"):
        train_denoiser(TINY, tmp_path / "x.safetensors", clean=tmp_path / name, device="cpu")
