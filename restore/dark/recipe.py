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
                f"model {self.model!r}: use isp-resunet or isp-unet": self.model
                in ("isp-resunet", "isp-unet"),
                f"ratio {low:g}:{high:g}: must rise from at least 1": 1 <= low <= high < math.inf,
                f"loss {self.loss!r}: use {', '.join(LOSSES)}": self.loss in LOSSES,
                f"head {self.head!r}: use camera or srgb": self.head in ("camera", "srgb"),
                "give at least one camera": len(self.cameras) > 0,
                f"camera {unknown}: use {', '.join(CAMERAS)}": not unknown,
                "an isp-unet has one width, that of its first level": not packs
                or len(self.widths) <= 1,
                f"an isp-resunet is for all sensors; {argument('xtrans')} is for "
                f"{argument('model', 'isp-unet')}": packs or not self.xtrans,
                f"the head srgb needs {argument('model', 'isp-unet')}": packs
                or self.head == "camera",
            }
        )

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
        step = network.multiple * network.config.scale
        if self.patch % step:
            raise UsageError(f"patch must be a multiple of {step}")
        return network
