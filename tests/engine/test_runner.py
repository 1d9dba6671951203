from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from restore.batch.inputs import pictures_in
from restore.denoise.evaluate import GaussianNoise, Score, evaluate_denoiser
from restore.denoise.runner import Denoiser
from restore.engine.heap import release_free_memory
from restore.engine.lane import TileTooLarge, Traits
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.errors import DeviceError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.weights.convert.convert import convert
from restore.weights.store import Weights, save_weights


@pytest.fixture
def weights() -> Weights:
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=4))
    return Weights(
        name="small",
        network=DnCNN,
        config=network.config,
        task="denoise",
        tensors=network.state_dict(),
    )


def picture() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.2, 1.2, (1, 20, 30)).astype(np.float32)


def test_noise_beyond_black_and_white_reaches_the_network(weights: Weights, denoising: Any) -> None:
    """Cut off there, noise would be brighter than black and darker than white on average."""
    pixels = picture()
    result = denoising(weights)(pixels, 0.1)
    with torch.no_grad():
        expected = weights.build()(torch.from_numpy(pixels)[None])[0].numpy()
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_highlights_far_beyond_white_keep_their_distance(weights: Weights, denoising: Any) -> None:
    backend = denoising(weights)
    near, far = picture(), picture()
    near[0, 10, 10], far[0, 10, 10] = 1.4, 50.0
    change = backend(far, 0.1) - backend(near, 0.1)
    assert change[0, 10, 10] == pytest.approx(48.6, abs=1e-4)
    change[0, 10, 10] = 0
    assert np.abs(change).max() < 1e-5


class SmallDevice:
    """Doubles pictures, where they are not larger than its memory."""

    engine, precision, auto_tile = "fake", "fp32", 512
    traits = Traits(channels=1, halo=2, multiple=1)

    def __init__(self, device: str, most_pixels: int) -> None:
        self.device, self.most_pixels = device, most_pixels

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        if inputs[0].size > self.most_pixels:
            raise TileTooLarge
        return 2 * inputs[0]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Memory in pixels of the devices of a machine."""
    memory = {"cuda": 0, "cpu": 10**9}
    monkeypatch.setattr(
        "restore.engine.runner._lanes_of",
        lambda _model, _placement, device, **_: [SmallDevice(device, memory[device])],
    )
    return memory


def test_a_tile_is_halved_until_it_fits(
    weights: Weights, machine: dict[str, int], denoising: Any
) -> None:
    machine["cuda"] = 150 * 150
    backend = denoising(weights, device="cuda")
    pixels = np.random.default_rng(0).random((1, 300, 400), np.float32)
    np.testing.assert_allclose(backend(pixels, 0), 2 * pixels, atol=1e-6)
    assert (backend.runner.device, backend.runner.tile) == ("cuda", 128)


def test_a_device_without_room_for_a_small_tile_gives_way_to_the_processor(
    weights: Weights, machine: dict[str, int], caplog: pytest.LogCaptureFixture, denoising: Any
) -> None:
    machine["cuda"] = 50 * 50
    backend = denoising(weights, device="cuda")
    pixels = np.random.default_rng(0).random((1, 300, 400), np.float32)
    for _ in range(2):
        np.testing.assert_allclose(backend(pixels, 0), 2 * pixels, atol=1e-6)
    assert (backend.runner.device, backend.runner.tile) == ("cpu", 512)
    assert caplog.messages == ["cuda ran out of memory; going on with the processor"]


def test_a_processor_without_memory_is_an_error(
    weights: Weights, machine: dict[str, int], denoising: Any
) -> None:
    machine["cuda"] = machine["cpu"] = 0
    backend = denoising(weights, device="cuda")
    with pytest.raises(DeviceError, match="not enough memory"):
        backend(np.zeros((1, 300, 400), np.float32), 0)


@pytest.mark.slow
def test_memory_of_tiles_is_given_back_after_a_large_picture(
    weights: Weights, machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine["cpu"] > 64 * 64
    times: list[int] = []
    monkeypatch.setattr("restore.engine.runner.release_free_memory", lambda: times.append(1))
    monkeypatch.setattr("restore.engine.runner._LARGE_PX", 64 * 64)
    runner = Runner(weights, Placement(device="cpu"))
    runner.tiled(np.zeros((1, 64, 63), np.float32))
    assert not times
    runner.tiled(np.zeros((1, 64, 64), np.float32))
    assert times == [1]


def test_freed_memory_can_be_given_back_on_any_system() -> None:
    release_free_memory()


def test_evaluation_reproduces_the_published_figure(shared_data: Path, tmp_path: Path) -> None:
    """DnCNN-S reaches 29.23 dB on BSD68, many of whose pictures have large dark areas."""
    weights = convert(shared_data / "reference/kair_dncnn_25.pth").weights
    save_weights(weights, tmp_path / "published.safetensors")
    denoiser = Denoiser(
        tmp_path / "published.safetensors",
    )
    pictures = pictures_in(shared_data / "denoise/test/bsd68", recursive=False)
    scores = evaluate_denoiser(denoiser, pictures, [GaussianNoise(sigma=25)])
    values = [score.psnr for score in scores if isinstance(score, Score)]
    assert len(values) == 68
    assert sum(values) / 68 == pytest.approx(29.23, abs=0.03)
