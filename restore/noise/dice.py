"""Random choices, on the host, and random fields, on the device."""

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["Dice"]

T = TypeVar("T")


@dataclass(frozen=True)
class Dice:
    """What made defects are drawn with.

    Attributes:
        host: generator on the CPU, for choices.
        local: generator on the device, for fields.
    """

    host: torch.Generator
    local: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where fields are made."""
        return self.local.device

    def uniform(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self.host))

    def spread(self, low: float, high: float) -> float:
        """Return a positive number whose logarithm is uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability: float) -> bool:
        """Return True with ``probability``."""
        return self.uniform(0, 1) < probability

    def below(self, count: int) -> int:
        """Return a whole number from 0 to ``count`` - 1."""
        return int(torch.randint(count, (), generator=self.host))

    def angle(self) -> float:
        """Return a direction in radians; half of them lie along the picture's sides."""
        if self.chance(0.5):
            return self.below(4) * math.pi / 2 + self.uniform(-0.1, 0.1)
        return self.uniform(0, 2 * math.pi)

    def choice(self, weighted: dict[T, float]) -> T:
        """Return one of the keys, as likely as its value says."""
        weights = torch.tensor(list(weighted.values()), dtype=torch.float32)
        return list(weighted)[int(torch.multinomial(weights, 1, generator=self.host))]

    def normal(self, *shape: int) -> Tensor:
        """Return a field of normal values."""
        return torch.randn(shape, generator=self.local, device=self.device)

    def field(self, *shape: int) -> Tensor:
        """Return a field of values uniform in [0, 1]."""
        return torch.rand(shape, generator=self.local, device=self.device)
