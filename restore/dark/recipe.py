"""The training recipe of a learned image signal processor."""

import math
from dataclasses import dataclass

from restore.arguments import argument
from restore.errors import UsageError
from restore.models.isp_resunet import IspResUNet, IspResUNetConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.noise.eld import CAMERAS
from restore.training.losses import LOSSES
from restore.training.recipe import Recipe

__all__ = ["DarkRecipe"]


@dataclass(frozen=True, kw_only=True)
class DarkRecipe(Recipe):
    """All settings that determine a trained image signal processor.

    Attributes:
        model: isp-resunet, for all sensors, or isp-unet, for one kind.
        xtrans: for X-Trans mosaics instead of Bayer ones; of an IspUNet.
        widths: feature channels: one number for an IspUNet, one per level for an IspResUNet.
        head: camera or srgb, see ``IspUNetConfig``.
        ratio: lowest and highest amplification.
        cameras: whose noise is added, keys of ``restore.noise.eld.CAMERAS``.
        loss: l1, l2 or psnr; see ``LOSSES``.
    """

    model: str = "isp-resunet"
    patch: int = 192
    xtrans: bool = False
    widths: tuple[int, ...] = ()
    head: str = IspUNetConfig.head
    ratio: tuple[float, float] = (1.0, 300.0)
    cameras: tuple[str, ...] = ("Sony A7S2", "Nikon D850", "Canon 70D", "Canon 700D")
    loss: str = "l1"

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        self.check_widths(self.widths)
        low, high = self.ratio
        unknown = sorted(set(self.cameras) - set(CAMERAS))
        packs = self.model == "isp-unet"
        self.check(
            {
                "model": (
                    self.model in ("isp-resunet", "isp-unet"),
                    "use isp-resunet or isp-unet",
                ),
                "ratio": (1 <= low <= high < math.inf, "must rise from at least 1"),
                "loss": (self.loss in LOSSES, f"use {', '.join(LOSSES)}"),
                "head": (self.head in ("camera", "srgb"), "use camera or srgb"),
                "cameras": (len(self.cameras) > 0, "give at least one"),
            }
        )
        if unknown:
            raise UsageError(f"camera {unknown}: use {', '.join(CAMERAS)}")
        unet = argument("model", "isp-unet")
        if packs and len(self.widths) > 1:
            raise UsageError("an isp-unet has one width, that of its first level")
        if self.xtrans and not packs:
            raise UsageError(
                f"an isp-resunet is for all sensors; {argument('xtrans')} is for {unet}"
            )
        if self.head == "srgb" and not packs:
            raise UsageError(f"the head srgb needs {unet}")

    def network(self) -> IspUNet | IspResUNet:
        """Return the untrained network.

        Raises:
            UsageError: the patch is not a multiple of ``step``.
        """
        network: IspUNet | IspResUNet
        if self.model == "isp-unet":
            width = self.widths[0] if self.widths else IspUNetConfig.width
            planes = 9 if self.xtrans else 4
            network = IspUNet(IspUNetConfig(planes=planes, width=width, head=self.head))
        else:
            widths = self.widths or IspResUNetConfig.widths
            network = IspResUNet(IspResUNetConfig(widths=widths))
        self.check_patch(network.multiple * network.config.scale, network)
        return network
