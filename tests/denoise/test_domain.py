"""Gray stored as RGB, other scales and curves, cut-outs: all are denoised as what they show."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from restore.api.images import estimate_sigma
from restore.denoise.domain import domain_of
from restore.denoise.runner import Denoiser
from restore.image.cicp import Cicp
from restore.image.codecs import ImageFormat
from restore.image.colour import SRGB_PRIMARIES, linear_to_srgb, srgb_to_linear
from restore.image.decode import decode
from restore.image.icc_writer import written_profile
from restore.image.picture import Picture, Transfer
from restore.image.tiff_regions import OutOfCorePicture, open_out_of_core
from restore.noise.sensor import add_gaussian_noise

HEIGHT, WIDTH = 96, 128


@pytest.fixture(autouse=True)
def _pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that run once need not be exported."""
    monkeypatch.setenv("IMRESTORE_ENGINE", "pytorch")


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser("dncnn", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def noisy(data: Path) -> np.ndarray:
    clean = decode(sorted(data.glob("*.png"))[0]).pixels[:, :HEIGHT, :WIDTH]
    return add_gaussian_noise(clean, 15 / 255, seed=0).clip(0, 1).astype(np.float32)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(np.square(one - other, dtype=np.float64)) + 1e-20))


def test_gray_stored_as_rgb_is_denoised_as_gray(denoiser: Denoiser, noisy: np.ndarray) -> None:
    gray = denoiser(Picture(pixels=noisy[:1]), sigma=15)
    stored = denoiser(Picture(pixels=noisy[:1].repeat(3, 0)), sigma=15)
    assert stored.record["gray_stored_as_rgb"] is True
    assert stored.record["model"] == gray.record["model"] == "dncnn-gray"
    np.testing.assert_array_equal(stored.picture.pixels, gray.picture.pixels.repeat(3, 0))


def test_lossy_gray_may_be_off_by_a_code_and_becomes_gray(
    denoiser: Denoiser, noisy: np.ndarray
) -> None:
    almost = noisy[:1].repeat(3, 0)
    almost[2, ::3] = (almost[2, ::3] + 1 / 255).clip(0, 1)
    lossy = Picture(pixels=almost, format=ImageFormat.JPEG)
    red, _, blue = denoiser(lossy, sigma=15).picture.pixels
    np.testing.assert_array_equal(red, blue)
    assert not domain_of(replace(lossy, format=ImageFormat.PNG)).is_gray
    assert not domain_of(replace(lossy, format=ImageFormat.WEBP, is_lossless=True)).is_gray


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_stays_as_it_is(size: tuple[int, int]) -> None:
    empty = Picture(pixels=np.empty((3, *size), np.float32), is_float=True, bit_depth=32)
    assert domain_of(empty).entered(empty).pixels.size == 0


@pytest.mark.parametrize(
    ("scale", "is_light", "holds_codes"),
    [(255, False, True), (65535, False, True), (100, True, False), (4095, True, False)],
)
def test_floats_on_another_scale_are_denoised_as_if_on_that_of_one(
    denoiser: Denoiser, noisy: np.ndarray, scale: int, is_light: bool, holds_codes: bool
) -> None:
    samples = srgb_to_linear(noisy) if is_light else noisy.copy()
    samples[:, :2, :40] = 1  # its white
    picture = Picture(
        pixels=samples * np.float32(scale),
        is_float=True,
        bit_depth=32,
        transfer=Transfer.LINEAR,
        format=ImageFormat.TIFF,
    )
    result = denoiser(picture, sigma=15)
    assert result.record["scale"] == scale
    assert result.record["remarks"] == [
        f"was taken for {'sRGB-encoded codes' if holds_codes else 'samples'} from 0 to {scale}"
    ]
    assert result.picture.transfer is Transfer.LINEAR
    usual = Picture(
        pixels=samples,
        is_float=True,
        bit_depth=32,
        transfer=Transfer.LINEAR if is_light else Transfer.SRGB,
    )
    expected = denoiser(usual, sigma=15).picture.pixels
    np.testing.assert_allclose(result.picture.pixels / scale, expected, atol=1e-4)
    json.dumps(result.record)


@pytest.mark.parametrize("brightest", [1, 3, 30_000])
def test_light_of_high_dynamic_range_keeps_its_scale(noisy: np.ndarray, brightest: float) -> None:
    light = srgb_to_linear(noisy)
    light[:, 40:50, 40:60] = brightest
    light[0, 0, 0] = np.inf
    picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    assert domain_of(picture).scale == 1


@pytest.mark.parametrize("exponent", [1.0, 1.8])
def test_a_profile_with_another_curve_gives_the_result_of_srgb(
    denoiser: Denoiser, noisy: np.ndarray, exponent: float
) -> None:
    icc = written_profile(SRGB_PRIMARIES, (exponent,), 3)
    samples = np.rint(srgb_to_linear(noisy) ** np.float32(1 / exponent) * 65535) / 65535
    picture = Picture(pixels=samples.astype(np.float32), bit_depth=16, icc=icc)
    result = denoiser(picture)
    assert (result.record["tone_curve"], result.picture.icc) == ("profile", icc)
    expected = denoiser(Picture(pixels=noisy))
    assert result.record["sigma"] == pytest.approx(expected.record["sigma"], rel=0.02)
    ours = linear_to_srgb(result.picture.pixels ** np.float32(exponent))
    assert psnr(ours, expected.picture.pixels) > 50
    assert estimate_sigma(picture) == pytest.approx(result.record["sigma"], abs=1e-3)


def test_pq_is_denoised_as_it_is_and_says_so(denoiser: Denoiser, noisy: np.ndarray) -> None:
    usual = Picture(pixels=noisy)
    result = denoiser(replace(usual, cicp=Cicp(9, 16)), sigma=15)
    assert result.record["tone_curve"] == "pq"
    np.testing.assert_array_equal(result.picture.pixels, denoiser(usual, sigma=15).picture.pixels)


def ellipse() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot((y - HEIGHT / 2) / HEIGHT, (x - WIDTH / 2) / WIDTH) * 2


@pytest.mark.parametrize("model", ["dncnn", "auto"])
def test_hidden_colours_do_not_bleed_and_stay(noisy: np.ndarray, model: str) -> None:
    denoiser = Denoiser(model, device="cpu", precision="fp32")
    visible = ellipse() < 0.8
    hidden = noisy.copy()
    hidden[:, ~visible] = np.float32([1, 0, 1])[:, None]
    cut = Picture(pixels=hidden, alpha=visible.astype(np.float32))
    result = denoiser(cut, sigma=15 if model == "dncnn" else "auto").picture.pixels
    natural = denoiser(Picture(pixels=noisy), sigma=15 if model == "dncnn" else "auto")
    np.testing.assert_array_equal(result[:, ~visible], hidden[:, ~visible])
    assert psnr(result[:, visible], natural.picture.pixels[:, visible]) >= 45


@pytest.mark.parametrize("is_float", [False, True])
def test_premultiplied_colour_stays_inside_the_matte(
    denoiser: Denoiser, noisy: np.ndarray, is_float: bool
) -> None:
    alpha = np.clip(1.5 * (1.2 - ellipse()), 0, 1).astype(np.float32)
    pixels = noisy * alpha
    if not is_float:
        alpha, pixels = (np.float32(np.rint(each * 255)) / 255 for each in (alpha, pixels))
    picture = Picture(
        pixels=pixels, alpha=alpha, alpha_is_premultiplied=True, is_float=is_float, bit_depth=16
    )
    result = denoiser(picture, sigma=15).picture
    assert not result.pixels[:, alpha == 0].any()
    inside = alpha == 1
    natural = denoiser(Picture(pixels=noisy), sigma=15).picture.pixels
    assert psnr(result.pixels[:, inside], natural[:, inside]) > 40
    edge = (alpha > 0.3) & (alpha < 1)
    assert psnr(result.pixels[:, edge], (natural * alpha)[:, edge]) > 30


def test_a_picture_that_is_transparent_everywhere_stays(denoiser: Denoiser) -> None:
    picture = Picture(
        pixels=np.full((3, 9, 9), 0.3, np.float32), alpha=np.zeros((9, 9), np.float32)
    )
    np.testing.assert_array_equal(denoiser(picture).picture.pixels, picture.pixels)


def out_of_core(path: Path, samples: np.ndarray, **options: object) -> OutOfCorePicture:
    tifffile.imwrite(path, samples, photometric="rgb", tile=(16, 32), **options)
    source = open_out_of_core(path, workplace=path.parent, budget_bytes=900_000)
    assert source is not None
    return source


def as_gray(noisy: np.ndarray) -> np.ndarray:
    return noisy[:1].repeat(3, 0)


def as_codes(noisy: np.ndarray) -> np.ndarray:
    return noisy * np.float32(255)


def cut_out(noisy: np.ndarray) -> np.ndarray:
    return np.concatenate([noisy, (ellipse() < 0.8)[None].astype(np.float32)])


@pytest.mark.parametrize("made", [as_gray, as_codes, cut_out])
@pytest.mark.parametrize("detail", [0.0, 0.5])
def test_pictures_larger_than_memory_are_treated_alike(
    tmp_path: Path,
    denoiser: Denoiser,
    noisy: np.ndarray,
    made: Callable[[np.ndarray], np.ndarray],
    detail: float,
) -> None:
    samples = np.tile(made(noisy), (1, 3, 2)).transpose(1, 2, 0)
    options = {"extrasamples": ["unassalpha"]} if samples.shape[2] == 4 else {}
    source = out_of_core(tmp_path / "a.tif", samples, **options)
    whole = denoiser(decode(source.path), detail=detail)
    result = denoiser.out_of_core(source, detail=detail)
    assert {**result.record, "seconds": 0} == {**whole.record, "seconds": 0}
    scale = np.float32(samples.max())
    with result.opened() as rows:
        for start in range(0, source.height, 70):
            part = rows(start, min(source.height, start + 70)).pixels
            expected = whole.picture.pixels[:, start : start + 70]
            np.testing.assert_allclose(part / scale, expected / scale, rtol=0, atol=1e-5)
