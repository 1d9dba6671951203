"""Networks and pictures whose measures are known."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.weights.store import Weights, save_weights, weights_of


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """Weights of a network that returns its input."""
    config = DnCNNConfig(channels=3, depth=2, width=1)
    network = DnCNN(config)
    with torch.no_grad():
        network.convs[-1].weight.zero_()
    path = tmp_path / "identity.safetensors"
    tensors = network.state_dict()
    weights = Weights(
        name="identity", network=DnCNN, config=config, task="denoise", tensors=tensors
    )
    save_weights(weights, path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two colour pictures of middle gray, which noise up to 25 does not bring to the limits."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (48, 40), (128, 128, 128)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def halving(tmp_path: Path) -> Path:
    """Weights of a blind network for gray that returns half of its input."""
    network = DnCNN(DnCNNConfig(channels=1, depth=2, width=1))
    with torch.no_grad():
        for convolution in network.convs:
            torch.nn.init.dirac_(convolution.weight)
        network.convs[-1].weight.mul_(0.5)
    path = tmp_path / "more" / "halving.safetensors"
    path.parent.mkdir()
    save_weights(weights_of(network, name="halving", task="denoise", provenance={}), path)
    return path
