"""The training recipe of a denoiser of RAW mosaics."""

from dataclasses import dataclass

from restore.models.mosaic_resunet import MosaicResUNet, MosaicResUNetConfig
from restore.training.recipe import Recipe

__all__ = ["MosaicRecipe"]


@dataclass(frozen=True, kw_only=True)
class MosaicRecipe(Recipe):
    """All settings that determine a trained denoiser of RAW mosaics.

    Attributes:
        patch: side of the crops in pixels of the mosaic.
        widths: feature channels, one number per level; empty for the network's own.
    """

    patch: int = 128
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        self.check_widths(self.widths)

    def network(self) -> MosaicResUNet:
        """Return the untrained network.

        Raises:
            UsageError: the patch does not fit the network.
        """
        config = MosaicResUNetConfig(widths=self.widths or MosaicResUNetConfig.widths)
        network = MosaicResUNet(config)
        self.check_patch(2 * network.multiple, network)
        return network
