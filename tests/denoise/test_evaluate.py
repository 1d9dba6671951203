import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from restore.batch.inputs import pictures_in
from restore.denoise.evaluate import (
    CapturedNoise,
    GaussianNoise,
    JpegCompression,
    Score,
    evaluate_denoiser,
)
from restore.denoise.runner import Denoised
from restore.errors import UsageError
from restore.image.metrics import Failure, psnr_chw, ssim_chw, to_luma
from restore.image.picture import Picture, Transfer
from restore.noise.sensor import add_gaussian_noise


class RecordingDenoiser:
    """Returns the noisy picture, or a fixed one, and remembers what it was given."""

    def __init__(self, result: NDArray[np.float32] | None = None) -> None:
        self.result = result
        self.calls: list[tuple[NDArray[np.float32], float | str]] = []

    def __call__(self, picture: Picture, *, sigma: float | str = "auto") -> Denoised:
        self.calls.append((picture.pixels, sigma))
        result = picture.pixels if self.result is None else self.result
        record = {"model": "fake", "device": "cpu", "precision": "fp32", "sigma": 1.0}
        return Denoised(picture=picture.with_pixels(result), record=record)


def _save(path: Path, *, seed: int = 0, size: tuple[int, ...] = (24, 32, 3)) -> NDArray[np.float32]:
    codes = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(codes).save(path)
    return np.atleast_3d(codes).transpose(2, 0, 1) / np.float32(255)


def gaussian(*sigmas: float, seed: int = 0, known: bool = True) -> list[GaussianNoise]:
    return [GaussianNoise(sigma=sigma, seed=seed, known=known) for sigma in sigmas]


def test_noise_follows_the_protocol(tmp_path: Path) -> None:
    clean = [_save(tmp_path / f"{name}.png", seed=i) for i, name in enumerate("ab")]
    denoiser = RecordingDenoiser()
    scores = list(
        evaluate_denoiser(denoiser, sorted(tmp_path.glob("*.png")), gaussian(25, 50, seed=7))
    )
    assert [(score.path.name, score.condition["sigma"]) for score in scores] == [
        ("a.png", 25),
        ("a.png", 50),
        ("b.png", 25),
        ("b.png", 50),
    ]
    expected = [
        add_gaussian_noise(pixels, sigma / 255, seed=7 + i)
        for i, pixels in enumerate(clean)
        for sigma in (25, 50)
    ]
    for (given, _), noisy in zip(denoiser.calls, expected, strict=True):
        np.testing.assert_array_equal(given, noisy)
    for score, noisy, reference in zip(scores, expected, np.repeat(clean, 2, axis=0), strict=True):
        assert score.psnr_noisy == psnr_chw(noisy, reference)
        assert score.psnr_noisy == pytest.approx(
            20 * math.log10(255 / score.condition["sigma"]), abs=0.4
        )
        assert score.psnr == psnr_chw(noisy.clip(0, 1), reference)
        assert score.ssim == ssim_chw(noisy.clip(0, 1), reference)
        assert score.seconds >= 0


def test_perfect_result_is_infinitely_good(tmp_path: Path) -> None:
    clean = _save(tmp_path / "a.png")
    (score,) = evaluate_denoiser(RecordingDenoiser(clean), [tmp_path / "a.png"], gaussian(25))
    assert isinstance(score, Score)
    assert (score.psnr, score.ssim) == (math.inf, pytest.approx(1))


@pytest.mark.parametrize(("known", "given"), [(True, 25.0), (False, "auto")])
def test_network_is_told_sigma_or_left_to_estimate(
    tmp_path: Path, known: bool, given: float | str
) -> None:
    _save(tmp_path / "a.png")
    denoiser = RecordingDenoiser()
    list(evaluate_denoiser(denoiser, [tmp_path / "a.png"], gaussian(25.0, known=known)))
    assert denoiser.calls[0][1] == given


def test_gray_is_what_pillow_calls_luma(tmp_path: Path) -> None:
    clean = _save(tmp_path / "a.png", size=(64, 64, 3))
    luma = np.asarray(Image.open(tmp_path / "a.png").convert("L"))[None] / np.float32(255)
    np.testing.assert_array_equal(to_luma(Picture(pixels=clean)).pixels, luma)
    denoiser = RecordingDenoiser()
    list(evaluate_denoiser(denoiser, [tmp_path / "a.png"], gaussian(0), gray=True))
    np.testing.assert_array_equal(denoiser.calls[0][0], luma)


def test_one_bad_picture_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    _save(tmp_path / "b.png", size=(10, 40, 3))
    _save(tmp_path / "c.png", seed=2)
    results = list(
        evaluate_denoiser(RecordingDenoiser(), sorted(tmp_path.glob("*.png")), gaussian(25))
    )
    assert [type(result) for result in results] == [Failure, Failure, Score]
    for failure in results[:2]:
        assert isinstance(failure, Failure)
        assert str(failure.path) in failure.reason
        assert "\n" not in failure.reason


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (Picture(pixels=np.full((1, 20, 20), 2, np.float32), is_float=True), "values from 2 to 2"),
        (Picture(pixels=np.full((1, 20, 20), np.nan, np.float32), is_float=True), "nan"),
        (Picture(pixels=np.zeros((1, 20, 20), np.float32), transfer=Transfer.LINEAR), "linear"),
    ],
)
def test_pictures_the_protocol_does_not_cover_are_failures(
    monkeypatch: pytest.MonkeyPatch, picture: Picture, words: str
) -> None:
    monkeypatch.setattr("restore.image.metrics.decode", lambda _path: picture)
    (failure,) = evaluate_denoiser(RecordingDenoiser(), [Path("a.exr")], gaussian(25))
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("a.exr: ")
    assert words in failure.reason


def test_noise_of_a_picture_does_not_depend_on_whether_others_can_be_read(tmp_path: Path) -> None:
    clean = _save(tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"no picture")
    denoiser = RecordingDenoiser()
    list(evaluate_denoiser(denoiser, pictures_in(tmp_path, recursive=False), gaussian(25)))
    np.testing.assert_array_equal(denoiser.calls[0][0], add_gaussian_noise(clean, 25 / 255, seed=1))


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    _save(tmp_path / "below/a.png")
    with pytest.raises(UsageError, match="no pictures"):
        pictures_in(tmp_path, recursive=False)
    assert pictures_in(tmp_path, recursive=True) == [tmp_path / "below/a.png"]
    with pytest.raises(UsageError, match="not a folder"):
        pictures_in(tmp_path / "missing", recursive=False)


def test_jpeg_is_what_pillow_writes(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", size=(32, 40))
    denoiser = RecordingDenoiser()
    results = evaluate_denoiser(
        denoiser, [tmp_path / "a.png"], [JpegCompression(10), JpegCompression(90)]
    )
    worse, better = (result for result in results if isinstance(result, Score))
    assert (worse.condition, better.condition) == ({"quality": 10}, {"quality": 90})
    assert worse.psnr < better.psnr
    with Image.open(tmp_path / "a.png") as image:
        image.save(tmp_path / "a.jpg", quality=10)
    with Image.open(tmp_path / "a.jpg") as image:
        np.testing.assert_allclose(denoiser.calls[0][0][0] * 255, np.asarray(image), atol=1e-3)
    assert denoiser.calls[0][1] == "auto"


def test_captured_noise_is_found_by_name(tmp_path: Path) -> None:
    clean = _save(tmp_path / "clean/sub/a.png", seed=0)
    noisy = _save(tmp_path / "noisy/sub/a.tif", seed=1)
    trial = CapturedNoise(tmp_path / "clean", tmp_path / "noisy", recursive=True, gray=False)
    denoiser = RecordingDenoiser()
    (score,) = evaluate_denoiser(denoiser, [tmp_path / "clean/sub/a.png"], [trial])
    assert isinstance(score, Score)
    assert score.psnr == score.psnr_noisy == psnr_chw(noisy, clean)
    assert denoiser.calls[0][1] == "auto"


def test_pairs_that_do_not_fit_are_failures(tmp_path: Path) -> None:
    _save(tmp_path / "clean/alone.png")
    _save(tmp_path / "clean/size.png")
    _save(tmp_path / "noisy/size.png", size=(24, 31, 3))
    trial = CapturedNoise(tmp_path / "clean", tmp_path / "noisy", recursive=False, gray=False)
    paths = sorted((tmp_path / "clean").iterdir())
    alone, size = evaluate_denoiser(RecordingDenoiser(), paths, [trial])
    assert isinstance(alone, Failure)
    assert isinstance(size, Failure)
    assert "no counterpart" in alone.reason
    assert "31x24" in size.reason
