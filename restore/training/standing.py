"""What the validations of a run have reached, and the weights that were best."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from torch import Tensor, nn

__all__ = ["Standing"]


class Standing:
    """The latest figure, the best one, and the weights that had it.

    Attributes:
        reached: figure of the latest validation; None before the first.
        most: best figure so far; None before the first validation.
        in_vain: number of validations since the best one.
        best: tensors of the network with the best figure; empty before the first validation.
    """

    def __init__(self) -> None:
        self.reached: float | None = None
        self.most: float | None = None
        self.in_vain = 0
        self.best: dict[str, Tensor] = {}

    def add(self, figure: float, network: nn.Module) -> bool:
        """Add a validation of ``network``; return whether it is the best so far."""
        self.reached = figure
        self.in_vain += 1
        is_best = self.most is None or figure > self.most
        if is_best:
            self.most, self.in_vain = figure, 0
            self.best = {
                key: tensor.detach().clone() for key, tensor in network.state_dict().items()
            }
        return is_best

    def state(self) -> dict[str, Any]:
        """Return the part of a checkpoint that ``restore`` takes."""
        return {
            "psnr": self.reached,
            "best_psnr": self.most,
            "best": self.best,
            "in_vain": self.in_vain,
        }

    def restore(self, state: Mapping[str, Any], network: nn.Module) -> None:
        """Continue from a checkpoint.

        Args:
            state: the checkpoint, with what ``state`` returned.
            network: a network that the best weights must fit.

        Raises:
            Exception: what PyTorch or Python raises where it is not such a state.
        """
        self.reached, self.most = state["psnr"], state["best_psnr"]
        self.best, self.in_vain = state["best"], int(state.get("in_vain", 0))
        figures = [each for each in (self.reached, self.most) if each is not None]
        if not all(isinstance(each, float | int) for each in figures):
            raise TypeError("figures are numbers")
        if self.best:  # taken at the end: a tensor that does not fit would cost the run
            deepcopy(network).load_state_dict(self.best)
