"""A network of a user, and a training that takes next to no time."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TINY", "Blur", "BlurConfig"]

TINY: dict[str, Any] = {"steps": 2, "batch": 2, "patch": 16, "device": "cpu", "precision": "fp32"}


@dataclass(frozen=True)
class BlurConfig:
    channels: int = 1
    width: int = 4


class Blur(nn.Module):
    """A network of a user: two layers around a pooling, so that sides must be even."""

    halo, multiple = 4, 2

    def __init__(self, config: BlurConfig) -> None:
        super().__init__()
        self.config = config
        self.down = nn.Conv2d(config.channels, config.width, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(config.width, config.channels, 4, stride=2, padding=1)

    def forward(self, noisy: Tensor, _sigma: Tensor | None = None) -> Tensor:
        result: Tensor = noisy + self.up(torch.relu(self.down(noisy)))
        return result
