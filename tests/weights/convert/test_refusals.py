import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.tasks import load
from restore.weights.convert.convert import as_laid_out as convert
from restore.weights.store import save_weights


def _stack(inputs: int, outputs: int, *, depth: int = 4, width: int = 6) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [nn.Conv2d(width, width, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, outputs, 3))


def _named(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{key}": tensor for key, tensor in network.state_dict().items()}


def _saved(folder: Path, state: object) -> Path:
    torch.save(state, folder / "net.pth")
    return folder / "net.pth"


class _Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", ["zip", "old", "pickle"])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, protocol: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / "net.pth"
    hostile = {"state_dict": {"model.0.weight": _Hostile(f"touch {marker}")}}
    if protocol == "pickle":
        path.write_bytes(pickle.dumps(hostile))
    else:
        torch.save(hostile, path, _use_new_zipfile_serialization=protocol == "zip")
    with pytest.raises(
        WeightsError, match=r"net\.pth: (holds Python objects|not a checkpoint)"
    ) as caught:
        convert(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_pickled_module_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"state_dict\(\) alone") as caught:
        convert(_saved(tmp_path, _stack(1, 1)))
    assert "\n" not in str(caught.value)


def _state(**changes: object) -> dict[str, object]:
    return {**_named("model.", _stack(1, 1)), **changes}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"encoder.weight": torch.zeros(3)}, "first keys are encoder.weight"),
        ({"enc\0d\x1b[2J": torch.zeros(3)}, r"first keys are enc\\x00d\\x1b\[2J"),
        (_state(**{"model.2.weight": torch.full((6, 6, 3, 3), torch.nan)}), "not finite"),
        (_state(**{"model.2.weight": torch.zeros(6, 6, 5, 5)}), "not 3x3"),
        (_state(**{"model.2.weight": torch.zeros(6, 5, 3, 3)}), "does not fit"),
        (_state(**{"model.2.bias": torch.zeros(5)}), "its bias"),
        (_state(**{"model.2.bias": 3}), "holds a int"),
        (_state(**{"model.3.weight": torch.zeros(6, 6, 3, 3)}), "layer 3"),
        (_state(**{"model.2.weight": torch.zeros(1).expand(6, 6, 3, 3)}), "larger than its data"),
        (_state(**{"model.2.weight": torch.zeros(6, 6, 3, 3).to_sparse()}), "sparse"),
        (_state(**{"model.2.weight": torch.zeros(6, 6, 3, 3, dtype=torch.int64)}), "int64"),
        (_named("model.", _stack(2, 2)), "2 channels"),
        (_named("model.", _stack(1, 3)), "from 1 to 3 channels"),
        ({"in_conv.weight": torch.zeros(4, 1, 3, 3)}, "unknown layout"),
        ({"m_head.weight": torch.zeros(4, 2, 3, 3)}, "missing"),
        ([torch.zeros(3)], "a list"),
        ({}, "no state dict"),
        ({1: torch.zeros(3)}, "not names"),
    ],
)
def test_what_is_no_known_network_is_refused(tmp_path: Path, state: object, words: str) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        convert(_saved(tmp_path, state))
    assert str(caught.value).startswith(str(tmp_path / "net.pth"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"just text", b"MATLAB 5.0 MAT-file", b"PK\x03\x04ab"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a"):
        convert(path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    path = _saved(tmp_path, _state())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match="damaged"):
        convert(path)


def test_missing_file_and_own_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        convert(tmp_path / "net.pth")
    weights = convert(_saved(tmp_path, _state())).weights
    save_weights(weights, tmp_path / "ours.safetensors")
    with pytest.raises(WeightsError, match="already"):
        convert(tmp_path / "ours.safetensors")
    assert load(tmp_path / "ours.safetensors").config == weights.config


def test_published_pickled_module_is_refused(shared_data: Path) -> None:
    with pytest.raises(WeightsError, match=r"__main__\.DnCNN"):
        convert(shared_data / "reference" / "cszn_dncnn_sigma25_pickled_module.pth")
