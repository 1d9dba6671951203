import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from restore.denoise.data import open_training_data
from restore.denoise.train import train_denoiser
from restore.errors import (
    OutputError,
    OutputExists,
    TrainingError,
    TrainingStopped,
    UsageError,
)
from restore.tasks import load
from restore.training.picture_store import PictureStore
from restore.training.schedule import Progress
from restore.training.session import Settings
from restore.training.state import checkpoint_path
from tests.denoise.recipes import TINY


def test_writes_weights_that_carry_their_recipe(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    train_denoiser(TINY, output, clean=photos)
    weights = load(output)
    assert weights.architecture == "DnCNN"
    assert weights.task == "denoise"
    assert (weights.channels, weights.config.depth) == (1, 3)
    assert weights.provenance["recipe"]["sigma"] == [25, 25]
    assert weights.provenance["data"] == {"folder": "photos", "pictures": 3}
    assert weights.provenance["steps"] == 6
    assert set(weights.precision_loss_db) == {"fp16", "bf16"}
    assert not checkpoint_path(output).exists(), "a finished run leaves no checkpoint"
    assert weights.build()(torch.rand(1, 1, 9, 9)).shape == (1, 1, 9, 9)


@pytest.mark.parametrize("model", ["dncnn", "resunet"])
def test_trains_colour_networks(photos: Path, tmp_path: Path, model: str) -> None:
    widths = (8,) if model == "dncnn" else (4, 6)
    recipe = replace(TINY, model=model, channels=3, widths=widths)
    weights = train_denoiser(recipe, tmp_path / "c.safetensors", clean=photos)
    assert weights.channels == 3


@pytest.mark.parametrize("multiple", [32, 64, 256])
def test_networks_are_judged_on_crops_that_they_take(tmp_path: Path, multiple: int) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("L", (multiple + 27, multiple + 13), 128).save(folder / "a.png")
    recipe = replace(TINY, patch=multiple)
    for clean, pairs in (([folder], None), ([], (folder, folder))):
        source = open_training_data(
            recipe,
            clean=clean,
            pairs=pairs,
            batch=1,
            multiple=multiple,
            store=PictureStore(),
            warn=lambda _: None,
        )
        for batch in source.held_out:
            assert [side % multiple for side in batch.noisy.shape[2:]] == [0, 0]


def test_batch_norm_is_folded_away(photos: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, batch_norm=True)
    weights = train_denoiser(recipe, tmp_path / "bn.safetensors", clean=photos)
    assert not weights.config.batch_norm
    assert not any("norm" in key for key in weights.tensors)


def test_stopped_run_resumes_to_the_same_weights(photos: Path, tmp_path: Path) -> None:
    whole = train_denoiser(TINY, tmp_path / "whole.safetensors", clean=photos)
    parts = tmp_path / "parts.safetensors"
    with pytest.raises(TrainingStopped):
        train_denoiser(TINY, parts, clean=photos, should_stop=lambda: True)
    assert not parts.exists()
    with pytest.raises(OutputExists, match="use resume=True to continue it"):
        train_denoiser(TINY, parts, clean=photos)
    resumed = train_denoiser(TINY, parts, clean=photos, settings=Settings(resume=True))
    for key, tensor in whole.tensors.items():
        assert torch.equal(tensor, resumed.tensors[key]), key


def test_a_run_that_starts_again_forgets_the_one_before(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    with pytest.raises(TrainingStopped):
        train_denoiser(TINY, output, clean=photos, should_stop=lambda: True)
    assert checkpoint_path(output).exists()

    def killed(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_denoiser(TINY, output, clean=photos, settings=Settings(overwrite=True), report=killed)
    assert not checkpoint_path(output).exists()


def test_what_the_end_needs_is_checked_before_the_first_step(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Progress] = []
    output = tmp_path / "x.safetensors"
    monkeypatch.setattr("restore.weights.measurement.weights_folder", lambda: tmp_path / "none")
    with pytest.raises(UsageError, match="no pictures to measure on"):
        train_denoiser(TINY, output, clean=photos, report=steps.append)
    monkeypatch.setattr("restore.weights.store.os.access", lambda *_: False)
    with pytest.raises(OutputError, match="this folder cannot be written"):
        train_denoiser(TINY, output, clean=photos, report=steps.append)
    assert not steps


def test_trains_on_pairs(photos: Path, tmp_path: Path) -> None:
    weights = train_denoiser(TINY, tmp_path / "pairs.safetensors", pairs=(photos, photos))
    assert weights.provenance["data"]["pairs"] == 3
    assert not {"noise", "sigma"} & weights.provenance["recipe"].keys(), "pairs have their own"


@pytest.mark.usefixtures("drawn_curves")
def test_history_and_best_weights_lie_beside_the_output(photos: Path, tmp_path: Path) -> None:
    output, best = tmp_path / "mine.safetensors", tmp_path / "mine.best.safetensors"
    seen: list[bool] = []
    train_denoiser(TINY, output, clean=photos, report=lambda _: seen.append(best.exists()))
    assert seen[-1], "the best weights so far can be tried while it trains"
    assert not best.exists()
    rows = (tmp_path / "mine.history.csv").read_text().splitlines()
    assert rows[0] == "step,seconds,loss,learning_rate,validation_psnr_db"
    assert [row.split(",")[0] for row in rows[1:]] == ["0", "1", "2", "3", "4", "5", "6"]
    assert float(rows[1].split(",")[4]) > 0, "validated before the first step"
    with Image.open(tmp_path / "mine.history.png") as curve:
        assert curve.width > 600


def test_noises_are_mixed(photos: Path, tmp_path: Path) -> None:
    recipe = replace(
        TINY, model="resunet", channels=3, widths=(4, 6), blind=True, noise=("camera", "jpeg:10-90")
    )
    weights = train_denoiser(recipe, tmp_path / "m.safetensors", clean=[photos, photos])
    assert weights.provenance["recipe"]["noise"] == ["camera", "jpeg:10-90"]
    assert weights.provenance["data"] == {"folder": "photos, photos", "pictures": 3}
    assert not weights.takes_sigma


def test_gray_networks_learn_from_the_noise_of_cameras_and_film(
    photos: Path, tmp_path: Path
) -> None:
    noise = ("camera", "grain", "drawn")
    recipe = replace(TINY, model="resunet", channels=1, widths=(4, 6), blind=True, noise=noise)
    weights = train_denoiser(recipe, tmp_path / "m.safetensors", clean=photos)
    assert (weights.channels, weights.provenance["recipe"]["noise"]) == (1, list(noise))


def test_a_lack_of_memory_says_what_takes_less(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("restore.training.loop.Trainer._forward", full)
    with pytest.raises(TrainingError, match=r"smaller batch .* accumulate"):
        train_denoiser(TINY, tmp_path / "x.safetensors", clean=photos)


def test_batch_must_divide(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="batch of 4 cannot be divided"):
        train_denoiser(replace(TINY, accumulate=3), tmp_path / "x.safetensors", clean=photos)


@pytest.mark.skipif(os.name != "posix", reason="files are locked by flock")
def test_two_runs_on_one_output_exclude_each_other(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"

    def start_another(progress: Progress) -> None:
        if progress.step == 2:
            with pytest.raises(TrainingError, match="another run is writing it"):
                train_denoiser(TINY, output, clean=photos, settings=Settings(overwrite=True))

    train_denoiser(TINY, output, clean=photos, report=start_another)
    assert output.exists()
    assert not list(tmp_path.glob(".imrestore-*")), "no lock is left"


def test_what_a_run_writes_is_never_trained_on(photos: Path) -> None:
    """Its curve lies among the pictures, where the output is to lie there."""
    for name in ("one", "two"):
        train_denoiser(TINY, photos / f"{name}.safetensors", clean=photos)
        assert (photos / f"{name}.history.png").exists()
        assert load(photos / f"{name}.safetensors").provenance["data"]["pictures"] == 3


def test_existing_output_is_kept(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    output.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        train_denoiser(TINY, output, clean=photos)
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
        {"schedule": "linear"},
        {"accumulate": 0},
        {"noise": ()},
        {"noise": ("snow",)},
        {"noise": ("jpeg:0",)},
        {"noise": ("jpeg:90-10",)},
    ],
)
def test_recipes_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(TINY, **wrong)


def test_sources_must_be_one(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.safetensors"
    for sources in ({}, {"clean": photos, "pairs": (photos, photos)}):
        with pytest.raises(UsageError, match="not both"):
            train_denoiser(TINY, output, **sources)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_folder_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"not a folder|no pictures"):
        train_denoiser(TINY, tmp_path / "x.safetensors", clean=tmp_path / name)
