"""The same results on a GPU; skipped where there is none."""

from typing import Any

import numpy as np
import pytest
import torch

from restore.engine.tiles import in_order
from restore.tasks import load
from restore.weights.store import Weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

TOLERANCE = {"fp32": 1e-5, "fp16": 4e-3, "bf16": 3e-2}


@pytest.fixture(params=["dncnn-color", "dncnn-gray", "resunet-color"])
def weights(request: pytest.FixtureRequest) -> Weights:
    return load(request.param)


@pytest.mark.parametrize("precision", TOLERANCE)
def test_gpu_agrees_with_cpu(weights: Weights, precision: str, denoising: Any) -> None:
    pixels = np.random.default_rng(0).random((weights.channels, 200, 150), dtype=np.float32)
    expected = denoising(weights)(pixels, 0.1)
    result = denoising(weights, device="cuda", precision=precision)(pixels, 0.1)
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE[precision])


def test_fp32_is_the_same_bit_for_bit(weights: Weights, denoising: Any) -> None:
    pixels = np.random.default_rng(0).random((3, 200, 150), dtype=np.float32)
    first, second = (
        denoising(weights, device="cuda", precision="fp32")(pixels, 0.1) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


# On an H200 dncnn-gray fits into half of the memory that it takes where there is enough.
@pytest.mark.parametrize("weights", ["dncnn-color", "resunet-color"], indirect=True)
def test_tile_shrinks_until_it_fits(weights: Weights, denoising: Any) -> None:
    pixels = np.random.default_rng(0).random((3, 700, 700), dtype=np.float32)
    backend = denoising(weights, device="cuda", precision="fp32", tile=1024)
    torch.cuda.reset_peak_memory_stats()
    expected = backend(pixels, 0.1)
    used = torch.cuda.max_memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction(0.5 * used / total)
        result = backend(pixels, 0.1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert backend.runner.device == "cuda"
    assert backend.runner.tile < 1024
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("device", ["cuda", "cuda:all"])
def test_lanes_agree_with_one_lane(weights: Weights, device: str, denoising: Any) -> None:
    pixels = np.random.default_rng(0).random((3, 600, 500), dtype=np.float32)
    backend = denoising(weights, device=device, precision="fp32", tile=128)
    several = [backend(pixels, 0.1) for _ in range(3)]
    assert backend.runner.lanes == 2 * (torch.cuda.device_count() if device == "cuda:all" else 1)
    for lane in backend.runner._lanes[1:]:
        backend.runner._shut(lane)
    one = backend(pixels, 0.1)
    for result in several:
        np.testing.assert_allclose(result, one, rtol=0, atol=1e-6)


def test_pictures_in_several_threads_do_not_mix(weights: Weights, denoising: Any) -> None:
    pictures = [np.full((3, 200 + n, 150), n / 20, dtype=np.float32) for n in range(20)]
    backend = denoising(weights, device="cuda", precision="fp16", tile=64)
    expected = [backend(each, 0.1) for each in pictures]
    results = in_order(lambda each: backend(each, 0.1), pictures, workers=4)
    for result, alone in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, alone, rtol=0, atol=4e-3)
