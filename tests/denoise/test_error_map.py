"""Tests of error maps and of their evaluation."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile

from restore.denoise.coverage import Tally, error_map_scores, psnr_by_sure
from restore.denoise.error_map import BOUND, EXPECTED, ErrorMapper
from restore.denoise.runner import Denoised, Denoiser
from restore.denoise.task import ERRORS
from restore.engine.placement import Placement
from restore.image.codecs import ImageFormat
from restore.image.encode import encode
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture
from restore.noise.sensor import add_gaussian_noise

SIGMA = 25.0


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser("resunet-color", device="cpu", sigma=SIGMA)


@pytest.fixture(scope="module")
def noisy(clean_photos: list[Picture]) -> Picture:
    pixels = add_gaussian_noise(clean_photos[0].pixels, SIGMA / 255, seed=0)
    return Picture(pixels=pixels, is_float=True, bit_depth=32)


@pytest.fixture(scope="module")
def denoised(denoiser: Denoiser, noisy: Picture) -> Denoised:
    return denoiser(noisy, sigma=SIGMA, error_map=True)


def error_of(denoised: Denoised, clean: Picture) -> np.ndarray:
    return 255 * np.abs(denoised.picture.pixels.clip(0, 1) - clean.pixels).mean(axis=0)


def test_the_map_tells_how_large_errors_are_and_where(
    denoised: Denoised, clean_photos: list[Picture]
) -> None:
    assert denoised.errors is not None
    error = error_of(denoised, clean_photos[0])
    assert denoised.errors.expected.mean() == pytest.approx(error.mean(), rel=0.25)
    assert 0.85 < (error <= denoised.errors.bound).mean() < 0.98
    is_high = denoised.errors.expected > np.median(denoised.errors.expected)
    assert error[is_high].mean() > 1.3 * error[~is_high].mean()


def test_the_record_has_the_expected_psnr(denoised: Denoised, clean_photos: list[Picture]) -> None:
    psnr = psnr_chw(denoised.picture.pixels.clip(0, 1), clean_photos[0].pixels)
    assert denoised.record["expected_psnr"] == pytest.approx(psnr, abs=0.7)
    assert denoised.record["error_model"] == "denoise-error"
    assert denoised.errors is not None
    assert denoised.record["expected_error"] == pytest.approx(denoised.errors.expected.mean(), 1e-3)
    assert "remarks" not in denoised.record


def test_the_result_is_the_same_with_and_without(
    denoiser: Denoiser, noisy: Picture, denoised: Denoised
) -> None:
    without = denoiser(noisy, sigma=SIGMA)
    assert without.errors is None
    np.testing.assert_array_equal(without.picture.pixels, denoised.picture.pixels)
    with pytest.raises(ValueError, match="no error map was asked for"):
        without.beside(EXPECTED)


@pytest.mark.parametrize("kind", [EXPECTED, BOUND])
def test_files_hold_levels_in_floating_point(denoised: Denoised, kind: str) -> None:
    assert denoised.errors is not None
    with tifffile.TiffFile(BytesIO(denoised.beside(kind))) as file:
        stored = file.asarray()
    assert stored.dtype == np.float32
    expected = denoised.errors.expected if kind == EXPECTED else denoised.errors.bound
    np.testing.assert_array_equal(stored, expected)


def test_files_lie_as_the_results_do(denoised: Denoised) -> None:
    assert denoised.errors is not None
    turned = replace(denoised.errors, like=replace(denoised.errors.like, orientation=6))
    for is_upright, orientation, first in ((False, 6, (0, 0)), (True, 1, (0, -1))):
        data = replace(turned, is_upright=is_upright).tiff(EXPECTED)
        with tifffile.TiffFile(BytesIO(data)) as file:
            assert file.pages[0].tags.valueof("Orientation", 1) == orientation
            assert file.asarray()[first] == turned.expected[0, 0]


def test_a_blend_is_known_to_be_that_far_from_the_result(
    denoiser: Denoiser, noisy: Picture, denoised: Denoised, clean_photos: list[Picture]
) -> None:
    half = denoiser(noisy, sigma=SIGMA, strength=0.5, error_map=True)
    assert half.errors is not None
    assert denoised.errors is not None
    assert (half.errors.bound >= denoised.errors.bound).all()
    assert half.errors.expected.mean() == pytest.approx(
        error_of(half, clean_photos[0]).mean(), rel=0.2
    )
    assert any("full strength" in each for each in half.record["remarks"])  # type: ignore[attr-defined]


def test_gray_pictures_and_others_denoisers_have_maps(
    gray_model: Path, clean_photos: list[Picture]
) -> None:
    gray = clean_photos[0].with_pixels(clean_photos[0].pixels[:1, :40, :50])
    done = Denoiser(gray_model, device="cpu")(gray, sigma=10, error_map=True)
    assert done.errors is not None
    assert done.errors.expected.shape == (40, 50)
    remarks = done.record["remarks"]
    assert isinstance(remarks, list)
    assert any(f"not of {gray_model.stem}" in each for each in remarks)


def test_nothing_is_said_of_what_stays_as_it_was(denoiser: Denoiser, noisy: Picture) -> None:
    pixels = noisy.pixels[:, :32, :32].copy()
    pixels[0, 3, 5] = np.nan
    done = denoiser(noisy.with_pixels(pixels), sigma=SIGMA, error_map=True)
    assert done.errors is not None
    assert np.argwhere(np.isnan(done.errors.expected)).tolist() == [[3, 5]]
    assert np.isfinite(done.errors.psnr)


def test_a_picture_that_is_transparent_throughout_has_no_expected_psnr(denoiser: Denoiser) -> None:
    picture = Picture(
        pixels=np.full((3, 8, 8), 0.5, np.float32), alpha=np.zeros((8, 8), np.float32)
    )
    record = denoiser(picture, sigma=SIGMA, error_map=True).record  # and nothing warns
    assert np.isnan([record["expected_psnr"], record["expected_error"]]).all()


def test_tiles_make_the_same_map(noisy: Picture, denoised: Denoised) -> None:
    mapper = ErrorMapper(ERRORS.default_weights["any"], Placement(device="cpu", tile=64))
    result = denoised.picture.pixels
    tiled = mapper(noisy.pixels, result, result, None, noisy, denoiser="resunet-color")
    assert denoised.errors is not None
    np.testing.assert_allclose(tiled.expected, denoised.errors.expected, rtol=1e-3)


def test_sure_knows_the_psnr_without_the_clean_picture(
    denoiser: Denoiser, noisy: Picture, denoised: Denoised, clean_photos: list[Picture]
) -> None:
    result = denoised.picture.pixels
    psnr = psnr_chw(result, clean_photos[0].pixels)
    by_sure = psnr_by_sure(denoiser, noisy, result, SIGMA, SIGMA, 0)
    assert by_sure == pytest.approx(psnr, abs=0.5)


def test_coverage_counts_pixels_by_texture() -> None:
    one = Tally(
        pixels=np.array([4.0, 0, 6]),
        covered=np.array([3.0, 0, 6]),
        error=np.zeros(3),
        expected=np.zeros(3),
    )
    assert (one + one).coverage == {"flat": 0.75, "fine": 1.0, "all": 0.9}


def test_every_kind_of_noise_is_evaluated(
    tmp_path: Path, denoiser: Denoiser, clean_photos: list[Picture]
) -> None:
    small = clean_photos[0].with_pixels(clean_photos[0].pixels[:, :48, :64])
    (tmp_path / "clean.png").write_bytes(encode(small, ImageFormat.PNG))
    scores = list(error_map_scores({"a": denoiser}, [tmp_path / "clean.png"], sigmas=[25.0]))
    white, *others = scores
    assert white.noise == "white, sigma 25"  # type: ignore[union-attr]
    assert white.by_sure is not None  # type: ignore[union-attr]
    assert {each.noise.split(",")[0] for each in others} == {"camera", "grain"}  # type: ignore[union-attr]
    assert all(each.by_sure is None for each in others)  # type: ignore[union-attr]
