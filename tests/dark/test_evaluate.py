from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from restore.dark.darkening import dark_raw
from restore.dark.enhanced import Enhanced
from restore.dark.evaluate import (
    CAMERA,
    LIBRAW,
    NETWORK,
    DarkScore,
    Exposure,
    evaluate_dark_enhancer,
    methods,
)
from restore.dark.runner import DarkEnhancer
from restore.image.colour import linear_to_srgb
from restore.image.develop import camera_to_srgb
from restore.image.metrics import Failure, clean_picture
from restore.image.raw_picture import RawPicture


@pytest.fixture
def enhancer(isp_weights: dict[str, Path]) -> DarkEnhancer:
    return DarkEnhancer(isp_weights["bayer"], precision="fp32")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    small = np.random.default_rng(0).integers(40, 216, (4, 6, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC).save(path)
    return path


def scores(
    enhancer: DarkEnhancer, photo: Path, ratios: list[float], seed: int = 0
) -> list[DarkScore]:
    exposures = [Exposure(ratio=ratio) for ratio in ratios]
    results = list(evaluate_dark_enhancer(enhancer, [photo], exposures, seed=seed))
    assert all(isinstance(result, DarkScore) for result in results)
    return [result for result in results if isinstance(result, DarkScore)]


def test_every_method_is_scored_at_every_ratio(enhancer: DarkEnhancer, photo: Path) -> None:
    found = scores(enhancer, photo, [100, 300])
    assert [(score.exposure.ratio, score.method) for score in found] == [
        (ratio, method) for ratio in (100, 300) for method in methods()
    ]
    assert found[0].record["model"] == "bayer"


def test_figures_are_those_beside_the_developed_clean_picture(photo: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    pixels = torch.from_numpy(clean_picture(photo).pixels)
    raw, light, amplification = dark_raw(pixels, CAMERA, 50, generator)
    matrix = camera_to_srgb(raw)
    clean = linear_to_srgb(np.einsum("ij,jhw->ihw", matrix, light.numpy())).clip(0, 1)
    asked: list[float] = []

    def darker(_raw: RawPicture, *, ratio: float) -> SimpleNamespace:
        asked.append(ratio)
        return SimpleNamespace(to_srgb=None, on_sensor=lambda: 0.9 * clean, record={})

    score, *_ = evaluate_dark_enhancer(
        cast(DarkEnhancer, darker), [photo], [Exposure(ratio=50)], seed=5
    )
    assert isinstance(score, DarkScore)
    assert asked == [amplification]
    assert score.psnr == pytest.approx(-10 * np.log10(np.mean((0.1 * clean) ** 2)), abs=1e-4)
    assert 0.95 < score.ssim < 1


def test_libraw_is_close_where_there_is_light_and_far_in_the_dark(
    enhancer: DarkEnhancer, photo: Path
) -> None:
    """So that the comparison is fair: geometry, gain and colours are those of the reference."""
    plain = [s.psnr for s in scores(enhancer, photo, [1, 30, 300]) if s.method == LIBRAW]
    assert plain == sorted(plain, reverse=True)
    assert plain[0] > 30
    assert plain[2] < 20


def test_what_is_brighter_than_white_is_clipped_as_in_the_reference(photo: Path) -> None:
    """Each colour by itself: a result that is right, with headroom, has no error."""
    generator = torch.Generator().manual_seed(5)
    bright = torch.from_numpy(clean_picture(photo).pixels.copy())
    bright[:, :20] = 1
    raw, light, _ = dark_raw(bright, CAMERA, 50, generator)
    colour = linear_to_srgb(np.where(light == 1, 1.7, light.numpy()).astype(np.float32))
    result = Enhanced(
        colour=colour, raw=raw, gains=np.ones(3, np.float32), ratio=1.0, to_srgb=camera_to_srgb(raw)
    )

    def right(_raw: RawPicture, *, ratio: float) -> Enhanced:
        assert ratio > 0
        return result

    Image.fromarray((255 * bright.numpy()).round().astype(np.uint8).transpose(1, 2, 0)).save(photo)
    score, *_ = evaluate_dark_enhancer(
        cast(DarkEnhancer, right), [photo], [Exposure(ratio=50)], seed=5
    )
    assert isinstance(score, DarkScore)
    assert (light == 1).any()
    assert score.psnr > 40


def test_seed_decides_the_night(enhancer: DarkEnhancer, photo: Path) -> None:
    first, again, other = (
        [s.psnr for s in scores(enhancer, photo, [100], seed=seed) if s.method == NETWORK]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_an_xtrans_sensor_sees_the_same(isp_weights: dict[str, Path], photo: Path) -> None:
    enhancer = DarkEnhancer(isp_weights["xtrans"], precision="fp32")
    results = list(evaluate_dark_enhancer(enhancer, [photo], [Exposure(side=6)]))
    found = [result for result in results if isinstance(result, DarkScore)]
    assert [score.method for score in found] == list(methods())
    assert found[0].record["sensor"] == "X-Trans"
    assert found[1].psnr > 30


def test_small_pictures_are_scored(enhancer: DarkEnhancer, tmp_path: Path) -> None:
    small = np.random.default_rng(0).integers(0, 256, (21, 33, 3), dtype=np.uint8)
    Image.fromarray(small).save(tmp_path / "small.png")
    assert len(scores(enhancer, tmp_path / "small.png", [10])) == len(methods())


def test_gray_and_unreadable_pictures_are_failures(enhancer: DarkEnhancer, tmp_path: Path) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "gray.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    results = list(evaluate_dark_enhancer(enhancer, sorted(tmp_path.glob("*.png")), [Exposure()]))
    assert [type(result) for result in results] == [Failure, Failure]
