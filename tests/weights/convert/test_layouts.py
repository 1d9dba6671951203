from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from restore.image.metrics import psnr_chw
from restore.noise.sensor import add_gaussian_noise
from restore.weights.convert.convert import Converted
from restore.weights.convert.convert import as_laid_out as convert
from restore.weights.convert.convert import convert as convert_and_try

SIGMA = torch.tensor([0.1, 0.2])


def _conv(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # keeps the signal in deep stacks
    return conv


def _norm(width: int, eps: float) -> nn.BatchNorm2d:
    """Running statistics so small that the wrong eps would show."""
    norm = nn.BatchNorm2d(width, eps=eps)
    with torch.no_grad():
        norm.weight.uniform_(0.02, 0.06)
        norm.bias.normal_(std=0.1)
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(1e-3, 4e-3)
    return norm


def _stack(
    inputs: int,
    outputs: int,
    *,
    depth: int = 4,
    width: int = 6,
    eps: float | None = None,
    biases: tuple[bool, bool, bool] = (True, True, True),
) -> nn.Sequential:
    """Convolutions and ReLUs, with batch norm if ``eps``; biases of the first, middle and last."""
    layers: list[nn.Module] = [_conv(inputs, width, bias=biases[0]), nn.ReLU()]
    for _ in range(depth - 2):
        layers.append(_conv(width, width, bias=biases[1]))
        layers += [_norm(width, eps), nn.ReLU()] if eps else [nn.ReLU()]
    return nn.Sequential(*layers, _conv(width, outputs, bias=biases[2])).eval()


def _named(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{key}": tensor for key, tensor in network.state_dict().items()}


def _with_map(noisy: Tensor) -> Tensor:
    return torch.cat((noisy, SIGMA[:, None, None, None].expand(-1, 1, *noisy.shape[2:])), dim=1)


def _saved(folder: Path, state: object, name: str = "net.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


def _agrees(
    converted: Converted, forward: Callable[[Tensor], Tensor], *, size: tuple[int, int] = (12, 16)
) -> None:
    noisy = torch.rand(2, converted.weights.channels, *size)
    with torch.no_grad():
        ours = converted.weights.build()(noisy, SIGMA)
        theirs = forward(noisy)
    assert (ours - noisy).abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_kair_merged(tmp_path: Path, channels: int) -> None:
    stack = _stack(channels, channels)
    converted = convert(_saved(tmp_path, _named("model.", stack)))
    kind = "gray" if channels == 1 else "color"
    assert converted.layout == f"KAIR DnCNN, 4 layers, {kind}, batch norm merged"
    _agrees(converted, lambda noisy: noisy - stack(noisy))


def test_kair_unmerged(tmp_path: Path) -> None:
    stack = _stack(1, 1, eps=1e-4)
    converted = convert(_saved(tmp_path, _named("model.", stack)))
    assert converted.layout == "KAIR DnCNN, 4 layers, gray, batch norm folded"
    _agrees(converted, lambda noisy: noisy - stack(noisy))


def test_kair_merged_under_the_numbers_of_before(tmp_path: Path) -> None:
    stack = _stack(1, 1)
    numbers = {"0": "0", "2": "2", "4": "5", "6": "8"}
    state = {
        f"model.{numbers[key.split('.')[0]]}.{key.split('.')[1]}": tensor
        for key, tensor in stack.state_dict().items()
    }
    _agrees(convert(_saved(tmp_path, state)), lambda noisy: noisy - stack(noisy))


def test_saoyan(tmp_path: Path) -> None:
    stack = _stack(1, 1, eps=1e-5, biases=(False, False, False))
    converted = convert(_saved(tmp_path, _named("module.dncnn.", stack)))
    assert converted.layout == "SaoYan DnCNN, 4 layers, gray, batch norm folded"
    _agrees(converted, lambda noisy: noisy - stack(noisy))


def test_cszn_pytorch(tmp_path: Path) -> None:
    stack = _stack(1, 1, eps=1e-4, biases=(True, False, False))
    converted = convert(_saved(tmp_path, _named("dncnn.", stack)))
    assert converted.layout == "cszn PyTorch DnCNN, 4 layers, gray, batch norm folded"
    _agrees(converted, lambda noisy: noisy - stack(noisy))


@pytest.mark.parametrize("bias", [True, False])
def test_deepinv_adds_the_stack(tmp_path: Path, bias: bool) -> None:
    stack = _stack(3, 3, depth=13, biases=(bias, bias, bias))  # conv_list.10 sorts before .2
    convs = [layer for layer in stack if isinstance(layer, nn.Conv2d)]
    names = ["in_conv.", *(f"conv_list.{i}." for i in range(11)), "out_conv."]
    state: dict[str, Tensor] = {}
    for name, conv in zip(names, convs, strict=True):
        state |= _named(name, conv)
    converted = convert(_saved(tmp_path, state))
    assert converted.layout == "deepinv DnCNN, 13 layers, color, no batch norm"
    _agrees(converted, lambda noisy: noisy + stack(noisy))


@pytest.mark.parametrize("channels", [1, 3])
def test_fdncnn_predicts_the_picture(tmp_path: Path, channels: int) -> None:
    stack = _stack(channels + 1, channels)
    converted = convert(_saved(tmp_path, _named("model.", stack)))
    assert converted.layout.startswith("KAIR FDnCNN, 4 layers")
    assert converted.weights.takes_sigma
    _agrees(converted, lambda noisy: stack(_with_map(noisy)))


@pytest.mark.parametrize("channels", [1, 3])
def test_ffdnet_works_at_half_resolution(tmp_path: Path, channels: int) -> None:
    stack = _stack(4 * channels + 1, 4 * channels)

    def forward(noisy: Tensor) -> Tensor:
        # Sub-pixel order: channel, then row, then column.
        planes = [noisy[:, c, i::2, j::2] for c in range(channels) for i in (0, 1) for j in (0, 1)]
        result = stack(_with_map(torch.stack(planes, dim=1)))
        clean = torch.empty_like(noisy)
        for index in range(4 * channels):
            c, i, j = index // 4, index // 2 % 2, index % 2
            clean[:, c, i::2, j::2] = result[:, index]
        return clean

    converted = convert(_saved(tmp_path, _named("model.", stack)))
    assert converted.layout.startswith("KAIR FFDNet, 4 layers")
    assert converted.weights.takes_sigma
    _agrees(converted, forward)


def _drunet_state(channels: int, widths: tuple[int, ...], blocks: int) -> dict[str, Tensor]:
    state = {
        "m_head.weight": torch.randn(widths[0], channels + 1, 3, 3) * 0.3,
        "m_tail.weight": torch.randn(channels, widths[0], 3, 3) * 0.1,
    }
    levels = len(widths) - 1
    chains = {"m_body.": (0, widths[-1])}
    for level in range(levels):
        fine, coarse = widths[level], widths[level + 1]
        chains[f"m_down{level + 1}."] = (0, fine)
        chains[f"m_up{level + 1}."] = (1, fine)
        state[f"m_down{level + 1}.{blocks}.weight"] = torch.randn(coarse, fine, 2, 2) * 0.2
        state[f"m_up{level + 1}.0.weight"] = torch.randn(coarse, fine, 2, 2) * 0.2
    for name, (first, width) in chains.items():
        for block in range(first, first + blocks):
            for place in (0, 2):
                tensor = torch.randn(width, width, 3, 3) * 0.1
                state[f"{name}{block}.res.{place}.weight"] = tensor
    return state


def _drunet_forward(state: Mapping[str, Tensor], inputs: Tensor, blocks: int) -> Tensor:
    """Three levels down and up, skips from before a level's blocks to behind them."""

    def chain(name: str, x: Tensor, first: int = 0) -> Tensor:
        for block in range(first, first + blocks):
            inner = F.conv2d(x, state[f"{name}.{block}.res.0.weight"], padding=1).relu()
            x = x + F.conv2d(inner, state[f"{name}.{block}.res.2.weight"], padding=1)
        return x

    def down(level: int, x: Tensor) -> Tensor:
        x = chain(f"m_down{level}", x)
        return F.conv2d(x, state[f"m_down{level}.{blocks}.weight"], stride=2)

    def up(level: int, x: Tensor) -> Tensor:
        x = F.conv_transpose2d(x, state[f"m_up{level}.0.weight"], stride=2)
        return chain(f"m_up{level}", x, first=1)

    x1 = F.conv2d(inputs, state["m_head.weight"], padding=1)
    x2 = down(1, x1)
    x3 = down(2, x2)
    x4 = down(3, x3)
    x = up(3, chain("m_body", x4) + x4)
    x = up(1, up(2, x + x3) + x2)
    return F.conv2d(x + x1, state["m_tail.weight"], padding=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_drunet(tmp_path: Path, channels: int) -> None:
    state = _drunet_state(channels, (4, 6, 8, 10), blocks=2)
    converted = convert(_saved(tmp_path, state))
    assert converted.layout.startswith("KAIR DRUNet, widths 4-6-8-10, 2 blocks a level")
    assert converted.weights.takes_sigma
    _agrees(converted, lambda noisy: _drunet_forward(state, _with_map(noisy), 2), size=(16, 24))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"params": {k: v * 0 for k, v in state.items()}, "params_ema": state},
        lambda state: {"model_state_dict": state, "optimizer": {"lr": 1e-4}},
        lambda state: {"model": {"netG": state}},
        lambda state: {f"module.{key}": tensor for key, tensor in state.items()},
        lambda state: {"state_dict": {f"module.{k}": nn.Parameter(v) for k, v in state.items()}},
        lambda state: {key: tensor.double() for key, tensor in state.items()},
    ],
)
def test_wrappers_are_taken_off(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    stack = _stack(1, 1)
    converted = convert(_saved(tmp_path, wrap(_named("model.", stack))))
    _agrees(converted, lambda noisy: noisy - stack(noisy))


@pytest.mark.parametrize("new_format", [True, False])
def test_both_formats_of_pytorch(tmp_path: Path, new_format: bool) -> None:
    stack = _stack(1, 1)
    path = tmp_path / "net.pt"
    state = _named("model.", stack)
    torch.save(state, path, _use_new_zipfile_serialization=new_format)
    _agrees(convert(path), lambda noisy: noisy - stack(noisy))


def test_safetensors_under_any_name(tmp_path: Path) -> None:
    stack = _stack(1, 1)
    save_file(_named("model.", stack), tmp_path / "net.bin")
    _agrees(convert(tmp_path / "net.bin"), lambda noisy: noisy - stack(noisy))


def test_origin_is_recorded_without_the_machine(tmp_path: Path) -> None:
    path = _saved(tmp_path, _named("model.", _stack(1, 1)), "mine.pth")
    weights = convert(path).weights
    origin = weights.provenance["converted_from"]
    assert origin["file"] == "mine.pth"
    assert len(origin["sha256"]) == 64
    assert origin["layout"].startswith("KAIR")
    assert str(tmp_path) not in str(weights.provenance)


def _psnr_at_25(weights: Any, clean: NDArray[np.float32], seed: int) -> float:
    noisy = add_gaussian_noise(clean, 25 / 255, seed=seed)
    with torch.inference_mode():
        result = weights.build()(torch.from_numpy(noisy)[None], torch.tensor([25 / 255]))
    return psnr_chw(result[0].clamp(0, 1).numpy(), clean)


def _set12(shared_data: Path) -> list[NDArray[np.float32]]:
    paths = sorted((shared_data / "denoise/test/set12").glob("*.png"))
    assert len(paths) == 12
    return [np.asarray(Image.open(path), np.float32)[None] / np.float32(255) for path in paths]


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("kair_dncnn_25.pth", "KAIR DnCNN, 17 layers, gray, batch norm merged"),
        ("saoyan_dncnn-s-25.pth", "SaoYan DnCNN, 17 layers, gray, batch norm folded"),
        ("saoyan_dncnn-b.pth", "SaoYan DnCNN, 20 layers, gray, batch norm folded"),
    ],
)
def test_published_networks_denoise(shared_data: Path, name: str, layout: str) -> None:
    converted = convert(shared_data / "reference" / name)
    assert converted.layout == layout
    crops = [picture[:, 64:160, 64:160] for picture in _set12(shared_data)[:2]]
    gains = [_psnr_at_25(converted.weights, np.ascontiguousarray(c), 0) - 20.17 for c in crops]
    assert min(gains) > 7


@pytest.mark.slow
def test_ffdnet_of_the_authors_predicts_the_noise(shared_data: Path) -> None:
    """Its layout is that of a network that predicts the picture; the published figure is 30.43."""
    pytest.importorskip("h5py")
    converted = convert_and_try(shared_data / "reference" / "cszn_ffdnet_model_gray.mat")
    assert converted.tried is not None
    assert (converted.tried.of_layout.role, converted.tried.way.role) == ("picture", "noise")
    pictures = _set12(shared_data)
    scores = [_psnr_at_25(converted.weights, clean, seed) for seed, clean in enumerate(pictures)]
    assert sum(scores) / len(scores) == pytest.approx(30.43, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kair_dncnn_25.pth", "saoyan_dncnn-s-25.pth"])
def test_dncnn_s_25_reproduces_the_published_figure(shared_data: Path, name: str) -> None:
    weights = convert(shared_data / "reference" / name).weights
    scores = [_psnr_at_25(weights, clean, seed) for seed, clean in enumerate(_set12(shared_data))]
    assert sum(scores) / len(scores) == pytest.approx(30.43, abs=0.05)
