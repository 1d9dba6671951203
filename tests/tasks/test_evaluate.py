import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from restore.engine.inputs import pictures_in
from restore.errors import UsageError
from restore.image.picture import Picture, Transfer
from restore.metrics import psnr, ssim
from restore.noise.awgn import add_gaussian_noise
from restore.tasks.denoise import Denoised
from restore.tasks.evaluate import (
    Failure,
    OutputScore,
    Score,
    evaluate_denoiser,
    score_outputs,
    to_luma,
)


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


def test_noise_follows_the_protocol(tmp_path: Path) -> None:
    clean = [_save(tmp_path / f"{name}.png", seed=i) for i, name in enumerate("ab")]
    denoiser = RecordingDenoiser()
    scores = list(evaluate_denoiser(denoiser, sorted(tmp_path.glob("*.png")), [25, 50], seed=7))
    assert [(score.path.name, score.sigma) for score in scores] == [
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
        assert score.psnr_noisy == psnr(noisy, reference)
        assert score.psnr_noisy == pytest.approx(20 * math.log10(255 / score.sigma), abs=0.4)
        assert score.psnr == psnr(noisy.clip(0, 1), reference)
        assert score.ssim == ssim(noisy.clip(0, 1), reference)
        assert score.seconds >= 0


def test_perfect_result_is_infinitely_good(tmp_path: Path) -> None:
    clean = _save(tmp_path / "a.png")
    (score,) = evaluate_denoiser(RecordingDenoiser(clean), [tmp_path / "a.png"], [25])
    assert isinstance(score, Score)
    assert (score.psnr, score.ssim) == (math.inf, pytest.approx(1))


@pytest.mark.parametrize(("known", "given"), [(True, 25.0), (False, "auto")])
def test_network_is_told_sigma_or_left_to_estimate(
    tmp_path: Path, known: bool, given: float | str
) -> None:
    _save(tmp_path / "a.png")
    denoiser = RecordingDenoiser()
    list(evaluate_denoiser(denoiser, [tmp_path / "a.png"], [25.0], known_sigma=known))
    assert denoiser.calls[0][1] == given


def test_gray_is_what_pillow_calls_luma(tmp_path: Path) -> None:
    clean = _save(tmp_path / "a.png", size=(64, 64, 3))
    luma = np.asarray(Image.open(tmp_path / "a.png").convert("L"))[None] / np.float32(255)
    np.testing.assert_array_equal(to_luma(Picture(pixels=clean)).pixels, luma)
    denoiser = RecordingDenoiser()
    list(evaluate_denoiser(denoiser, [tmp_path / "a.png"], [0], gray=True))
    np.testing.assert_array_equal(denoiser.calls[0][0], luma)


def test_one_bad_picture_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    _save(tmp_path / "b.png", size=(10, 40, 3))
    _save(tmp_path / "c.png", seed=2)
    results = list(evaluate_denoiser(RecordingDenoiser(), sorted(tmp_path.glob("*.png")), [25]))
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
    monkeypatch.setattr("restore.tasks.evaluate.decode", lambda _path: picture)
    (failure,) = evaluate_denoiser(RecordingDenoiser(), [Path("a.exr")], [25])
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("a.exr: ")
    assert words in failure.reason


def test_noise_of_a_picture_does_not_depend_on_whether_others_can_be_read(tmp_path: Path) -> None:
    clean = _save(tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"no picture")
    denoiser = RecordingDenoiser()
    list(evaluate_denoiser(denoiser, pictures_in(tmp_path, recursive=False), [25]))
    np.testing.assert_array_equal(denoiser.calls[0][0], add_gaussian_noise(clean, 25 / 255, seed=1))


def test_outputs_are_paired_by_stem(tmp_path: Path) -> None:
    reference = _save(tmp_path / "clean/a.png", seed=0)
    output = _save(tmp_path / "out/a.tif", seed=1)
    (score,) = score_outputs(tmp_path / "out", tmp_path / "clean")
    assert score == OutputScore(
        path=tmp_path / "out/a.tif",
        reference=tmp_path / "clean/a.png",
        psnr=psnr(output, reference),
        ssim=ssim(output, reference),
    )


def test_outputs_in_subfolders_are_paired_by_their_path(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        _save(tmp_path / "out" / folder / "a.png", seed=0)
        _save(tmp_path / "clean" / folder / "a.png", seed=int(folder == "y"))
    first, second = score_outputs(tmp_path / "out", tmp_path / "clean", recursive=True)
    assert isinstance(first, OutputScore)
    assert isinstance(second, OutputScore)
    assert first.psnr == math.inf
    assert second.psnr < 20


def test_outputs_that_do_not_fit_are_failures(tmp_path: Path) -> None:
    _save(tmp_path / "out/fits.png")
    _save(tmp_path / "clean/fits.png")
    _save(tmp_path / "out/no_reference.png")
    _save(tmp_path / "clean/no_output.png")
    _save(tmp_path / "out/size.png", size=(24, 31, 3))
    _save(tmp_path / "clean/size.png")
    _save(tmp_path / "out/gray.png", size=(24, 32))
    _save(tmp_path / "clean/gray.png")
    _save(tmp_path / "out/several.png")
    _save(tmp_path / "clean/several.tif")
    _save(tmp_path / "clean/several.bmp")
    results = {r.path.stem: r for r in score_outputs(tmp_path / "out", tmp_path / "clean")}
    assert isinstance(results.pop("fits"), OutputScore)
    reasons = {stem: r.reason for stem, r in results.items() if isinstance(r, Failure)}
    assert "no output" in reasons["no_output"]
    assert "no reference" in reasons["no_reference"]
    assert "31x24 colour" in reasons["size"]
    assert "32x24 gray" in reasons["gray"]
    assert "several.bmp, several.tif" in reasons["several"]


def test_same_suffix_is_preferred(tmp_path: Path) -> None:
    _save(tmp_path / "out/a.png", seed=3)
    _save(tmp_path / "clean/a.png", seed=3)
    _save(tmp_path / "clean/a.bmp", seed=4)
    (score,) = score_outputs(tmp_path / "out", tmp_path / "clean")
    assert isinstance(score, OutputScore)
    assert score.psnr == math.inf


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    _save(tmp_path / "below/a.png")
    with pytest.raises(UsageError, match="no pictures"):
        pictures_in(tmp_path, recursive=False)
    assert pictures_in(tmp_path, recursive=True) == [tmp_path / "below/a.png"]
    with pytest.raises(UsageError, match="not a folder"):
        pictures_in(tmp_path / "missing", recursive=False)
