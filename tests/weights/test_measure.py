from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from restore.batch.inputs import pictures_in
from restore.denoise.measure import SIGMAS
from restore.denoise.task import TASK
from restore.errors import UsageError
from restore.image.metrics import psnr_chw
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.noise.sensor import add_gaussian_noise
from restore.tasks import load
from restore.weights.measure import (
    choose_storage,
    measure_precision_loss,
    measure_storage_loss,
    measured,
)
from restore.weights.measurement import measuring_crops
from restore.weights.store import Weights, save_weights


def _weights(network: Any, *, gain: float = 1.0) -> Weights:
    return Weights(
        name="net",
        network=type(network),
        config=network.config,
        task="denoise",
        tensors={key: gain * tensor for key, tensor in network.state_dict().items()},
        provenance={"recipe": {}},
    )


@pytest.fixture
def smoother() -> Weights:
    """A DnCNN that takes most of the local detail away: its errors are those of rounding."""
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=2))
    with torch.no_grad():
        for conv in network.convs:
            conv.weight.mul_(0.02)
        network.convs[0].weight[0, 0, 1, 1] = 1.0  # the picture passes
        network.convs[1].weight[0, 0, 1, 1] = 1.0
        network.convs[2].weight[0, 0] = -0.6 / 8
        network.convs[2].weight[0, 0, 1, 1] = 0.6
    return _weights(network)


@pytest.fixture
def pictures() -> list[Tensor]:
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (6, 6), dtype=np.uint8) for _ in range(2)]
    resized = [Image.fromarray(s).resize((48, 48), Image.Resampling.BICUBIC) for s in small]
    return [torch.tensor(np.asarray(r, np.float32))[None] / 255 for r in resized]


def test_losses_have_every_precision_and_level(smoother: Weights, pictures: list[Tensor]) -> None:
    losses = measure_precision_loss(smoother, TASK, pictures)
    assert {name: list(by_sigma) for name, by_sigma in losses.items()} == {
        "fp16": ["5", "15", "25", "50"],
        "bf16": ["5", "15", "25", "50"],
    }


def test_coarser_precision_costs_more_and_most_where_noise_is_low(
    smoother: Weights, pictures: list[Tensor]
) -> None:
    losses = measure_precision_loss(smoother, TASK, pictures)
    assert losses["bf16"]["5"] > 4 * abs(losses["fp16"]["5"])
    assert losses["bf16"]["5"] > losses["bf16"]["50"]


def test_emulated_loss_is_that_of_real_bfloat16(smoother: Weights, pictures: list[Tensor]) -> None:
    emulated = measure_precision_loss(smoother, TASK, pictures, levels=(5,))["bf16"]["5"]
    exact, real = smoother.build(), smoother.build().to(torch.bfloat16)
    losses = []
    for seed, clean in enumerate(pictures):
        noisy = torch.from_numpy(add_gaussian_noise(clean.numpy(), 5 / 255, seed=seed))[None]
        scores = [
            psnr_chw(net(noisy)[0].clamp(0, 1).numpy(), clean.numpy()) for net in (exact, real)
        ]
        losses.append(scores[0] - scores[1])
    actual = sum(losses) / len(losses)
    assert actual > 0.005
    assert emulated == pytest.approx(actual, rel=0.25)


def test_measuring_repeats_exactly_and_leaves_the_weights(
    smoother: Weights, pictures: list[Tensor]
) -> None:
    before = {key: tensor.clone() for key, tensor in smoother.tensors.items()}
    assert measure_precision_loss(smoother, TASK, pictures) == measure_precision_loss(
        smoother, TASK, pictures
    )
    assert all(torch.equal(smoother.tensors[key], before[key]) for key in before)


def test_overflow_is_a_large_loss_and_never_a_nan(pictures: list[Tensor]) -> None:
    torch.manual_seed(0)
    weights = _weights(DnCNN(DnCNNConfig(channels=1, depth=3, width=4)))
    weights.tensors["convs.0.weight"] *= 1e6  # activations, not weights, leave float16's range
    weights.tensors["convs.1.weight"] *= 1e-6
    losses = measure_precision_loss(weights, TASK, pictures, levels=(25,))
    assert np.isfinite(losses["fp16"]["25"])


def test_storage_is_half_where_that_costs_nothing(
    smoother: Weights, pictures: list[Tensor]
) -> None:
    assert max(measure_storage_loss(smoother, TASK, pictures).values()) < 0.005
    assert choose_storage(smoother, TASK, pictures) == torch.float16


def test_storage_stays_full_where_half_overflows(pictures: list[Tensor]) -> None:
    torch.manual_seed(0)
    weights = _weights(DnCNN(DnCNNConfig(channels=1, depth=3, width=4)), gain=1e6)
    assert choose_storage(weights, TASK, pictures) == torch.float32


def test_storage_stays_full_where_half_costs(pictures: list[Tensor]) -> None:
    """Two large, opposite weights whose difference float16 cannot hold."""
    network = DnCNN(DnCNNConfig(channels=1, depth=2, width=2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.convs[0].weight[:, 0, 1, 1] = 1.0
        network.convs[1].weight[0, 0, 1, 1] = 100.03
        network.convs[1].weight[0, 1, 1, 1] = -100.0
    weights = _weights(network)
    assert max(measure_storage_loss(weights, TASK, pictures).values()) > 0.005
    assert choose_storage(weights, TASK, pictures) == torch.float32


def test_measured_weights_read_back_as_measured(
    smoother: Weights, pictures: list[Tensor], tmp_path: Path
) -> None:
    weights = measured(smoother, TASK, pictures)
    assert weights.precision_loss_db == measure_precision_loss(weights, TASK, pictures)
    save_weights(weights, tmp_path / "net.safetensors")
    again = load(tmp_path / "net.safetensors")
    assert again.precision_loss_db == weights.precision_loss_db
    assert all(torch.equal(again.tensors[key], weights.tensors[key]) for key in weights.tensors)


@pytest.mark.parametrize("channels", [1, 3])
def test_measuring_pictures_come_with_the_package(channels: int) -> None:
    pictures = measuring_crops(channels)
    assert [tuple(picture.shape) for picture in pictures] == [(channels, 192, 192)] * 4
    assert all(0 <= picture.min() < 0.2 and 0.7 < picture.max() <= 1 for picture in pictures)


def test_measuring_pictures_of_a_folder_fit_the_network(tmp_path: Path) -> None:
    Image.new("L", (70, 50), 128).save(tmp_path / "a.png")
    Image.new("RGB", (400, 300), (128, 128, 128)).save(tmp_path / "b.png")
    shapes = [
        tuple(picture.shape)
        for picture in measuring_crops(3, 16, pictures_in(tmp_path, recursive=False))
    ]
    assert shapes == [(3, 48, 48), (3, 192, 192)]
    torch.manual_seed(0)
    weights = _weights(ResUNet(ResUNetConfig(channels=3, widths=(2, 2), blocks=1)))
    assert measure_precision_loss(
        weights, TASK, measuring_crops(3, 2, pictures_in(tmp_path, recursive=False)), levels=(25,)
    )


def test_without_usable_pictures_nothing_is_measured(
    smoother: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no pictures"):
        measure_precision_loss(smoother, TASK, [])
    monkeypatch.setattr("restore.weights.measurement.weights_folder", lambda: tmp_path / "none")
    with pytest.raises(UsageError, match="no pictures"):
        measuring_crops(1)
    Image.new("L", (10, 300)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="too small"):
        measuring_crops(1, 1, [tmp_path / "a.png"])


def test_levels_are_those_of_the_design() -> None:
    assert SIGMAS == (5, 15, 25, 50)
