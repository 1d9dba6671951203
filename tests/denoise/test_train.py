import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.denoise.data import open_training_data
from restore.denoise.recipe import DenoiseRecipe
from restore.denoise.train import train_denoiser
from restore.errors import (
    OutputError,
    OutputExists,
    RestoreError,
    TrainingError,
    TrainingStopped,
    UsageError,
    WeightsError,
)
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.tasks import load
from restore.training.holding_out import Held, hold_out, hold_out_folders
from restore.training.picture_store import PictureStore
from restore.training.schedule import Progress
from restore.training.session import Settings
from restore.training.state import Randomness, checkpoint_path
from restore.weights.store import save_weights, weights_of

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


def test_starts_from_a_shallower_network(photos: Path, tmp_path: Path) -> None:
    train_denoiser(TINY, tmp_path / "shallow.safetensors", clean=photos)
    recipe = replace(TINY, depth=6, learning_rate=1e-9)
    deep = train_denoiser(
        recipe,
        tmp_path / "deep.safetensors",
        clean=photos,
        start_from=tmp_path / "shallow.safetensors",
    )
    noisy = torch.rand(1, 1, 16, 16)
    shallow = load(tmp_path / "shallow.safetensors").build()
    torch.testing.assert_close(deep.build()(noisy), shallow(noisy), rtol=0, atol=1e-3)
    assert deep.provenance["started_from"] == "shallow"


@pytest.mark.parametrize(
    ("model", "network"),
    [
        ("ffdnet", FFDNet(FFDNetConfig(channels=1, depth=3, width=8, residual=True))),
        ("dncnn", DnCNN(DnCNNConfig(channels=1, depth=3, width=8, noise_map=True, residual=False))),
        ("dncnn", DnCNN(DnCNNConfig(channels=1, depth=3, width=8, dilations=(1, 2, 1)))),
    ],
)
def test_converted_networks_are_trained_further_as_they_are(
    photos: Path, tmp_path: Path, model: str, network: FFDNet | DnCNN
) -> None:
    start = weights_of(network, name="start", task="denoise", provenance={})
    save_weights(start, tmp_path / "start.safetensors")
    said: list[str] = []
    recipe = replace(TINY, model=model, widths=(), learning_rate=1e-6, steps=2)
    weights = train_denoiser(
        recipe,
        tmp_path / "mine.safetensors",
        clean=photos,
        start_from=tmp_path / "start.safetensors",
        warn=said.append,
    )
    assert weights.config == network.config
    assert not said
    for key, tensor in start.tensors.items():
        torch.testing.assert_close(weights.tensors[key], tensor, rtol=0, atol=1e-2)


def test_an_ffdnet_is_trained_only_from_weights(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give start_from"):
        train_denoiser(replace(TINY, model="ffdnet"), tmp_path / "mine.safetensors", clean=photos)


def test_student_learns_what_its_teacher_says(photos: Path, tmp_path: Path) -> None:
    """A teacher that does nothing makes a student that does nothing."""
    teacher = tmp_path / "idle.safetensors"
    weights = train_denoiser(TINY, tmp_path / "any.safetensors", clean=photos)
    idle = {key: torch.zeros_like(tensor) for key, tensor in weights.tensors.items()}
    save_weights(replace(weights, tensors=idle), teacher)
    recipe = replace(TINY, steps=150, learning_rate=3e-3)
    student, scholar = (
        train_denoiser(recipe, tmp_path / f"{name}.safetensors", clean=photos, teacher=by).build()
        for name, by in (("student", teacher), ("scholar", None))
    )
    noisy = torch.rand(1, 1, 32, 32)
    changes = [float((network(noisy) - noisy).abs().mean()) for network in (student, scholar)]
    assert changes[0] < 0.2 * changes[1]


def test_teacher_must_know_the_same_pictures(photos: Path, tmp_path: Path) -> None:
    gray = tmp_path / "gray.safetensors"
    train_denoiser(TINY, gray, clean=photos)
    with pytest.raises(UsageError, match="teacher gray has 1 channels"):
        train_denoiser(
            replace(TINY, channels=3), tmp_path / "x.safetensors", clean=photos, teacher=gray
        )


def test_teacher_must_be_a_denoiser_that_the_crops_fit(photos: Path, tmp_path: Path) -> None:
    weights = train_denoiser(TINY, tmp_path / "any.safetensors", clean=photos)
    other = tmp_path / "other.safetensors"
    save_weights(replace(weights, task="hdr"), other)
    torch.manual_seed(0)
    coarse = ResUNet(ResUNetConfig(channels=1, widths=(2,) * 6, blocks=1))
    wide = tmp_path / "wide.safetensors"
    save_weights(weights_of(coarse, name="wide", task="denoise", provenance={}), wide)
    refusals: list[tuple[Path, type[RestoreError], str]] = [
        (other, WeightsError, "for hdr, not for denoise"),
        (wide, UsageError, "a multiple of 32"),
    ]
    for teacher, error, message in refusals:
        with pytest.raises(error, match=message):
            train_denoiser(TINY, tmp_path / "x.safetensors", clean=photos, teacher=teacher)


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


@pytest.mark.parametrize("kind", ["clean", "pairs"])
def test_held_out_pictures_are_not_trained_on(tmp_path: Path, kind: str) -> None:
    """Each picture is of one gray, by which its crops are known."""
    folder = tmp_path / "grays"
    folder.mkdir()
    for gray in range(40):
        Image.new("L", (32, 32), 5 * gray).save(folder / f"{gray:02}.png")
    recipe = replace(TINY, patch=16)
    clean, pairs = ([folder], None) if kind == "clean" else ([], (folder, folder))
    source = open_training_data(
        recipe,
        clean=clean,
        pairs=pairs,
        batch=64,
        multiple=1,
        store=PictureStore(),
        warn=pytest.fail,
    )

    def grays(clean: torch.Tensor) -> set[int]:
        return set((255 * clean.mean(dim=(1, 2, 3))).round().int().tolist())

    kept = set().union(*(grays(batch.clean) for batch in source.held_out))
    rng = Randomness(0, torch.device("cpu"))
    trained = set().union(*(grays(source.batches(rng).clean) for _ in range(20)))
    assert len(kept) == 2
    assert trained == {5 * gray for gray in range(40)} - kept


def test_validation_pictures_are_never_trained_on(photos: Path) -> None:
    said: list[str] = []
    source = open_training_data(
        TINY,
        clean=[photos],
        pairs=None,
        held=Held(folder=photos / "more"),
        batch=4,
        multiple=1,
        store=PictureStore(),
        warn=said.append,
    )
    assert said == ["of validation and among those to train on, left out there: 1 picture"]
    assert len(source.held_out) == 1
    assert source.description == {"folder": "photos", "pictures": 2, "validation": "more"}
    assert source.paths == [photos / "a.png", photos / "b.png", photos / "more/c.png"]


def test_whole_folders_are_held_out(photos: Path) -> None:
    source = open_training_data(
        TINY,
        clean=[photos],
        pairs=None,
        held=Held(by_folder=True),
        batch=4,
        multiple=1,
        store=PictureStore(),
        warn=pytest.fail,
    )
    assert source.description["split"] == "folder"
    assert len(source.held_out) == 2, "the two of the first folder"
    with pytest.raises(UsageError, match="split='folder'"):
        Held(folder=photos, by_folder=True)
    with pytest.raises(UsageError, match="all pictures lie in one folder"):
        hold_out_folders({photos / "a.png": 1, photos / "b.png": 2})


def test_validation_of_pairs_has_folders_of_its_own(photos: Path, tmp_path: Path) -> None:
    for kind in ("noisy", "clean"):
        shutil.copytree(photos, tmp_path / "judged" / kind)
    source = open_training_data(
        TINY,
        clean=[],
        pairs=(photos, photos),
        held=Held(folder=tmp_path / "judged"),
        batch=4,
        multiple=1,
        store=PictureStore(),
        warn=pytest.fail,
    )
    assert (source.description["pairs"], len(source.held_out)) == (3, 3)


def test_a_single_picture_is_said_to_be_in_both() -> None:
    said: list[str] = []
    assert hold_out([7], said.append) == ([7], [7])
    assert "validations are on the one that is trained on" in said[0]
    assert hold_out([7, 8], pytest.fail) == ([8], [7])
