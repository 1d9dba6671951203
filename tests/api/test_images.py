"""One convention for callers: which images every public name takes, and what it says of others."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import restore
from restore.errors import (
    UsageError,
)

PROJECT = Path(__file__).resolve().parents[2]
SAMPLES = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
NOISY = (SAMPLES // 2 + 40).astype(np.uint8)


def _tensor(samples: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(samples.transpose(2, 0, 1)) / np.float32(255))


KINDS: dict[str, Callable[[np.ndarray, Path], Any]] = {
    "picture": lambda samples, _: restore.Picture(pixels=_tensor(samples).numpy()),
    "path": lambda samples, folder: _saved(samples, folder),
    "str": lambda samples, folder: str(_saved(samples, folder)),
    "pil": lambda samples, _: Image.fromarray(samples),
    "uint8": lambda samples, _: samples,
    "uint16": lambda samples, _: samples.astype(np.uint16) * 257,
    "big-endian": lambda samples, _: (samples.astype(np.uint16) * 257).astype(">u2"),
    "float32": lambda samples, _: samples / np.float32(255),
    "float64": lambda samples, _: samples / 255,
    "tensor": lambda samples, _: _tensor(samples),
    "batch": lambda samples, _: _tensor(samples)[None].double(),
}


def _saved(samples: np.ndarray, folder: Path) -> Path:
    path = folder / f"{samples.sum()}.png"
    Image.fromarray(samples).save(path)
    return path


@pytest.mark.parametrize("reference", KINDS)
@pytest.mark.parametrize("result", KINDS)
def test_psnr_is_that_of_the_samples_for_every_pair_of_kinds(
    tmp_path: Path, result: str, reference: str
) -> None:
    error = (NOISY.astype(float) - SAMPLES) / 255
    expected = -10 * math.log10(np.mean(error**2))
    found = restore.psnr(KINDS[result](NOISY, tmp_path), KINDS[reference](SAMPLES, tmp_path))
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_the_same_image_to_every_function(tmp_path: Path, kind: str) -> None:
    image, same = KINDS[kind](NOISY, tmp_path), KINDS["picture"](NOISY, tmp_path)
    other = KINDS["picture"](SAMPLES, tmp_path)
    assert restore.psnr(image, same) > 100
    assert restore.ssim(image, other) == pytest.approx(restore.ssim(same, other), abs=1e-5)
    assert restore.estimate_sigma(image) == pytest.approx(restore.estimate_sigma(same), rel=1e-4)
    assert restore.psnr(restore.decode(restore.encode(image, "png")), same) > 100


def test_measures_of_gray_and_of_batches() -> None:
    black, gray = np.zeros((16, 16), np.uint8), np.full((16, 16, 1), 51, np.uint8)
    assert restore.psnr(black, gray) == pytest.approx(20 * math.log10(5), abs=1e-4)
    assert restore.psnr(gray, gray) == math.inf
    batch = torch.stack([torch.zeros(1, 16, 16), torch.full((1, 16, 16), 0.1)])
    shifted = batch + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
    assert restore.psnr(shifted, batch) == pytest.approx((20 + 40) / 2, abs=1e-3)
    assert restore.ssim(batch, batch) == pytest.approx(1)


def test_noise_is_estimated_in_the_units_that_denoise_takes(color_model: Path) -> None:
    rng = np.random.default_rng(0)
    clean = np.full((64, 64, 3), 128.0)
    noisy = (clean + rng.normal(0, 12, clean.shape)).astype(np.uint8)
    sigma = restore.estimate_sigma(noisy)
    assert sigma == pytest.approx(12, rel=0.1)
    found = restore.denoise(noisy, color_model)
    np.testing.assert_array_equal(restore.denoise(noisy, color_model, sigma=sigma), found)
    twice = torch.stack([_tensor(noisy), _tensor(noisy)])
    assert restore.estimate_sigma(twice) == pytest.approx(sigma, rel=1e-4)


def test_linear_light_is_estimated_as_denoise_does(color_model: Path) -> None:
    rng = np.random.default_rng(0)
    light = restore.Picture(
        pixels=rng.normal(0.2, 0.02, (3, 64, 64)).astype(np.float32),
        is_float=True,
        transfer=restore.Transfer.LINEAR,
    )
    record = restore.Denoiser(color_model)(light).record
    assert restore.estimate_sigma(light) == pytest.approx(record["sigma"], abs=1e-3)
    with pytest.raises(UsageError, match="linear light"):
        restore.psnr(light, light.pixels.transpose(1, 2, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F"])
def test_pil_images_come_back(color_model: Path, mode: str) -> None:
    if mode == "F":
        image = Image.fromarray(SAMPLES[..., 0] / np.float32(255))
    elif mode == "I;16":
        image = Image.fromarray(SAMPLES[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(SAMPLES).convert(mode)
    if image.mode.endswith("A"):
        image.putalpha(Image.fromarray(SAMPLES[..., 1]))
    image.info["icc_profile"] = b"mine"
    result = restore.denoise(image, color_model, sigma=25)
    assert result.size == image.size
    assert result.mode == {"1": "L", "P": "RGB"}.get(mode, mode)
    assert result.info["icc_profile"] == b"mine"
    if mode.endswith("A"):
        assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    if mode == "RGB":
        expected = restore.denoise(SAMPLES, color_model, sigma=25)
        np.testing.assert_array_equal(np.asarray(result), expected)


def test_pil_images_are_written_with_their_blocks() -> None:
    image = Image.open(PROJECT / "samples/osprey.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    written = restore.decode(restore.encode(image, "png"))
    assert written.orientation == 6
    assert written.icc == image.info.get("icc_profile")


def test_files_give_pictures(tmp_path: Path, color_model: Path) -> None:
    path = _saved(SAMPLES, tmp_path)
    result = restore.denoise(path, color_model, sigma=25)
    assert isinstance(result, restore.Picture)
    again = restore.denoise(str(path), color_model, sigma=25)
    np.testing.assert_array_equal(result.pixels, again.pixels)


@pytest.mark.parametrize(("container", "bits"), [("png", 16), ("tiff", 16), ("jpeg", 8)])
def test_floats_are_written_with_all_their_values(container: str, bits: int) -> None:
    floats = np.linspace(0, 1, 40 * 40, dtype=np.float32).reshape(40, 40)
    written = restore.decode(restore.encode(floats, container))
    assert written.bit_depth == bits
    assert restore.psnr(written, floats) > (90 if bits == 16 else 40)


def test_denoise_is_a_function_before_and_after_its_package_was_imported() -> None:
    code = (
        "import numpy, restore\n"
        "from restore import denoise\n"
        "gray = numpy.full((16, 16), 128, numpy.uint8)\n"
        "for call in (denoise, restore.denoise):\n"
        "    assert (call(gray, strength=0) == gray).all()\n"
        "import restore.denoise.evaluate\n"
        "from restore import denoise\n"
        "for call in (denoise, restore.denoise):\n"
        "    assert (call(gray, strength=0) == gray).all()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_measuring_arrays_imports_neither_torch_nor_scipy() -> None:
    code = (
        "import numpy, restore, sys\n"
        "gray = numpy.zeros((16, 16), numpy.uint8)\n"
        "assert restore.psnr(gray, gray + 51) < 14\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "assert 'scipy' not in sys.modules, 'scipy'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
