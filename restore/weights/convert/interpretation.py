"""Ways to read the same layers of a denoiser: what comes out, on which scale, of which colours."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from restore.models.dncnn import DnCNNConfig
from restore.models.drunet import DRUNetConfig
from restore.models.ffdnet import FFDNetConfig
from restore.weights.store import Weights

__all__ = ["IRCNN_DILATIONS", "Interpretation", "Role", "as_read", "interpreted", "is_open"]

Role = Literal["noise", "negative noise", "picture"]
"""What the layers predict: what is subtracted from or added to the input, or the result itself."""

IRCNN_DILATIONS = (1, 2, 3, 4, 3, 2, 1)


@dataclass(frozen=True, kw_only=True)
class Interpretation:
    """A way to read the layers of a denoiser.

    Attributes:
        role: what the layers predict.
        scale: white in their input and output, 1 or 255.
        order: order of their colours, RGB or BGR; empty for gray.
        dilations: dilation of each layer of a DnCNN; empty where none is dilated.
    """

    role: Role
    scale: int = 1
    order: str = ""
    dilations: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return it in a few words."""
        role = "the noise with a minus sign" if self.role == "negative noise" else self.role
        words = [f"predicts {role if role.startswith('the') else f'the {role}'}"]
        words += [f"values from 0 to {self.scale}", self.order, "dilated" if self.dilations else ""]
        return ", ".join(filter(None, words))


def is_open(weights: Weights) -> bool:
    """Whether the layers of a network can be read in several ways."""
    return isinstance(weights.config, DnCNNConfig | FFDNetConfig | DRUNetConfig)


def as_read(weights: Weights) -> Interpretation:
    """Return how the layers of ``weights`` are read as they are."""
    return Interpretation(
        role="noise" if weights.is_residual else "picture",
        order="RGB" if weights.channels > 1 else "",
        dilations=getattr(weights.config, "dilations", ()),
    )


def interpreted(weights: Weights, way: Interpretation) -> Weights:
    """Return a network that computes what the layers of ``weights`` compute, read in some way.

    Args:
        weights: weights for which ``is_open`` holds.
        way: how to read their tensors.
    """
    config = replace(weights.config, residual=way.role != "picture")
    if isinstance(config, DnCNNConfig):
        config = replace(config, dilations=way.dilations)
    layers = _Ends(weights)
    if way.order == "BGR":
        layers.reverse_colours()
    if way.scale != 1:
        # The noise level is given on the scale of the picture.
        layers.change_first(lambda weight: weight * way.scale)
        layers.change_last(lambda values: values / way.scale)
    if way.role == "negative noise":
        layers.change_last(torch.neg)
    return replace(weights, config=config, tensors=layers.tensors)


class _Ends:
    """The tensors of a network, of which the first and the last layer can be changed."""

    def __init__(self, weights: Weights) -> None:
        self.tensors = dict(weights.tensors)
        config = weights.config
        self._first, self._last = (
            ("head", "tail")
            if isinstance(config, DRUNetConfig)
            else ("convs.0", f"convs.{config.depth - 1}")
        )
        planes = torch.arange(len(self.tensors[f"{self._last}.weight"]))
        self._reversed = planes.view(weights.channels, -1).flip(0).flatten()

    def change_first(self, change: Callable[[Tensor], Tensor]) -> None:
        key = f"{self._first}.weight"
        self.tensors[key] = change(self.tensors[key])

    def change_last(self, change: Callable[[Tensor], Tensor]) -> None:
        for key in (f"{self._last}.weight", f"{self._last}.bias"):
            if key in self.tensors:
                self.tensors[key] = change(self.tensors[key])

    def reverse_colours(self) -> None:
        count = len(self._reversed)  # the noise level follows the colours
        self.change_first(
            lambda weight: torch.cat([weight[:, self._reversed], weight[:, count:]], dim=1)
        )
        self.change_last(lambda values: values[self._reversed])
