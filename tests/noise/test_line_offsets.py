"""Tests of finding stripes, the offsets of whole rows and columns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from restore.image.decode import decode
from restore.noise.drawings import drawings
from restore.noise.line_offsets import LineOffsets, line_offsets

Pixels = NDArray[np.float32]


def found_in(pixels: Pixels) -> LineOffsets | None:
    return line_offsets(lambda top, bottom: pixels[:, top:bottom], *pixels.shape)


def scene(height: int = 300, width: int = 400, channels: int = 3) -> Pixels:
    """Return something soft with texture and edges, away from black and white."""
    rng = np.random.default_rng(0)
    coarse = ndimage.gaussian_filter(rng.standard_normal((channels, height, width)), (0, 20, 20))
    fine = ndimage.gaussian_filter(rng.standard_normal((channels, height, width)), (0, 1, 1))
    pixels = 0.5 + 0.1 * coarse / coarse.std() + 0.03 * fine / fine.std()
    pixels[:, height // 2 :, width // 3 :] += 0.15
    return pixels.clip(0.05, 0.95).astype(np.float32)


def in_eight_bits(pixels: Pixels) -> Pixels:
    return (np.rint(pixels.clip(0, 1) * 255) / 255).astype(np.float32)


@pytest.mark.parametrize("level", [3, 6, 12])
@pytest.mark.parametrize("noise", [0, 8])
def test_offsets_of_rows_are_found_and_taken_away(level: int, noise: int) -> None:
    clean, rng = scene(), np.random.default_rng(1)
    offsets = rng.normal(0, level / 255, (1, 300, 1))
    noisy = in_eight_bits(clean + offsets + rng.normal(0, noise / 255, clean.shape))
    stripes = found_in(noisy)
    assert stripes is not None
    assert 255 * stripes.sigma_rows == pytest.approx(level, rel=0.25)
    assert stripes.sigma_columns == 0
    left = offsets[0, :, 0] - offsets.mean() - stripes.rows.mean(axis=0)
    assert 255 * left.std() < level / 2
    assert stripes.sigma_left == pytest.approx(left.std(), rel=0.5)
    even = stripes.removed_from(noisy, (slice(0, 300), slice(0, 400)))
    part = stripes.removed_from(noisy[:, 40:50, 7:20], (slice(40, 50), slice(7, 20)))
    np.testing.assert_array_equal(part, even[:, 40:50, 7:20])


def test_columns_and_channels_have_offsets_of_their_own() -> None:
    clean, rng = scene(), np.random.default_rng(2)
    rows = rng.normal(0, 5 / 255, (3, 300, 1))
    columns = rng.normal(0, 8 / 255, (3, 1, 400))
    stripes = found_in((clean + rows + columns).astype(np.float32))
    assert stripes is not None
    for ours, theirs in ((stripes.rows, rows[:, :, 0]), (stripes.columns, columns[:, 0])):
        for one, other in zip(ours, theirs, strict=True):
            assert np.corrcoef(one, other)[0, 1] > 0.85


def test_a_line_that_comes_again_and_again_is_found_too() -> None:
    """As interference of a period of two rows is."""
    clean = scene()
    clean[:, ::2] += np.float32(6 / 255)
    stripes = found_in(clean)
    assert stripes is not None
    assert np.diff(stripes.rows[0]).std() * 255 == pytest.approx(6, rel=0.15)


def test_clipped_samples_stay_as_they_are() -> None:
    clean, rng = scene(), np.random.default_rng(3)
    clean[:, :, :150] = 1.3  # a white wall, on which no stripes show
    noisy = in_eight_bits(clean + rng.normal(0, 6 / 255, (1, 300, 1)))
    stripes = found_in(noisy)
    assert stripes is not None
    even = stripes.removed_from(noisy, (slice(0, 300), slice(0, 400)))
    assert (even[:, :, :150] == 1).all()
    assert np.diff(even, axis=1)[:, :, 200:].std() < np.diff(noisy, axis=1)[:, :, 200:].std()


def test_what_is_not_finite_is_left_out() -> None:
    clean, rng = scene(), np.random.default_rng(4)
    noisy = (clean + rng.normal(0, 6 / 255, (1, 300, 1))).astype(np.float32)
    noisy[:, 100:140, :250] = np.nan
    stripes = found_in(noisy)
    assert stripes is not None
    assert np.isfinite(stripes.rows).all()


def test_stripes_that_no_channel_shows_alone_are_left() -> None:
    rng = np.random.default_rng(1)
    noisy = scene() + rng.normal(0, 2.5 / 255, (1, 300, 1))
    noisy = (noisy + rng.normal(0, 30 / 255, noisy.shape)).astype(np.float32)
    assert found_in(noisy.mean(axis=0, keepdims=True)) is not None
    assert found_in(noisy) is None


def waves() -> Pixels:
    pixels = scene()
    pixels += (0.06 * np.sin(np.arange(300) * 2 * np.pi / 12)[None, :, None]).astype(np.float32)
    return pixels


def horizon() -> Pixels:
    pixels = scene()
    pixels[:, 120:] -= np.float32(0.3)
    return pixels


def ruled_paper() -> Pixels:
    pixels = np.full((1, 300, 400), 0.9, np.float32)
    pixels[:, 10::25] = 0.2
    return in_eight_bits(pixels + np.random.default_rng(0).normal(0, 0.01, pixels.shape))


def white_noise(level: float) -> Pixels:
    clean = scene()
    noise = np.random.default_rng(5).normal(0, level / 255, clean.shape)
    return (clean + noise).astype(np.float32)


@pytest.mark.parametrize(
    "pixels",
    [
        scene(),
        white_noise(10),
        white_noise(75),
        waves(),
        horizon(),
        ruled_paper(),
        np.indices((200, 200)).sum(axis=0)[None].astype(np.float32) % 2,
        scene(100, 100),
        np.zeros((3, 1, 1), np.float32),
        np.full((1, 200, 200), np.nan, np.float32),
    ],
    ids=[
        *("clean", "noise of 10", "noise of 75", "waves", "horizon", "ruled paper"),
        *("checkerboard", "small", "a pixel", "nothing known"),
    ],
)
def test_pictures_without_stripes_have_none(pixels: Pixels) -> None:
    assert found_in(pixels) is None


def test_drawings_have_none() -> None:
    drawn = drawings(12, 256, 3, torch.Generator().manual_seed(1)).numpy()
    assert [found_in(in_eight_bits(each)) for each in drawn] == [None] * 12


@pytest.mark.parametrize("folder", ["denoise/test/kodak24", "denoise/real/gray"])
def test_photographs_have_none(shared_data: Path, folder: str) -> None:
    paths = sorted((shared_data / folder).iterdir())
    assert paths
    assert {path.name: found_in(decode(path).pixels) for path in paths} == {
        path.name: None for path in paths
    }
