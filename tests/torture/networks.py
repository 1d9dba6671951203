"""Small networks for the runs."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from restore.models.draem import Draem, DraemConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.weights.store import Weights, save_weights

__all__ = ["write_detector", "write_network"]


def write_network(path: Path) -> None:
    """Write a colour denoiser that changes every pixel."""
    torch.manual_seed(0)
    network = ResUNet(ResUNetConfig(channels=3, widths=(4, 8), blocks=1))
    _save(network, path, "denoise", {"recipe": {"sigma": [0, 55]}, "data": {"folder": "photos"}})


def write_detector(path: Path) -> None:
    """Write a detector of defects in gray parts."""
    torch.manual_seed(0)
    network = Draem(DraemConfig(channels=1, reconstructor=(1,), discriminator=(1,), smoothing=1))
    calibration = {"scores": [i / 100 for i in range(1, 40)], "target_fpr": 0.05}
    _save(network, path, "anomaly", {"calibration": calibration, "inspection": {"scale": 1}})


def _save(network: "nn.Module | Any", path: Path, task: str, provenance: dict[str, Any]) -> None:
    weights = Weights(
        name=path.stem,
        network=type(network),
        config=network.config,
        task=task,
        tensors=network.state_dict(),
        provenance=provenance,
        precision_loss_db={each: {"5": 0.001, "25": 0.001} for each in ("fp16", "bf16")},
    )
    save_weights(weights, path)
