"""Measuring from Python: networks, kept results, and detectors."""

import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn

import restore
from restore.denoise.recipe import DenoiseRecipe
from restore.errors import OutputError, UsageError
from tests.api.own import Blur


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("sharpen", {}, "task 'sharpen': use denoise"),
        ("denoise", {"fpr": 0.1}, "fpr is not for denoise; it has coverage, estimate_sigma"),
        ("denoise", {"sigma": "25"}, "sigma '25': give numbers from 0 to 255"),
        ("denoise", {"sigma": []}, r"sigma \[\]: give numbers from 0 to 255"),
        ("denoise", {"jpeg": [10, 7.5]}, "give whole numbers from 1 to 100"),
        ("denoise", {"seed": -1}, "seed -1: give a whole number from 0"),
        ("hdr", {"model": nn.Identity()}, "Identity: for hdr give the name or the file"),
        ("hdr", {"views": 0}, "views 0: give a whole number from 1"),
        ("denoise", {"sigma": 25, "jpeg": 10}, "sigma and jpeg contradict each other"),
        ("dark-enhance", {"model": ["isp", "isp"]}, "2 models: give one"),
        ("hdr", {"sigma": 25}, "sigma is not for hdr; it has bits"),
        ("denoise", {"model": []}, "0 models: give one"),
        ("denoise", {"limit": 0}, "limit 0: give a whole number from 1"),
        ("denoise", {"metrics": "beauty"}, "metrics beauty: give some of lpips"),
        ("denoise", {"coverage": True, "jpeg": 10}, "jpeg is not for coverage, which adds"),
        ("denoise", {"reference": ".", "sigma": 25}, "reference compares finished outputs"),
        ("denoise", {"jpeg": 10, "seed": 3}, "seed is not for jpeg, where no noise is drawn"),
        ("denoise", {"noisy": ".", "seed": 3}, "seed is not for noisy, where no noise is drawn"),
        ("denoise", {"reference": ".", "seed": 3}, "reference compares finished outputs"),
        ("denoise", {"metrics": 3}, "metrics 3: give some of lpips"),
        ("denoise", {"metrics": [3]}, "metrics 3: give some of lpips"),
        ("denoise", {"reference": ".", "save": "x"}, "reference compares finished outputs"),
        ("dark-enhance", {"pairs": "list.txt"}, "or pairs with a list, not both"),
        ("hdr", {"captures": "."}, "or captures, not both"),
    ],
)
def test_impossible_evaluations_are_refused(
    photos: Path, task: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        restore.evaluate(task, photos, **options)
    with pytest.raises(UsageError, match="give the path of a folder"):
        restore.evaluate("denoise", None)


def test_results_are_kept_measured_in_other_ways_and_compared(
    network: Blur, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piq = ModuleType("piq")
    piq.__spec__ = ModuleSpec("piq", None)
    piq.LPIPS = lambda: lambda result, clean: (result - clean).abs().mean()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "piq", piq)
    given: dict[str, Any] = {"gray": True, "limit": 1}
    kept = restore.evaluate(
        "denoise",
        photos,
        model=network,
        sigma=25,
        save=tmp_path / "kept",
        metrics=["lpips"],
        **given,
    )
    (score,) = kept.scores
    assert 0 < score["lpips"] < 1
    assert score["model"] == "Blur"
    compared = restore.evaluate("denoise", tmp_path / "kept/sigma-25", reference=photos, **given)
    assert compared.scores[0]["psnr"] == pytest.approx(score["psnr"], abs=0.01)
    with pytest.raises(UsageError, match=r"save .*: is the folder of the clean pictures"):
        restore.evaluate("denoise", photos, model=network, save=photos)


def test_no_kept_result_takes_the_place_of_another_or_of_an_input(
    network: Blur, photos: Path, tmp_path: Path
) -> None:
    with Image.open(photos / "a.png") as photo:
        photo.save(photos / "a.bmp")
    given: dict[str, Any] = {"model": network, "sigma": 25, "save": tmp_path / "kept"}
    with pytest.raises(UsageError, match=r"a\.png and .*a\.bmp: would both be kept as"):
        restore.evaluate("denoise", photos, **given)
    assert not (tmp_path / "kept").exists()
    (photos / "a.bmp").unlink()
    clean = photos.rename(tmp_path / "sigma-25")
    before = (clean / "a.png").read_bytes()
    with pytest.raises(UsageError, match="lies among the pictures that are measured"):
        restore.evaluate("denoise", clean, **given | {"save": tmp_path})
    assert (clean / "a.png").read_bytes() == before
    noisy = clean.rename(tmp_path / "as-captured")
    shutil.copytree(noisy, tmp_path / "clean")
    with pytest.raises(UsageError, match="lies among the pictures that are measured"):
        restore.evaluate("denoise", tmp_path / "clean", model=network, noisy=noisy, save=tmp_path)


def test_a_folder_for_results_that_cannot_be_made_is_told(
    network: Blur, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="sigma-25: this folder cannot be made: Not a directory"):
        restore.evaluate("denoise", photos, model=network, sigma=25, save=tmp_path / "file")


def test_arguments_that_make_no_sense_together_are_refused_without_a_folder() -> None:
    with pytest.raises(UsageError, match="ratio is not for pairs, which are measured as they"):
        restore.evaluate("dark-enhance", pairs="list.txt", ratio=50)
    with pytest.raises(UsageError, match="size is not for captures, which are as they were taken"):
        restore.evaluate("hdr", captures="captures", size=64)
    for task in ("denoise", "denoise-raw", "anomaly"):
        with pytest.raises(UsageError, match="give the path of a folder"):
            restore.evaluate(task)


def test_detectors_and_hdr_networks_are_measured(
    detector_model: Path, single_model: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in ("good/a", "good/b", "scratch/c"):
        path = tmp_path / "test" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    found = restore.evaluate("anomaly", tmp_path, model=[detector_model], device="cpu")
    assert {score["kind"] for score in found.scores} >= {"scratch"}
    assert found.scores[0]["model"] == detector_model.stem
    lights = tmp_path / "lights"
    lights.mkdir()
    light = restore.Picture(
        pixels=2 * rng.random((3, 160, 160), np.float32),
        is_float=True,
        bit_depth=32,
        transfer=restore.Transfer.LINEAR,
    )
    (lights / "a.exr").write_bytes(restore.encode(light, "exr"))
    measured = restore.evaluate("hdr", lights, model=single_model, size=32, device="cpu")
    assert not measured.failures
    assert single_model.stem in {score["model"] for score in measured.scores}
    assert measured.conditions["size"] == 32


def test_numbers_of_numpy_become_python_s_own() -> None:
    given = {
        "learning_rate": np.float32(0.5),
        "steps": 1,
        "seed": np.int64(3),
        "sigma": np.int64(25),
    }
    recipe = DenoiseRecipe.filled(given)
    stored = (recipe.learning_rate, recipe.seed, *recipe.sigma)
    assert stored == (0.5, 3, 25.0, 25.0)
    assert [type(value) for value in stored] == [float, int, float, float]


def test_means_are_of_what_all_scores_have() -> None:
    scores = [{"iso": 100, "psnr": 30, "psnr_mosaic": 20}, {"iso": 100, "psnr": 32}]
    measured = restore.Evaluation(scores=scores, failures=[], conditions={})
    assert measured.means("iso") == [{"iso": 100, "psnr": 31}]


def test_networks_for_raw_files_are_measured(
    photos: Path, mosaic_model: Path, isp_weights: dict[str, Path]
) -> None:
    for task, model, given in (
        ("denoise-raw", mosaic_model, {"iso": 6400}),
        ("dark-enhance", isp_weights["bayer"], {"ratio": 100, "limit": 1}),
    ):
        measured = restore.evaluate(task, photos, model=model, device="cpu", **given)  # type: ignore[arg-type]
        means = measured.means("method")
        assert "network" in {mean["method"] for mean in means}
        assert all(mean["psnr"] > 0 for mean in means)
        assert not measured.failures
