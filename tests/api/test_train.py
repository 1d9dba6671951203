"""Training from Python: settings, and what is refused."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import restore
from imrestore.__main__ import run
from restore.errors import OutputExists, RestoreError, UsageError
from tests.api.own import TINY


def test_what_is_not_given_is_as_in_the_command(photos: Path, tmp_path: Path) -> None:
    options = {"steps": 1, "batch": 1, "device": "cpu", "precision": "fp32"}
    first = restore.train(
        "denoise", photos, output=tmp_path / "a.safetensors", model="dncnn", depth=3, widths=4,
        noise="awgn", sigma=25, patch=16, channels=1, **options,
    )  # fmt: skip
    recipe = first.provenance["recipe"]
    assert (recipe["widths"], recipe["noise"], recipe["sigma"]) == ([4], ["awgn"], [25, 25])
    second = restore.train(
        "denoise", [photos], output=tmp_path / "b.safetensors", channels=1, widths=[4], patch=16,
        start_from=tmp_path / "a.safetensors", time=0.01, **{**options, "steps": None},
    )  # fmt: skip
    recipe = second.provenance["recipe"]
    assert (recipe["model"], recipe["depth"], recipe["seconds"]) == ("dncnn", 3, 0.01)
    with pytest.raises(OutputExists):
        restore.train("denoise", photos, output=tmp_path / "a.safetensors", **TINY)


@pytest.mark.parametrize(
    ("command", "function", "task", "given"),
    [
        ("denoise DIR", "denoise.train:train_denoiser", "denoise", {}),
        (
            "denoise DIR --model dncnn",
            "denoise.train:train_denoiser",
            "denoise",
            {"model": "dncnn"},
        ),
        (
            "denoise DIR --split folder",
            "denoise.train:train_denoiser",
            "denoise",
            {"split": "folder"},
        ),
        ("denoise --noisy DIR", "denoise.noisy_train:train_on_noisy", "denoise", {"noisy": "DIR"}),
        ("denoise --raw DIR", "mosaic.train:train_mosaic_denoiser", "denoise-raw", {}),
        (
            "denoise DIR --error-of photo",
            "denoise.error_train:train_error_net",
            "denoise-error",
            {},
        ),
        ("dark-enhance DIR", "dark.train:train_dark_enhancer", "dark-enhance", {}),
        ("anomaly --good DIR", "anomaly.train:train_detector", "anomaly", {}),
        (
            "anomaly --good DIR --model vae",
            "anomaly.train:train_detector",
            "anomaly",
            {"model": "vae"},
        ),
        ("hdr DIR --optics none", "hdr.train:train_hdr", "hdr", {"optics": "none"}),
    ],
)
def test_commands_and_functions_train_by_the_same_recipe(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    function: str,
    task: str,
    given: dict[str, Any],
) -> None:
    called: list[tuple[Any, set[str]]] = []

    def note(recipe: Any, output: Path, **others: Any) -> None:
        assert output == tmp_path / "x.safetensors"
        called.append((recipe, {name for name, value in others.items() if value == [Path("DIR")]}))
        raise UsageError("noted")

    module, _, name = function.partition(":")
    monkeypatch.setattr(import_module(f"restore.{module}"), name, note)
    output = tmp_path / "x.safetensors"
    assert run(["train", *command.split(), "-o", str(output), "--steps", "7"]) == 2
    pictures = () if "noisy" in given else "DIR"
    with pytest.raises(UsageError, match="noted"):
        restore.train(task, pictures, output=output, steps=7, **given)
    assert called[0] == called[1]


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("sharpen", {}, "task 'sharpen': use denoise"),
        ("denoise", {"modle": "dncnn"}, "modle: DenoiseRecipe has no such setting; did you mean"),
        ("denoise", {"steps": None}, "give either"),
        ("denoise", {"steps": "many"}, "steps 'many': give int or None"),
        ("denoise", {"widths": "many"}, "widths 'many': give int"),
        ("denoise", {"sigma": (1, 2, 3)}, "give a range"),
        ("denoise", {"time": "soon", "steps": None}, "time soon: give a number with s, m, h or d"),
        ("denoise", {"split": "scene"}, "split 'scene': give picture or folder"),
        ("anomaly", {"split": "folder"}, "split is not for anomaly"),
        ("denoise", {"psf": "x.npy"}, "psf is not for denoise"),
        ("denoise", {"noisy": "there"}, "noisy pictures are for denoise, without clean ones"),
        ("hdr", {"pairs": "x"}, "pairs is not for hdr"),
        ("hdr", {"smoothness": float("inf")}, "smoothness inf: give a number"),
        ("denoise", {"pairs": "list.txt"}, "pairs 'list.txt': give two, noisy and clean pictures"),
        ("denoise", {"pairs": "ab", "pair_names": "{}"}, "pairs 'ab': give two"),
        ("dark-enhance", {"pairs": ("a", "b")}, r"pairs \('a', 'b'\): give a path"),
        ("denoise-error", {"model": "x"}, "model: ErrorRecipe has no such setting"),
        ("anomaly", {"start_from": "x"}, "start_from is not for anomaly"),
        ("denoise", {"network": nn.Identity()}, "Identity: give it a config"),
        ("denoise", {"output": 3}, "output 3: give a path"),
        ("denoise", {"output": "mine.pth"}, r"must end in \.safetensors"),
    ],
)
def test_impossible_trainings_are_refused(
    photos: Path, tmp_path: Path, task: str, options: dict[str, Any], words: str
) -> None:
    given = {"output": tmp_path / "x.safetensors", **TINY, **options}
    with pytest.raises(RestoreError, match=words):
        restore.train(task, photos, **given)
