"""The training recipe of a denoiser."""

from dataclasses import dataclass

from restore.denoise.degradations import Degradation, parse_degradation
from restore.errors import UsageError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.training.losses import LOSSES
from restore.training.recipe import Recipe

__all__ = ["DenoiseRecipe"]

_MOST_LAYERS = 200


@dataclass(frozen=True, kw_only=True)
class DenoiseRecipe(Recipe):
    """All settings that determine a trained denoiser.

    Attributes:
        model: dncnn or resunet.
        channels: 1 gray, 3 colour.
        depth: layers of a DnCNN.
        widths: feature channels: one number for a DnCNN, one per level for a ResUNet.
        batch_norm: train a DnCNN with batch normalisation, as the paper does.
        blind: whether a ResUNet works without the noise level; a DnCNN always does.
        noise: kinds of noise, mixed in equal parts: awgn, camera, grain, drawn, jpeg:Q,
            jpeg:LOW-HIGH.
        sigma: range of the level of awgn, 0..255.
        loss: l1, l2 or psnr; see ``LOSSES``.
    """

    model: str = "resunet"
    channels: int = 3
    depth: int = 20
    widths: tuple[int, ...] = ()
    batch_norm: bool = False
    blind: bool = False
    noise: tuple[str, ...] = ("awgn",)
    sigma: tuple[float, float] = (0.0, 55.0)
    loss: str = "l1"

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        low, high = self.sigma
        self.check_widths(self.widths)
        self.check(
            {
                f"model {self.model!r}: use dncnn or resunet": self.model in ("dncnn", "resunet"),
                f"loss {self.loss!r}: use {', '.join(LOSSES)}": self.loss in LOSSES,
                f"sigma {low:g}:{high:g}: must rise within 0 to 255": 0 <= low <= high <= 255,
                "give at least one kind of noise": len(self.noise) > 0,
                f"depth {self.depth}: give a number from 2 to {_MOST_LAYERS}": 2
                <= self.depth
                <= _MOST_LAYERS,
            }
        )
        self.degradations()

    def degradations(self) -> list[Degradation]:
        """Return the kinds of noise, ready to be drawn.

        Raises:
            UsageError: one is not known.
        """
        return [parse_degradation(kind, self.sigma, gray=self.channels == 1) for kind in self.noise]

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
        config = ResUNetConfig(
            channels=self.channels,
            widths=self.widths or ResUNetConfig.widths,
            noise_map=not self.blind,
        )
        network = ResUNet(config)
        if self.patch % network.multiple:
            raise UsageError(f"patch must be a multiple of {network.multiple} for this ResUNet")
        return network
