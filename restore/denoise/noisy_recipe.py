"""The training recipe of a denoiser that sees noisy pictures alone."""

from dataclasses import dataclass

from restore.models.resunet import ResUNet, ResUNetConfig
from restore.training.recipe import Recipe

__all__ = ["METHODS", "NoisyRecipe"]

METHODS = ("downscaled", "neighbours", "blind-spot", "bursts")
"""Recorrupted averages, for noise that can be measured; of other noise Neighbor2Neighbor where it
is white, and masks as in Noise2Void where it is correlated; Noise2Noise."""

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class NoisyRecipe(Recipe):
    """All settings that determine a denoiser trained on noisy pictures.

    Attributes:
        method: one of ``METHODS``, or auto for the one that suits the pictures.
        channels: 1 gray, 3 colour; 0 for what the pictures are.
        widths: feature channels of the ResUNet, one number per level; empty for the network's own.
        blind: whether the network is blind even if it starts from one that takes the noise level,
            which is then estimated; others always are.
    """

    patch: int = 96
    method: str = AUTO
    channels: int = 0
    widths: tuple[int, ...] = ()
    blind: bool = False

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        self.check_widths(self.widths)
        self.check(
            {
                "method": (
                    self.method in (AUTO, *METHODS),
                    f"use {', '.join((AUTO, *METHODS))}",
                ),
                "channels": (self.channels in (0, 1, 3), "use 0, 1 or 3"),
            }
        )

    def network(self, *, takes_level: bool = False) -> ResUNet:
        """Return the untrained network.

        Args:
            takes_level: whether it takes the noise level.

        Raises:
            UsageError: the patch does not fit the network.
        """
        network = ResUNet(
            ResUNetConfig(
                channels=self.channels or 3,
                widths=self.widths or ResUNetConfig.widths,
                noise_map=takes_level,
            )
        )
        self.check_patch(2 * network.multiple, network)
        return network
