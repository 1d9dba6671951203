"""Open networks in other processes."""

import copy
import pickle
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import restore
from restore.errors import (
    UnsupportedImage,
    WeightsError,
)

SAMPLES = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pool() -> Iterator[Any]:
    with get_context("spawn").Pool(1) as one:
        yield one


def test_networks_travel_to_other_processes(
    pool: Any,
    color_model: Path,
    detector_model: Path,
    single_model: Path,
    isp_weights: dict[str, Path],
    sensor: Callable[..., Any],
) -> None:
    """As what they were made with; on the other side they open their networks anew."""
    denoiser = restore.Denoiser(color_model, device="cpu", precision="fp32", tile=64)
    there = pool.apply(denoiser, (SAMPLES,), {"sigma": 25})
    here = denoiser(SAMPLES, sigma=25)
    np.testing.assert_array_equal(there.picture.pixels, here.picture.pixels)
    assert there.record["tile"] == here.record["tile"] == 64

    detector = restore.Detector(detector_model, threshold=0.25, device="cpu")
    inspection = pool.apply(detector, (SAMPLES[..., 0],))
    assert inspection.threshold == 0.25
    np.testing.assert_array_equal(inspection.scores, detector(SAMPLES[..., 0]).scores)

    enhancer, raw = restore.DarkEnhancer(isp_weights["bayer"], device="cpu"), sensor(size=(32, 32))
    there = pool.apply(enhancer, (raw,), {"ratio": 2})
    np.testing.assert_array_equal(there.colour, enhancer(raw, ratio=2).colour)

    reconstructor = restore.HdrReconstructor("single", single_model, device="cpu")
    there = pool.apply(reconstructor, (SAMPLES,))
    np.testing.assert_array_equal(there.picture.pixels, reconstructor(SAMPLES).picture.pixels)


def test_errors_travel_back(pool: Any, color_model: Path) -> None:
    with pytest.raises(UnsupportedImage, match="is None"):
        pool.apply(restore.Denoiser(color_model), (None,))


def test_a_pickled_network_holds_no_weights_and_looks_for_them_again(
    color_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(color_model.read_bytes())
    data = pickle.dumps(restore.Denoiser(path, device="cpu"))
    assert len(data) < 1000
    path.unlink()
    with pytest.raises(WeightsError, match="no such weights"):
        pickle.loads(data)


def test_a_copy_is_another_network(color_model: Path) -> None:
    denoiser = restore.Denoiser(color_model, device="cpu", tile=32)
    again = copy.copy(denoiser)
    assert again is not denoiser
    assert again(SAMPLES, sigma=25).record["tile"] == 32
