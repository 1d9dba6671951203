"""All the randomness of a training run, in two generators whose state a checkpoint holds."""

import torch
from torch import Tensor

from restore.errors import TrainingError

__all__ = ["Randomness"]

_RANK_STRIDE = 1_000_003


class Randomness:
    """What a run draws from: the same seed gives the same run.

    Attributes:
        host: generator on the CPU, for crops and choices.
        local: generator on the device, for noise.
    """

    def __init__(self, seed: int, device: torch.device, *, rank: int = 0) -> None:
        own_seed = seed + rank * _RANK_STRIDE
        self.host = torch.Generator().manual_seed(own_seed)
        self.local = torch.Generator(device).manual_seed(own_seed + 1)

    @property
    def device(self) -> torch.device:
        """Where the run trains."""
        return self.local.device

    def moved(self, tensor: Tensor) -> Tensor:
        """Return a host tensor on the device, without waiting for the copy where possible."""
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def state(self) -> list[Tensor]:
        """Return what ``restore`` needs to go on from here."""
        return [self.host.get_state(), self.local.get_state()]

    def restore(self, state: list[Tensor]) -> None:
        """Go on from a ``state``.

        Raises:
            TrainingError: it is of another kind of device.
        """
        if state[1].numel() != self.local.get_state().numel():
            raise TrainingError(
                f"the run was begun on another kind of device than {self.device.type}: "
                "give the --device that it had"
            )
        self.host.set_state(state[0].cpu())
        self.local.set_state(state[1].cpu())
