"""Checkpoints as training programs write them: wrapped, averaged, scripted, several in one."""

import argparse
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from restore.errors import UsageError, WeightsError
from restore.weights.convert.convert import Converted, as_laid_out
from restore.weights.convert.interpretation import IRCNN_DILATIONS


class DnCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = stack()

    def forward(self, noisy: Tensor) -> Tensor:
        return noisy - self.model(noisy)  # type: ignore[no-any-return]


def stack(*, depth: int = 3, width: int = 4) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _converted(folder: Path, content: Any, **options: Any) -> Converted:
    torch.save(content, folder / "net.pth")
    return as_laid_out(folder / "net.pth", **options)


def _is_of(converted: Converted, state: dict[str, Tensor]) -> bool:
    ours = list(converted.weights.tensors.values())
    return len(ours) == len(state) and all(
        torch.equal(mine, theirs) for mine, theirs in zip(ours, state.values(), strict=True)
    )


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: _prefixed("_orig_mod.", state),
        lambda state: _prefixed("module._orig_mod.", state),
        lambda state: {"state_dict": _prefixed("net.", state), "hyper_parameters": {"lr": 1e-3}},
        lambda state: {"state_dict": _prefixed("denoiser.", state)},
        lambda state: {"state_dict": _prefixed("model.", state), "loops": {}, "epoch": 1},
        lambda state: {"state_dict": {**_prefixed("net.", state), "loss.w": torch.ones(2, 2)}},
        lambda state: {"net": state},
        lambda state: {"generator": state, "discriminator": {"0.weight": torch.ones(1, 1, 3, 3)}},
        lambda state: {"weights": state, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
        lambda state: {"anything": {"at_all": state}},
        lambda state: {**_prefixed("module.", state), "n_averaged": torch.tensor(7)},
        lambda state: {key.removeprefix("model."): tensor for key, tensor in state.items()},
        lambda state: {"state_dict": state, "psnr": np.float64(31.2), "seed": np.int64(3)},
        lambda state: {"state_dict": state, "losses": np.zeros(4)},
        lambda state: {"state_dict": state, "args": argparse.Namespace(lr=1e-3, out=Path("x"))},
        lambda state: {**state, "epoch": 3},
    ],
)
def test_a_wrapped_network_is_found(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    state = dict(DnCNN().state_dict())
    converted = _converted(tmp_path, wrap(state))
    assert _is_of(converted, state)


def test_an_averaged_model_is_found(tmp_path: Path) -> None:
    network = DnCNN()
    assert _is_of(_converted(tmp_path, AveragedModel(network).state_dict()), network.state_dict())


@pytest.mark.parametrize("averaged", ["params_ema", "ema_state_dict", "model_ema", "ema"])
@pytest.mark.parametrize("plain", ["params", "state_dict", "model"])
def test_averaged_weights_come_first_and_it_is_said(
    tmp_path: Path, averaged: str, plain: str
) -> None:
    ema, raw = DnCNN().state_dict(), DnCNN().state_dict()
    converted = _converted(tmp_path, {plain: raw, averaged: ema})
    assert _is_of(converted, ema)
    assert converted.remark == f"takes the averaged weights {averaged}, and leaves out {plain}"
    assert converted.weights.provenance["converted_from"]["part"] == averaged


def test_averaged_weights_are_found_by_prefix(tmp_path: Path) -> None:
    ema, raw = DnCNN().state_dict(), DnCNN().state_dict()
    state = {"state_dict": {**_prefixed("net.", raw), **_prefixed("net_ema.", ema)}}
    assert _is_of(_converted(tmp_path, state), ema)


class _Hostile:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_code_beside_the_weights_is_still_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    content = {"state_dict": DnCNN().state_dict(), "note": _Hostile(f"touch {marker}")}
    with pytest.raises(WeightsError, match="code in a checkpoint is never run"):
        _converted(tmp_path, content)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", ["script", "trace"])
def test_tensors_of_torchscript_are_read(tmp_path: Path, make: str) -> None:
    network = DnCNN().eval()
    scripted = (
        torch.jit.script(network)
        if make == "script"
        else torch.jit.trace(network, torch.rand(1, 1, 8, 8))
    )
    scripted.save(tmp_path / "net.pt")
    assert _is_of(as_laid_out(tmp_path / "net.pt"), network.state_dict())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_frozen_torchscript_is_refused(tmp_path: Path) -> None:
    torch.jit.freeze(torch.jit.script(DnCNN().eval())).save(tmp_path / "net.pt")
    with pytest.raises(WeightsError, match="frozen TorchScript"):
        as_laid_out(tmp_path / "net.pt")


def test_code_in_torchscript_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(_Hostile(f"touch {marker}"), protocol=2))
        archive.writestr("net/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("net/version", "3\n")
    with pytest.raises(WeightsError):
        as_laid_out(tmp_path / "net.pt")
    assert not marker.exists()


def _ircnn() -> dict[str, dict[str, Tensor]]:
    return {
        str(number): dict(_prefixed("model.", stack(depth=7, width=64).state_dict()))
        for number in range(25)
    }


def test_one_of_the_networks_of_ircnn_is_chosen_by_its_noise_level(tmp_path: Path) -> None:
    networks = _ircnn()
    with pytest.raises(UsageError, match=r"net\.pth: holds 25 networks: choose one with member"):
        _converted(tmp_path, networks)
    for sigma, number in (("2", "0"), ("15", "7"), ("25", "12"), ("50", "24"), ("0.5", "0")):
        converted = as_laid_out(tmp_path / "net.pth", member=sigma)
        assert _is_of(converted, networks[number])
        assert converted.weights.config.dilations == IRCNN_DILATIONS
    assert converted.layout == "KAIR IRCNN, 7 layers, gray, batch norm merged"
    assert converted.weights.build().halo == sum(IRCNN_DILATIONS)
    for wrong in ("51", "0", "many"):
        with pytest.raises(UsageError, match="choose one with member, the noise level"):
            as_laid_out(tmp_path / "net.pth", member=wrong)


def test_a_member_of_a_single_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a single network"):
        _converted(tmp_path, DnCNN().state_dict(), member="25")


def test_dilated_convolutions_compute_as_theirs(tmp_path: Path) -> None:
    layers: list[nn.Module] = []
    for number, dilation in enumerate(IRCNN_DILATIONS):
        sizes = (1 if number == 0 else 64, 1 if number == 6 else 64)
        layers += [nn.Conv2d(*sizes, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    theirs = nn.Sequential(*layers[:-1])
    converted = _converted(tmp_path, _prefixed("model.", theirs.state_dict()))
    noisy = torch.rand(1, 1, 24, 20)
    with torch.inference_mode():
        ours = converted.weights.build()(noisy)
        torch.testing.assert_close(ours, noisy - theirs(noisy), rtol=1e-4, atol=1e-5)


def test_dilated_matconvnet_layers_are_read(tmp_path: Path) -> None:
    def conv(inputs: int, outputs: int, dilation: float) -> dict[str, Any]:
        weights = np.empty((1, 2), object)
        kernel = np.ones((3, 3, inputs, outputs), np.float32)
        weights[0] = [kernel, np.zeros((1, outputs), np.float32)]
        sizes = {"pad": dilation, "dilate": dilation, "stride": 1.0}
        return {"type": "conv", "weights": weights, **sizes}

    cell = np.empty((1, 3), object)
    cell[0] = [conv(1, 4, 1.0), {"type": "relu"}, conv(4, 1, 2.0)]
    savemat(tmp_path / "net.mat", {"net": {"layers": cell}})
    assert as_laid_out(tmp_path / "net.mat").weights.config.dilations == (1, 2)


def test_a_dagnn_is_refused_by_its_name(tmp_path: Path) -> None:
    layer = {"name": "conv1", "type": "dagnn.Conv", "inputs": "x", "outputs": "y", "params": "f"}
    net = {"layers": layer, "vars": {"name": "x"}, "params": {"name": "f", "value": np.ones(3)}}
    savemat(tmp_path / "net.mat", {"net": net})
    with pytest.raises(WeightsError, match="DagNN"):
        as_laid_out(tmp_path / "net.mat")


def test_keras_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(WeightsError, match="Keras"):
        as_laid_out(tmp_path / "net.h5")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("config.json", "{}")
        written.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    (tmp_path / "net.keras").write_bytes(archive.getvalue())
    with pytest.raises(WeightsError, match="Keras"):
        as_laid_out(tmp_path / "net.keras")
