import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.denoise.evaluate import OutputScore, score_outputs
from restore.image.metrics import Failure, psnr_chw, ssim_chw


def _save(path: Path, *, seed: int = 0, size: tuple[int, ...] = (24, 32, 3)) -> NDArray[np.float32]:
    codes = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(codes).save(path)
    return np.atleast_3d(codes).transpose(2, 0, 1) / np.float32(255)


def test_outputs_are_paired_by_stem(tmp_path: Path) -> None:
    reference = _save(tmp_path / "clean/a.png", seed=0)
    output = _save(tmp_path / "out/a.tif", seed=1)
    (score,) = score_outputs(tmp_path / "out", tmp_path / "clean")
    assert score == OutputScore(
        path=tmp_path / "out/a.tif",
        reference=tmp_path / "clean/a.png",
        psnr=psnr_chw(output, reference),
        ssim=ssim_chw(output, reference),
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
    assert "no counterpart" in reasons["no_reference"]
    assert "31x24 in colour" in reasons["size"]
    assert "32x24 in gray" in reasons["gray"]
    assert "several.bmp, several.tif" in reasons["several"]


def test_same_suffix_is_preferred(tmp_path: Path) -> None:
    _save(tmp_path / "out/a.png", seed=3)
    _save(tmp_path / "clean/a.png", seed=3)
    _save(tmp_path / "clean/a.bmp", seed=4)
    (score,) = score_outputs(tmp_path / "out", tmp_path / "clean")
    assert isinstance(score, OutputScore)
    assert score.psnr == math.inf
