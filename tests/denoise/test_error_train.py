"""Tests of training and calibrating networks for error maps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.denoise import error_calibration
from restore.denoise.error_calibration import calibrated, factors_of
from restore.denoise.error_data import ErrorBatch
from restore.denoise.error_factors import (
    LEVELS,
    ErrorCalibration,
    ErrorFactors,
    level_of_removed,
)
from restore.denoise.error_recipe import ErrorRecipe
from restore.denoise.error_train import objective, train_error_net
from restore.denoise.task import ERRORS
from restore.denoise.texture import Texture, textures
from restore.errors import TrainingError, TrainingStopped, UsageError, WeightsError
from restore.training.session import Settings
from restore.weights.file import read_weight_file
from restore.weights.store import Weights, weights_of

CPU = Settings(device="cpu", precision="fp32")


def laplacian_batch() -> ErrorBatch:
    rng = np.random.default_rng(0)
    clean = np.full((2, 3, 64, 64), 0.5)
    error = rng.laplace(0, 0.02, (2, 1, 64, 64)).repeat(3, axis=1)
    both = np.concatenate([clean, clean + error], axis=1)
    return ErrorBatch(planes=torch.tensor(both).float(), clean=torch.tensor(clean).float())


def test_the_loss_is_least_where_the_estimates_are_right() -> None:
    """Of Laplacian errors: mean b, 90 % within b ln 10, root mean square b sqrt(2)."""
    batch = laplacian_batch()
    right = 0.02 * torch.tensor([1, np.log(10), np.sqrt(2)]).float()

    def loss(estimates: torch.Tensor) -> float:
        constant = estimates.view(1, 3, 1, 1).expand(2, 3, 64, 64)
        return float(objective(lambda _: constant, batch))

    for index in range(3):
        for factor in (0.8, 1.25):
            wrong = right.clone()
            wrong[index] *= factor
            assert loss(wrong) > loss(right) + 1e-4


def test_factors_make_the_bound_hold_for_nine_pixels_of_ten() -> None:
    """Also where one kind of noise has twice the errors of another and most of the pixels."""
    rng = np.random.default_rng(0)

    def samples(count: int, scale: float) -> np.ndarray:
        errors = np.abs(rng.laplace(0, scale, count))
        estimates = np.full((3, count), 0.5)
        return np.concatenate([np.stack([errors, errors**2]), estimates]).astype(np.float32)

    white, grain = samples(4000, 0.1), samples(40000, 0.2)
    few = [samples(40000, 3.0)]  # of one picture, which may be an odd one
    parts = {"white": np.split(white, 4, axis=1), "grain": np.split(grain, 8, axis=1), "jpeg": few}
    factors = factors_of({(Texture.FLAT, 3, kind): each for kind, each in parts.items()})
    expected, bound, deviation = factors.values[:, Texture.FLAT, 3]
    covered = [float((each[0] <= bound * 0.5).mean()) for each in (white, grain)]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.002)
    assert expected * 0.5 == pytest.approx(0.15, rel=0.05)
    assert (deviation * 0.5) ** 2 == pytest.approx(0.05, rel=0.05)
    np.testing.assert_array_equal(
        factors.values[:, Texture.FLAT, 0], factors.values[:, Texture.FLAT, 3]
    )
    assert (factors.values[:, Texture.EDGE] == 1).all(), "nothing is known of edges"


def test_factors_lie_between_those_of_neighbouring_levels() -> None:
    factors = ErrorFactors.none()
    factors.values[1, Texture.FINE] = [1, 1, 1, 4, 1, 1]
    between = float(np.sqrt(LEVELS[2] * LEVELS[3]))
    assert factors.at(between)[1, Texture.FINE] == pytest.approx(2)
    assert factors.at(0.0)[1, Texture.FINE] == 1
    assert ErrorFactors.read("mine", factors.stored).at(8.0)[1, Texture.FINE] == 4


_NO_SENSE = [None, {}, {"expected": 1}, ErrorFactors.none().stored | {"bound": 2}]


@pytest.mark.parametrize(
    "stored",
    [
        *(None, {}, {"denoisers": [], "others": ErrorFactors.none().stored}),
        *({"denoisers": {}, "others": each} for each in _NO_SENSE),
        *({"denoisers": {"a": each}, "others": ErrorFactors.none().stored} for each in _NO_SENSE),
    ],
)
def test_calibrations_that_make_no_sense_are_refused(stored: object) -> None:
    with pytest.raises(WeightsError, match="mine: its calibration makes no sense"):
        ErrorCalibration.read("mine", stored)


def test_denoisers_have_factors_of_their_own() -> None:
    own, others = ErrorFactors.none(), ErrorFactors.none()
    own.put(Texture.FLAT, 0, (2.0, 2.0, 2.0))
    stored = ErrorCalibration({"photo": own}, others).stored
    read = ErrorCalibration.read("mine", stored)
    assert read.of("photo").at(1.0)[0, Texture.FLAT] == 2
    assert read.of("of another kind").at(1.0)[0, Texture.FLAT] == 1


def test_the_level_of_what_was_removed_is_its_root_mean_square() -> None:
    noisy = np.zeros((3, 300, 2), np.float32)
    result = np.full_like(noisy, 3 / 255)
    result[0] = 0
    assert level_of_removed(noisy, result) == pytest.approx(np.sqrt(6), rel=1e-5)


def test_textures_tell_flat_places_edges_and_fine_detail_apart() -> None:
    pixels = np.full((1, 300, 60), 0.5, np.float32)
    pixels[:, :, :10] = 0.9
    rng = np.random.default_rng(0)
    pixels[:, :, 40:] += rng.normal(0, 0.1, (1, 300, 20)).astype(np.float32)
    found = textures(pixels)
    assert (found[:, 22:30] == Texture.FLAT).all()
    assert (found[:, 8:12] == Texture.EDGE).all()
    assert (found[:, 46:56] == Texture.FINE).mean() > 0.9
    np.testing.assert_array_equal(found[200:], textures(pixels[:, 190:])[10:])


def test_it_trains_calibrates_and_is_read_again(
    tmp_path: Path, color_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_calibration, "_SIGMAS", (10.0, 30.0))
    monkeypatch.setattr(error_calibration, "_LEAST_PIXELS", 10)
    monkeypatch.setattr(error_calibration, "_LEAST_PICTURES", 1)
    monkeypatch.setattr(error_calibration, "_DRAWS", 1)
    folder = tmp_path / "clean"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in range(3):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    recipe = ErrorRecipe(
        steps=3, patch=32, batch=2, width=4, denoisers=(str(color_model),), noise=("awgn", "grain")
    )
    output = tmp_path / "errors.safetensors"
    told: list[str] = []

    def train(*, resume: bool) -> Weights:
        return train_error_net(
            recipe, output, clean=[folder], settings=replace(CPU, resume=resume),
            warn=told.append, should_stop=lambda: bool(told) and not resume,
        )  # fmt: skip

    with pytest.raises(TrainingStopped, match="while calibrating"):
        train(resume=False)
    assert told == ["calibrating on 1 of the pictures that were held out"]
    trained = train(resume=True)
    read = ERRORS.load(output)
    assert read.stored_dtype is torch.float16
    assert read.provenance == trained.provenance
    assert read.provenance["data"] == {"folder": "clean", "pictures": 3, "calibrated_on": 1}
    assert read.provenance["recipe"]["denoisers"] == [color_model.stem]
    calibration = ErrorCalibration.read("errors", read.provenance["calibration"])
    assert list(calibration.own) == [color_model.stem]
    assert (calibration.of(color_model.stem).values[1] != 1).any()

    like = ErrorRecipe.filled(
        {"steps": 0, "patch": 32, "denoisers": str(color_model)}, read_weight_file(output)
    )
    further = train_error_net(
        like, tmp_path / "further.safetensors", clean=[folder], start_from=output, settings=CPU
    )
    for name, tensor in trained.tensors.items():
        torch.testing.assert_close(further.tensors[name], tensor, rtol=0, atol=0)
    assert further.provenance["started_from"] == "errors"
    assert further.provenance["calibration"] == trained.provenance["calibration"]
    with pytest.raises(UsageError, match="steps=0 calibrates weights that are there"):
        train_error_net(like, tmp_path / "none.safetensors", clean=[folder], settings=CPU)


def test_all_of_a_picture_calibrates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the middle is flat, what lies around it tells of fine texture."""
    monkeypatch.setattr(error_calibration, "_LEAST_PIXELS", 10)
    monkeypatch.setattr(error_calibration, "_LEAST_PICTURES", 1)
    monkeypatch.setattr(error_calibration, "_SIDE", 64)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 400, 400), dtype=np.uint8)
    pixels[:, 72:328, 72:328] = 128
    recipe = ErrorRecipe(steps=1, denoisers=("photo",), noise=("grain",), width=4)
    weights = weights_of(recipe.network(), name="errors", task="denoise", provenance={})
    found = calibrated(weights, recipe, [torch.from_numpy(pixels)])
    assert (found.others.values[1, Texture.FLAT] != 1).any()
    assert (found.others.values[1, Texture.FINE] != 1).any()


def test_one_picture_is_too_few(tmp_path: Path, color_model: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "only.png")
    recipe = ErrorRecipe(steps=1, patch=32, denoisers=(str(color_model),))
    with pytest.raises(TrainingError, match="needs two pictures at least"):
        train_error_net(recipe, tmp_path / "e.safetensors", clean=[tmp_path], settings=CPU)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"denoisers": ()}, "^denoisers: give at least one"),
        ({"noise": ()}, "^noise: give at least one kind"),
        ({"noise": ("drawn", "stripes")}, "besides drawn and stripes"),
        ({"noise": ("fog",)}, "noise 'fog'"),
        ({"sigma": (30.0, 10.0)}, "^sigma 30:10: must rise within"),
        ({"width": 0}, "^width: give"),
        ({"gray_share": 2.0}, "^gray_share 2: give a number from 0 to 1"),
    ],
)
def test_impossible_recipes_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ErrorRecipe(steps=1, **settings)  # type: ignore[arg-type]
