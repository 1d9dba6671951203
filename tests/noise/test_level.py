"""The level of noise that is correlated between neighbouring pixels."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from restore.image.decode import decode
from restore.image.picture import Picture
from restore.noise.drawings import drawings
from restore.noise.estimate import ClippingLimits, estimate_sigma_chw
from restore.noise.jpeg import compressed
from restore.noise.level import NETWORK, NoiseKind, estimate_noise
from restore.noise.spectrum import SHARES, SPECTRUM_BANDS, blocks_of, smooth_spectra

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
Pixels = NDArray[np.float32]


def noisy(clean: Pixels, level: float, blur: float, *, seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).standard_normal(clean.shape, np.float32)
    if blur:
        noise = ndimage.gaussian_filter(noise, (0, blur, blur))
    seen = clean + np.float32(level / 255) * noise / noise.std()
    return np.rint(seen.clip(0, 1) * 255).astype(np.float32) / np.float32(255)


def smooth(channels: int = 1, side: int = 256) -> Pixels:
    ramp = np.linspace(0.25, 0.75, side, dtype=np.float32)
    return np.broadcast_to(ramp[None, :, None] * 0.5 + ramp * 0.5, (channels, side, side)).copy()


@pytest.fixture(scope="module")
def sample() -> Picture:
    return decode(SAMPLES / "city.png")


@pytest.mark.parametrize("blur", [0.4, 0.6, 0.8, 1.0, 1.2])
@pytest.mark.parametrize("level", [3, 5, 10, 25, 50])
def test_blurred_noise_on_a_smooth_picture_within_25_percent(level: float, blur: float) -> None:
    """Noise that is blurred by 0.4 px is nearly white, and may pass for it."""
    found = estimate_noise(noisy(smooth(1, 128), level, blur))
    assert 255 * found.sigma == pytest.approx(level, rel=0.25)
    assert blur < 0.5 or found.kind is NoiseKind.CORRELATED


@pytest.mark.parametrize("blur", [0.6, 0.8, 1.0, 1.2])
@pytest.mark.parametrize("level", [8, 15, 25])
def test_blurred_noise_on_small_photographs_within_20_percent(
    clean_photos: list[Picture], level: float, blur: float
) -> None:
    levels = [
        255 * estimate_noise(noisy(photo.pixels[:1], level, blur, seed=index)).sigma
        for index, photo in enumerate(clean_photos)
    ]
    assert np.median(levels) == pytest.approx(level, rel=0.2)


@pytest.mark.parametrize("level", [3, 5, 10, 25, 50])
def test_white_noise_is_measured_as_before(level: float) -> None:
    pixels = noisy(smooth(3, 128), level, 0)
    found = estimate_noise(pixels)
    assert found.kind is NoiseKind.WHITE
    assert found.sigma == found.told == found.fine == estimate_sigma_chw(pixels)


@pytest.mark.parametrize("level", [10, 25])
def test_white_noise_on_photographs_passes_for_white(
    clean_photos: list[Picture], level: float
) -> None:
    kinds = [
        estimate_noise(noisy(photo.pixels, level, 0, seed=index)).kind
        for index, photo in enumerate(clean_photos)
    ]
    assert kinds.count(NoiseKind.WHITE) >= 4


@pytest.mark.parametrize("quality", [85, 95])
def test_white_noise_survives_jpeg(quality: int) -> None:
    pixels = torch.from_numpy(noisy(smooth(3), 15, 0))[None]
    found = estimate_noise(compressed(pixels, [quality])[0].numpy())
    assert 255 * found.sigma == pytest.approx(15, rel=0.2)


def test_softer_noise_is_told_as_stronger() -> None:
    told = []
    for blur in (0.0, 0.4, 0.6, 0.8):
        found = estimate_noise(noisy(smooth(), 12, blur))
        told.append(found.told / found.sigma)
    assert told == sorted(told)
    assert told[0] == 1
    assert 1.5 < told[-1] < 2


def test_clean_photographs_have_next_to_no_noise(clean_photos: list[Picture]) -> None:
    for photo in clean_photos:
        assert 255 * estimate_noise(photo.pixels).sigma < 2


def test_the_noise_of_a_sample_is_white(sample: Picture) -> None:
    found = estimate_noise(sample.pixels)
    assert (found.kind, round(255 * found.sigma)) == (NoiseKind.WHITE, 15)


def test_drawings_have_none() -> None:
    drawn = drawings(16, 192, 3, torch.Generator().manual_seed(99)).numpy()
    levels = [255 * estimate_noise(each).sigma for each in drawn]
    assert np.quantile(levels, 0.75) < 1


@pytest.mark.parametrize("size", [(1, 2), (3, 300), (15, 15), (16, 16), (20, 20)])
def test_small_pictures_are_measured_as_before(size: tuple[int, int]) -> None:
    pixels = noisy(np.full((1, *size), 0.5, np.float32), 20, 0)
    assert estimate_noise(pixels).sigma == estimate_sigma_chw(pixels)


@pytest.mark.parametrize(("side", "kind"), [(22, NoiseKind.WHITE), (23, NoiseKind.CORRELATED)])
def test_correlation_shows_from_23_pixels_on(side: int, kind: NoiseKind) -> None:
    assert estimate_noise(noisy(smooth(side=side), 25, 0.8)).kind is kind


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_left_out(hole: float) -> None:
    pixels = noisy(smooth(), 12, 0.8)
    pixels[:, :80] = hole
    assert 255 * estimate_noise(pixels).sigma == pytest.approx(12, rel=0.25)
    assert estimate_noise(np.full((3, 50, 50), hole, np.float32)).sigma == 0


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_constant_pictures_have_none(value: float) -> None:
    assert estimate_noise(np.full((3, 64, 64), value, np.float32)).sigma == 0


def test_a_bright_sky_that_is_clipped_is_left_out() -> None:
    clean = smooth()
    clean[:, :100] = 1.3
    assert 255 * estimate_noise(noisy(clean, 12, 0.8)).sigma == pytest.approx(12, rel=0.25)


def test_the_spectrum_of_white_noise_is_flat() -> None:
    channel = 0.1 * np.random.default_rng(0).standard_normal((400, 400), np.float32)
    spectra = smooth_spectra(blocks_of(channel), ClippingLimits())
    assert spectra is not None
    assert spectra.shape == (len(SHARES), SPECTRUM_BANDS)
    np.testing.assert_allclose(spectra[1:], 0.01, rtol=0.15)


def test_ramps_and_straight_edges_leave_nothing_in_the_spectrum() -> None:
    rows, columns = np.indices((200, 200), np.float32)
    channel = 0.001 * rows + 0.002 * columns + (columns % 24 > 11)
    spectra = smooth_spectra(blocks_of(channel.astype(np.float32)), ClippingLimits())
    assert spectra is not None
    assert spectra.max() < 1e-9


def test_the_card_names_the_file() -> None:
    card = NETWORK.with_suffix(".md").read_text()
    digest = hashlib.sha256(NETWORK.read_bytes()).hexdigest()
    assert re.findall(r"[0-9a-f]{64}", card) == [digest]


def test_clean_drawings_are_without_noise() -> None:
    """Their edges have the spectrum of coarse noise, but between them nothing varies."""
    drawn = drawings(24, 256, 3, torch.Generator().manual_seed(77)).numpy()
    codes = np.rint(drawn * 255).astype(np.float32) / 255
    levels = [255 * estimate_noise(picture).sigma for picture in codes]
    assert np.quantile(levels, 0.8) < 1
