from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from restore.batch.inputs import pictures_in
from restore.denoise.task import TASK
from restore.errors import UsageError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.tasks import load, task_called
from restore.weights.gptq import _round, _second_moments, with_bf16_kernels
from restore.weights.half import call_rounded
from restore.weights.measurement import measuring_crops
from restore.weights.store import Weights, weights_of


def of(network: Any) -> Weights:
    return weights_of(network, name="net", task="denoise", provenance={"recipe": {}})


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(6):
        small = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return pictures_in(folder, recursive=False)


def seen(paths: list[Path]) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = torch.stack(measuring_crops(1, paths=paths))
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))
    return pictures + 0.1 * noise, torch.full((len(pictures),), 0.1)


def error(network: nn.Module, exact: nn.Module, inputs: tuple[torch.Tensor, ...]) -> float:
    with torch.inference_mode():
        return float((network(*inputs) - exact(*inputs)).square().mean() ** 0.5)


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(lambda: DnCNN(DnCNNConfig(channels=1, depth=5, width=16)), id="dncnn"),
        pytest.param(
            lambda: ResUNet(ResUNetConfig(channels=1, widths=(16, 24, 32), blocks=1)), id="resunet"
        ),
    ],
)
def test_the_errors_of_rounding_make_up_for_each_other(network: Any, paths: list[Path]) -> None:
    torch.manual_seed(0)
    weights = of(network())
    rounded = with_bf16_kernels(weights, TASK, paths)
    exact, nearest, compensated = weights.build(), weights.build(), rounded.build()
    for name, parameter in nearest.named_parameters():
        kernel = dict(compensated.named_parameters())[name]
        torch.testing.assert_close(kernel.bfloat16().float(), kernel, rtol=0, atol=0)
        parameter.copy_(parameter.bfloat16())
    inputs = seen(paths)
    assert error(compensated, exact, inputs) < 0.6 * error(nearest, exact, inputs)


def test_the_bias_makes_no_step(paths: list[Path]) -> None:
    """What a rounded bias adds to a layer, its kernel takes away."""
    torch.manual_seed(0)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=16))
    with torch.no_grad():
        for convolution in network.convolutions:
            assert convolution.bias is not None
            convolution.bias.fill_(1.003)  # bfloat16 has 1 and 1.0078 there
    weights = of(network)
    exact, rounded = weights.build(), with_bf16_kernels(weights, TASK, paths).build()
    inputs = seen(paths)
    with torch.inference_mode():
        step = (rounded(*inputs) - exact(*inputs)).mean()
        naive = (call_rounded(exact, torch.bfloat16, *inputs) - exact(*inputs)).mean()
    assert abs(step) < 0.5 * abs(naive)


def test_a_transposed_convolution_keeps_one_bias_for_all_copies() -> None:
    torch.manual_seed(0)
    exact = nn.ConvTranspose2d(12, 6, kernel_size=2, stride=2)
    assert exact.bias is not None
    with torch.no_grad():
        exact.bias.copy_(torch.linspace(-1.003, 2.003, 6))
    features = torch.rand(4, 12, 16, 16) @ torch.rand(16, 16)  # of which one tells much of others
    rounded, nearest = deepcopy(exact), deepcopy(exact)
    with torch.inference_mode():
        _round(rounded, _second_moments(rounded, rounded, [(features,)]))
        for parameter in nearest.parameters():
            parameter.copy_(parameter.bfloat16())
        for kernel in rounded.parameters():
            torch.testing.assert_close(kernel.bfloat16().float(), kernel, rtol=0, atol=0)
    assert error(rounded, exact, (features,)) < 0.6 * error(nearest, exact, (features,))


def test_what_is_no_kernel_stays(tmp_path: Path) -> None:
    weights = load("hdr-optics")
    colour = tmp_path / "a.png"
    Image.radial_gradient("L").convert("RGB").resize((96, 96)).save(colour)
    rounded = with_bf16_kernels(weights, task_called("hdr"), [colour])
    for name in ("psf_roots", "height_map_um"):
        torch.testing.assert_close(rounded.tensors[name], weights.tensors[name], rtol=0, atol=0)
    assert rounded.provenance == weights.provenance | {"rounded": "bfloat16"}
    assert rounded.precision_loss_db == {}


def test_what_cannot_be_measured_is_not_rounded(paths: list[Path]) -> None:
    with pytest.raises(UsageError, match="no reference to measure"):
        with_bf16_kernels(load("anomaly-magnetic-tile"), task_called("anomaly"), paths)
    with pytest.raises(UsageError, match="no pictures"):
        with_bf16_kernels(load("dncnn-gray"), TASK, [])
