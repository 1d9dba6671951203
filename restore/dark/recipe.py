"""The training recipe of a learned image signal processor."""

import math
from dataclasses import dataclass

from restore.errors import UsageError
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.noise.eld import CAMERAS
from restore.training.losses import LOSSES
from restore.training.recipe import Recipe

__all__ = ["DarkRecipe"]


@dataclass(frozen=True, kw_only=True)
class DarkRecipe(Recipe):
    """All settings that determine a trained image signal processor.

    Attributes:
        xtrans: for X-Trans mosaics instead of Bayer ones.
        width: feature channels of the first level.
        head: camera or srgb, see ``IspUNetConfig``.
        ratio: lowest and highest amplification.
        cameras: whose noise is added, keys of ``restore.noise.eld.CAMERAS``.
        loss: l1, l2 or psnr; see ``LOSSES``.
    """

    patch: int = 192
    xtrans: bool = False
    width: int = IspUNetConfig.width
    head: str = IspUNetConfig.head
    ratio: tuple[float, float] = (50.0, 300.0)
    cameras: tuple[str, ...] = ("Sony A7S2", "Nikon D850", "Canon 70D", "Canon 700D")
    loss: str = "l1"

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        low, high = self.ratio
        unknown = sorted(set(self.cameras) - set(CAMERAS))
        self.check(
            {
                f"ratio {low:g}:{high:g}: must rise from at least 1": 1 <= low <= high < math.inf,
                f"loss {self.loss!r}: use {', '.join(LOSSES)}": self.loss in LOSSES,
                f"head {self.head!r}: use camera or srgb": self.head in ("camera", "srgb"),
                "give at least one camera": len(self.cameras) > 0,
                f"camera {unknown}: use {', '.join(CAMERAS)}": not unknown,
                "width must be from 1 to 512": 1 <= self.width <= 512,
            }
        )

    def network(self) -> IspUNet:
        """Return the untrained network.

        Raises:
            UsageError: the patch is not a multiple of ``step``.
        """
        planes = 9 if self.xtrans else 4
        if self.patch % self.step:
            raise UsageError(f"patch must be a multiple of {self.step}")
        return IspUNet(IspUNetConfig(planes=planes, width=self.width, head=self.head))

    @property
    def step(self) -> int:
        """Number of mosaic pixels of which the sides of crops must be multiples."""
        return IspUNet.multiple * (3 if self.xtrans else 2)
