"""Training, evaluating and exporting from Python, with networks of the library and of one's own."""

import pickle
import shutil
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import restore
from imrestore.__main__ import run
from restore.denoise.recipe import DenoiseRecipe
from restore.errors import OutputError, OutputExists, RestoreError, UsageError, WeightsError
from restore.training import Trainer, TrainerConfig
from restore.weights.store import Weights, save_weights

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class BlurConfig:
    channels: int = 1
    width: int = 4


class Blur(nn.Module):
    """A network of a user: two layers around a pooling, so that sides must be even."""

    halo, multiple = 4, 2

    def __init__(self, config: BlurConfig) -> None:
        super().__init__()
        self.config = config
        self.down = nn.Conv2d(config.channels, config.width, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(config.width, config.channels, 4, stride=2, padding=1)

    def forward(self, noisy: Tensor, _sigma: Tensor | None = None) -> Tensor:
        result: Tensor = noisy + self.up(torch.relu(self.down(noisy)))
        return result


@pytest.fixture
def network() -> Blur:
    torch.manual_seed(0)
    return Blur(BlurConfig())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC).save(
            folder / f"{name}.png"
        )
    return folder


TINY: dict[str, Any] = {"steps": 2, "batch": 2, "patch": 16, "device": "cpu", "precision": "fp32"}


def test_an_own_network_runs_in_tiles_as_it_does_at_once(network: Blur) -> None:
    noisy = np.random.default_rng(0).random((75, 131), np.float32)
    denoiser = restore.Denoiser(network, device="cpu", tile=32)
    result = denoiser(noisy, sigma=25)
    assert result.record["model"] == "Blur"
    assert (result.record["engine"], result.record["tile"]) == ("pytorch", 32)
    padded = np.pad(noisy, ((0, 1), (0, 1)), mode="symmetric")
    with torch.inference_mode():
        expected = network(torch.from_numpy(padded)[None, None])[0, 0, :75, :131].numpy()
    np.testing.assert_allclose(result.picture.pixels[0], expected, atol=2e-5)
    copied = pickle.loads(pickle.dumps(denoiser))
    np.testing.assert_array_equal(copied(noisy, sigma=25).picture.pixels, result.picture.pixels)


def test_an_own_network_is_trained_saved_loaded_and_measured(
    network: Blur, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "own.safetensors"
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    weights = restore.train("denoise", photos, output=output, network=network, sigma=25, **TINY)
    assert (weights.architecture, weights.provenance["steps"]) == ("Blur", 2)
    assert "model" not in weights.provenance["recipe"]
    assert all(torch.equal(before[key], each) for key, each in network.state_dict().items())
    assert any(not torch.equal(before[key], each) for key, each in weights.tensors.items())
    with pytest.raises(WeightsError, match="Blur is not known"):
        restore.load(output)
    loaded = restore.load(output, network=Blur)
    assert loaded.config == BlurConfig()
    measured = restore.evaluate(
        "denoise", photos, model=[loaded, network], sigma=25, gray=True, limit=1, device="cpu"
    )
    means = measured.means("model")
    assert [mean["model"] for mean in means] == ["own", "Blur"]
    assert means[0]["psnr"] != means[1]["psnr"]
    assert means[0]["psnr_noisy"] == means[1]["psnr_noisy"]


def test_the_loop_trains_any_network(network: Blur, tmp_path: Path) -> None:
    clean = torch.full((2, 1, 16, 16), 0.5)
    losses = []
    trainer = Trainer(
        network,
        lambda rng: clean + 0.1 * torch.randn(clean.shape, generator=rng.host),
        lambda forward, noisy: (forward(noisy) - clean).square().mean(),
        TrainerConfig(steps=40, seconds=None, learning_rate=1e-2, warmup=0, ema=0.5),
        device="cpu",
        checkpoint=str(tmp_path / "run.checkpoint"),
        report=lambda progress: losses.append(progress.loss),
    )
    trained, progress = trainer.run()
    assert progress.step == 40
    assert losses[-1] < losses[0]
    weights = restore.Denoiser(trained, device="cpu")
    assert weights(np.full((8, 8), 0.5, np.float32), sigma=25).picture.pixels.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": None}, "give it a config"),
        ({"halo": -1}, "halo -1: give a whole number from 0"),
        ({"multiple": 0.5}, "multiple 0.5: give a whole number from 1"),
        ({"config": BlurConfig(width=5)}, "makes other tensors"),
        ({"config": replace(BlurConfig(), width=-1)}, "must make it again"),
    ],
    ids=str,
)
def test_networks_without_the_interface_are_refused(
    network: Blur, change: dict[str, Any], words: str
) -> None:
    for name, value in change.items():
        setattr(network, name, value)
    with pytest.raises(UsageError, match=words):
        restore.Denoiser(network)


def test_weights_of_another_task_are_refused(network: Blur, tmp_path: Path) -> None:
    state = network.state_dict()
    weights = Weights(name="x", network=Blur, config=BlurConfig(), task="hdr", tensors=state)
    with pytest.raises(UsageError, match="these weights are for hdr"):
        restore.Denoiser(weights)
    save_weights(weights, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="for hdr"):
        restore.Denoiser(tmp_path / "x.safetensors")


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
