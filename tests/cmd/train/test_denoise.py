"""`imrestore train denoise` as a user runs it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from restore.denoise import noisy_train
from restore.tasks import load

Run = Callable[..., SimpleNamespace]
TINY = ["--gray", "--model=dncnn", "--depth=3", "--width=8", "--patch=16", "--batch=4"]


def test_trains_and_says_what_it_wrote(train: Run, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    result = train(photos, "-o", output, *TINY, "--steps", "3")
    assert result.code == 0, result.err
    assert result.out == ""
    assert "step 0, validation " in result.err, "the first figure is that of the untrained network"
    assert f"{output}: " in result.err
    assert load(output).provenance["recipe"]["steps"] == 3


def test_a_rank_without_other_processes_speaks(
    train: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    output = tmp_path / "mine.safetensors"
    result = train(photos, "-o", output, *TINY, "--steps", "1")
    assert result.code == 0, result.err
    assert f"{output}: " in result.err


def test_processes_without_a_rank_are_refused_in_one_line(
    train: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    result = train(photos, "-o", tmp_path / "mine.safetensors", *TINY, "--steps", "1")
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert "WORLD_SIZE is 2, but RANK is not set: start the processes with torchrun" in line


def test_time_is_kept(train: Run, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    started = time.monotonic()
    assert train(photos, "-o", output, *TINY, "--time", "2s").code == 0
    assert time.monotonic() - started > 2
    assert load(output).provenance["hours"] == pytest.approx(2 / 3600, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "5", "--time", "1h"], "either --steps"),
        ([], "either --steps"),
        (["--time", "soon"], "--time soon"),
        (["--steps", "5", "--cache", "s3://bucket/cache"], "give a folder on disk, not a URL"),
        (["--steps", "5", "--sigma", "a:b"], "--sigma a:b"),
        (["--steps", "5", "--width", "x"], "--width x"),
        (["--steps", "5", "--width", "9999999"], "width: give numbers from 1 to 2048"),
        (["--steps", "5", "--seed", str(2**64)], "less than or equal to 9223372036854775807"),
        (["--steps", "5", "--batch", "9999999"], "batch 9999999"),
        (["--steps", "5", "--patch", "9999999"], "--patch 9999999: give a side"),
        (["--steps", "5", "--model", "dncnn", "--depth", "9999999"], "depth 9999999"),
        (["--steps", "5", "--learning-rate", "nan"], "--learning-rate nan"),
        (["--steps", str(10**30)], "steps 1000"),
        (["--time", "9" * 400 + "d"], "at most ten years"),
        (["--steps", "5", "--model", "gan"], "model 'gan'"),
        (["--steps", "5", "--device", "abacus"], "device 'abacus'"),
        (["--steps", "5", "--device", "cuda:all"], "torchrun --nproc-per-node N"),
        (["--steps", "5", "--noise", "snow"], "noise 'snow'"),
        (["--steps", "5", "--schedule", "up"], "schedule 'up'"),
        (["--steps", "5", "--checkpoint-every", "often"], "--checkpoint-every often"),
        (["--steps", "5", "--accumulate", "3"], "batch of 16 cannot be divided into 3"),
        (["--steps", "5", "--depth", "9"], "--depth does nothing here: only a DnCNN has one"),
        (["--steps", "5", "--batch-norm"], "--batch-norm does nothing here"),
        (["--steps", "5", "--model", "dncnn", "--blind"], "--blind does nothing here"),
        (["--steps", "5", "--noise", "camera", "--sigma", "0:9"], "--sigma does nothing here"),
    ],
)
def test_wrong_usage_is_one_line(
    train: Run, photos: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = train(photos, "-o", tmp_path / "x.safetensors", *arguments)
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert message in line


def test_a_recipe_file_says_what_the_command_line_would(
    train: Run, photos: Path, tmp_path: Path
) -> None:
    recipe, output = tmp_path / "train.toml", tmp_path / "mine.safetensors"
    arguments = [photos, "-o", output, *TINY, "--steps", "2", "--noise", "awgn", "--sigma", "5:9"]
    printed = train(*arguments, "--print-config")
    assert printed.code == 0, printed.err
    assert not output.exists(), "nothing is trained"
    assert f'output = "{output}"' in printed.out
    recipe.write_text(printed.out)
    assert train("--config", recipe, "--print-config").out == printed.out
    noisy = train("--noisy", photos, "-o", output, "--steps", "2", "--print-config").out
    assert 'method = "auto"' in noisy
    assert "patch = 96" in noisy
    assert 'model = "resunet"' in train(photos, "-o", output, "--steps", "2", "--print-config").out
    result = train("--config", recipe, "--steps", "3")
    assert result.code == 0, result.err
    stored = load(output).provenance["recipe"]
    assert (stored["steps"], stored["sigma"], stored["depth"]) == (3, [5, 9], 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [("stpes = 3", "did you mean steps"), ("steps = true", "steps"), ("steps", "no valid TOML")],
)
def test_a_wrong_recipe_file_is_one_line(
    train: Run, photos: Path, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "train.toml").write_text(text)
    ended = train(photos, "-o", tmp_path / "x.safetensors", "--config", tmp_path / "train.toml")
    assert ended.code == 2
    assert words in ended.err
    assert "train.toml" in ended.err


def test_empty_folder_is_one_line(train: Run, tmp_path: Path) -> None:
    result = train(tmp_path, "-o", tmp_path / "x.safetensors", "--steps", "5")
    assert (result.code, result.out) == (2, "")
    assert "holds no pictures" in result.err


def test_trains_for_raw_mosaics(train: Run, tmp_path: Path) -> None:
    colour = tmp_path / "colour"
    colour.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(colour / f"{name}.png")
    output = tmp_path / "raw.safetensors"
    tiny = ["--width=4,8", "--patch=32", "--batch=2", "--steps=2"]
    result = train("--raw", colour, "-o", output, *tiny)
    assert result.code == 0, result.err
    assert load(output).task == "denoise-raw"


@pytest.mark.parametrize("option", ["--gray", "--blind", "--noise=awgn", "--sigma=25", "--loss=l2"])
def test_options_of_other_noise_are_refused_with_raw(
    train: Run, photos: Path, tmp_path: Path, option: str
) -> None:
    result = train("--raw", photos, "-o", tmp_path / "raw.safetensors", "--steps=1", option)
    assert result.code == 2
    assert f"{option.partition('=')[0]} is not for --raw" in result.err
    assert train("--raw", "-o", tmp_path / "raw.safetensors", "--steps=1").code == 2


def test_noisy_pictures_alone_train_a_network_that_just_works(
    train: Run, run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noisy_train, "measured", lambda weights, **_: weights)
    output = tmp_path / "mine.safetensors"
    settings = ("--width=4", "--patch=32", "--batch=2", "--steps=2", "--device=cpu")
    ended = train("--noisy", photos, "-o", output, *settings)
    assert ended.code == 0, ended.err
    assert "noise: white" in ended.err
    words = (photos / "a.png", "-o", tmp_path / "a.png", "--model", output, "--json")
    ended = run("denoise", *map(str, words))
    assert json.loads(ended.out)["trained_on_noisy"] == "downscaled"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("photos", "--noisy", "x"), "not both"),
        (("--noisy", "x", "--sigma", "5"), "--sigma is not for --noisy"),
        (("photos", "--method", "bursts"), "--method is for --noisy"),
    ],
)
def test_noisy_pictures_take_no_options_of_clean_ones(
    train: Run, words: tuple[str, ...], message: str
) -> None:
    ended = train(*words, "-o", "x.safetensors", "--steps", "1")
    assert (ended.code, message in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--gray",), "--gray is not for --error-of"),
        (("--model", "dncnn"), "--model is not for --error-of"),
        (("--width", "8,8"), "has one width"),
        (("--noise", "fog"), "noise 'fog'"),
    ],
)
def test_what_is_fixed_of_error_networks_cannot_be_chosen(
    run: Run, words: tuple[str, ...], message: str
) -> None:
    given = ("train", "denoise", ".", "-o", "e.safetensors", "--steps", "1", "--error-of", "photo")
    ended = run(*given, *words)
    assert (ended.code, message in ended.err) == (2, True), ended.err
