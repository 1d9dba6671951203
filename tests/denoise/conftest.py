from pathlib import Path

import pytest
import torch

from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.weights.store import Weights, save_weights


def _save(network: DnCNN | ResUNet, path: Path, task: str = "denoise") -> Path:
    weights = Weights(
        name=path.stem,
        network=type(network),
        config=network.config,
        task=task,
        tensors=dict(network.state_dict()),
    )
    save_weights(weights, path)
    return path


@pytest.fixture(scope="session")
def gray_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blind gray network that changes pictures."""
    torch.manual_seed(1)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=8))
    return _save(network, tmp_path_factory.mktemp("models") / "gray.safetensors")


@pytest.fixture(scope="session")
def color_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A colour network that is told sigma."""
    torch.manual_seed(2)
    network = ResUNet(ResUNetConfig(channels=3, widths=(4, 8), blocks=1))
    return _save(network, tmp_path_factory.mktemp("models") / "color.safetensors")


@pytest.fixture(scope="session")
def hdr_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for another task."""
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=8))
    return _save(network, tmp_path_factory.mktemp("models") / "other.safetensors", task="hdr")
