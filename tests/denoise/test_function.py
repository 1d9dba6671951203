from pathlib import Path

import numpy as np
import pytest
import torch

import restore
from restore.errors import UnsupportedImage
from restore.image.picture import Picture

SAMPLES = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
PICTURE = Picture(
    pixels=np.ascontiguousarray(SAMPLES.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
)


@pytest.fixture
def expected(color_model: Path) -> np.ndarray:
    return restore.Denoiser(color_model)(PICTURE, sigma=25).picture.pixels


def test_every_kind_gives_the_values_of_the_command(
    color_model: Path, expected: np.ndarray
) -> None:
    as_picture = restore.denoise(PICTURE, color_model, sigma=25)
    np.testing.assert_array_equal(as_picture.pixels, expected)

    as_tensor = restore.denoise(torch.from_numpy(PICTURE.pixels), color_model, sigma=25)
    np.testing.assert_array_equal(as_tensor.numpy(), expected)

    as_floats = restore.denoise(SAMPLES / np.float32(255), color_model, sigma=25)
    np.testing.assert_array_equal(as_floats.transpose(2, 0, 1), expected)

    as_bytes = restore.denoise(SAMPLES, color_model, sigma=25)
    assert as_bytes.dtype == np.uint8
    np.testing.assert_array_equal(as_bytes.transpose(2, 0, 1), np.rint(expected * 255))


def test_batches_keep_their_shape_and_dtype(color_model: Path, expected: np.ndarray) -> None:
    batch = torch.from_numpy(PICTURE.pixels).repeat(2, 1, 1, 1).double()
    result = restore.denoise(batch, color_model, sigma=25)
    assert (result.shape, result.dtype) == (batch.shape, torch.float64)
    np.testing.assert_allclose(result[1].numpy(), expected, atol=1e-6)


def test_what_is_no_number_stays_alone(color_model: Path) -> None:
    floats = SAMPLES / np.float32(255)
    floats[4, 5, 1] = np.nan
    for result in (
        restore.denoise(floats, color_model),
        restore.denoise(torch.from_numpy(floats.transpose(2, 0, 1)), color_model)
        .numpy()
        .transpose(1, 2, 0),
    ):
        np.testing.assert_array_equal(np.isnan(result), np.isnan(floats))
        assert 0 <= np.nanmin(result) <= np.nanmax(result) <= 1


def test_uint16_and_gray_shapes(gray_model: Path) -> None:
    deep = SAMPLES[..., 0].astype(np.uint16) * 257
    for array in (deep, deep[..., None]):
        result = restore.denoise(array, gray_model, sigma=25)
        assert (result.shape, result.dtype) == (array.shape, np.uint16)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4), np.int32),
        np.zeros(4, np.float32),
        torch.zeros(2, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        np.zeros((0, 4), np.uint8),
        torch.zeros(3, 0, 4),
        torch.zeros(0, 3, 4, 4),
    ],
    ids=lambda image: f"{image.dtype}-{list(image.shape)}",
)
def test_other_shapes_are_refused(gray_model: Path, image: object) -> None:
    with pytest.raises(UnsupportedImage, match="shape"):
        restore.denoise(image, gray_model)


def test_floats_of_another_range_are_refused_and_do_not_come_back_white(gray_model: Path) -> None:
    codes = SAMPLES[..., 0].astype(np.float32)
    for image in (codes, torch.from_numpy(codes)[None]):
        with pytest.raises(UnsupportedImage, match=r"give them in \[0, 1\]"):
            restore.denoise(image, gray_model)
