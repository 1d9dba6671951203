"""What a denoiser is trained as: the recipe that is stored with its weights."""

from dataclasses import dataclass

from restore.errors import UsageError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.training.losses import LOSSES

__all__ = ["DenoiseRecipe"]


@dataclass(frozen=True, kw_only=True)
class DenoiseRecipe:
    """All that decides what a denoiser becomes; stored with the weights.

    Attributes:
        model: dncnn or resunet.
        channels: 1 gray, 3 colour.
        depth: layers of a DnCNN.
        widths: feature channels: one number for a DnCNN, one per level for a ResUNet.
        batch_norm: train a DnCNN with batch normalisation, as the paper does.
        sigma: range of the noise level, 0..255.
        patch: side of the training crops in pixels.
        batch: crops per step.
        learning_rate: peak of the schedule.
        loss: l1 or l2.
        steps: optimiser steps, or None when ``seconds`` decides.
        seconds: training time, or None.
        ema: decay of the averaged weights.
        seed: of everything random.
    """

    model: str = "resunet"
    channels: int = 3
    depth: int = 20
    widths: tuple[int, ...] = ()
    batch_norm: bool = False
    sigma: tuple[float, float] = (0.0, 55.0)
    patch: int = 64
    batch: int = 16
    learning_rate: float = 5e-4
    loss: str = "l1"
    steps: int | None = None
    seconds: float | None = None
    ema: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a recipe that cannot be followed."""
        low, high = self.sigma
        checks = {
            f"model {self.model!r}: use dncnn or resunet": self.model in ("dncnn", "resunet"),
            f"loss {self.loss!r}: use {' or '.join(LOSSES)}": self.loss in LOSSES,
            f"sigma {low:g}:{high:g}: must rise within 0 to 255": 0 <= low <= high <= 255,
            "give either a number of steps or a time": (self.steps is None)
            != (self.seconds is None),
            "steps and time must be positive": (self.steps or self.seconds or 0) > 0,
            "the learning rate must be positive": self.learning_rate > 0,
            "batch must be at least 1": self.batch >= 1,
            "patch must be at least 16 pixels": self.patch >= 16,
            "the average's decay must lie in [0, 1)": 0 <= self.ema < 1,
        }
        for message, passed in checks.items():
            if not passed:
                raise UsageError(message)

    def network(self) -> DnCNN | ResUNet:
        """Return the untrained network.

        Raises:
            UsageError: widths or patch do not fit the model.
        """
        if self.model == "dncnn":
            if len(self.widths) > 1:
                raise UsageError("a DnCNN has one width for all layers")
            width = self.widths[0] if self.widths else DnCNNConfig.width
            return DnCNN(
                DnCNNConfig(
                    channels=self.channels,
                    depth=self.depth,
                    width=width,
                    batch_norm=self.batch_norm,
                )
            )
        config = ResUNetConfig(channels=self.channels, widths=self.widths or ResUNetConfig.widths)
        network = ResUNet(config)
        if self.patch % network.multiple:
            raise UsageError(f"patch must be a multiple of {network.multiple} for this ResUNet")
        return network
