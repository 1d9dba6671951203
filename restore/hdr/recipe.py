"""The training recipe of a network for high dynamic range."""

import math
from dataclasses import asdict, dataclass, field

from restore.errors import UsageError
from restore.hdr.losses import HDR_LOSSES
from restore.hdr.optics.capture_errors import CaptureErrors
from restore.hdr.optics.height_map import HEIGHT_MAPS
from restore.hdr.optics.psf import LensDesign
from restore.hdr.optics.sensor import Sensor
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.training.recipe import Recipe

__all__ = ["OPTICS", "HdrNetwork", "HdrRecipe"]

OPTICS = ("learn", "fixed", "none")
_MOST_BLOCKS = 32
_MOST_CELLS = 4096
_LARGEST_PSF = 1023
_REACH_PX = 64

HdrNetwork = HdrUNet | HdrResUNet


@dataclass(frozen=True, kw_only=True)
class HdrRecipe(Recipe):
    """All settings that determine a trained network for high dynamic range.

    Attributes:
        optics: learn (an element with the network), fixed (a given PSF) or none.
        model: resunet, or unet as published.
        widths: Feature channels: one per level for resunet, one number for unet.
        blocks: Residual blocks per level of a resunet.
        element: Parametrisation of the heights of a learned element: a key of ``HEIGHT_MAPS``.
        cells: Side of a learned height map in cells, which span the aperture.
        psf_size: Side of the PSF of a learned element in pixels, odd.
        rest: Share of the training during which a learned element stays fixed. Until the network
            can decode, gradients only push the element to do nothing, for a sharper picture.
        smoothness: Weight of the mean squared Laplacian of the heights (in micrometres).
        saturated: Range of the share of pixels above white.
        loss: mu, pu21 or gamma.
        highlight_weight: Weight of the mean over the saturated pixels beside that over all.
        bits: Bits per sample of the sensor.
        read_noise: Largest standard deviation of the read noise, relative to white; every crop has
            its own.
        full_well: Electrons at white, for shot noise; 0 for none.
        errors: What lens and camera do that the network does not know; None for nothing.
        surfaces: Share of the crops that show overexposed surfaces instead of lights, if there are
            photographs.
        camera: Camera that an element is learned for.
    """

    patch: int = 192
    optics: str = "learn"
    model: str = "resunet"
    widths: tuple[int, ...] = ()
    blocks: int = 1
    element: str = "grating"
    cells: int = 256
    psf_size: int = 129
    rest: float = 0.4
    smoothness: float = 1e-3
    saturated: tuple[float, float] = (0.01, 0.02)
    loss: str = "mu"
    highlight_weight: float = 2.0
    bits: int = 8
    read_noise: float = 0.005
    full_well: float = 0.0
    errors: CaptureErrors | None = None
    surfaces: float = 0.1
    camera: LensDesign = field(default_factory=LensDesign)

    def __post_init__(self) -> None:
        """Refuse an invalid recipe."""
        super().__post_init__()
        low, high = self.saturated
        self.check_widths(self.widths)
        self.check(
            {
                "optics": (self.optics in OPTICS, f"use {', '.join(OPTICS)}"),
                "model": (self.model in ("resunet", "unet"), "use resunet or unet"),
                "element": (self.element in HEIGHT_MAPS, f"use {', '.join(HEIGHT_MAPS)}"),
                "loss": (self.loss in HDR_LOSSES, f"use {', '.join(HDR_LOSSES)}"),
                "saturated": (0 < low <= high < 1, "must rise within 0 to 1"),
                "blocks": (
                    1 <= self.blocks <= _MOST_BLOCKS,
                    f"give a number from 1 to {_MOST_BLOCKS}",
                ),
                "cells": (
                    8 <= self.cells <= _MOST_CELLS,
                    f"give a number from 8 to {_MOST_CELLS}",
                ),
                "psf_size": (
                    self.psf_size % 2 == 1 and 3 <= self.psf_size <= _LARGEST_PSF,
                    f"give an odd number from 3 to {_LARGEST_PSF}",
                ),
                "rest": (0 <= self.rest <= 1, "give a number from 0 to 1"),
                "surfaces": (0 <= self.surfaces <= 1, "give a number from 0 to 1"),
                "smoothness": (
                    0 <= self.smoothness < math.inf,
                    "give a number that is not negative",
                ),
                "highlight_weight": (
                    0 <= self.highlight_weight < math.inf,
                    "give a number that is not negative",
                ),
            }
        )
        if self.model == "unet" and len(self.widths) > 1:
            raise UsageError("an HdrUNet has one width for all levels")
        self.sensor()

    def sensor(self) -> Sensor:
        """Return the sensor with the strongest noise of this recipe."""
        return Sensor(bits=self.bits, read_noise=self.read_noise, full_well=self.full_well)

    def network(self, psf_size: int, cells: int) -> HdrNetwork:
        """Return the untrained network with room for its element.

        Raises:
            UsageError: the patch does not fit the network.
        """
        network: HdrNetwork
        if self.model == "unet":
            width = self.widths[0] if self.widths else HdrUNetConfig.width
            network = HdrUNet(HdrUNetConfig(width=width, psf_size=psf_size, cells=cells))
        else:
            widths = self.widths or HdrResUNetConfig.widths
            network = HdrResUNet(
                HdrResUNetConfig(
                    widths=widths,
                    blocks=self.blocks,
                    reach_px=_REACH_PX,
                    psf_size=psf_size,
                    cells=cells,
                )
            )
        self.check_patch(network.multiple, network)
        return network

    def described(self) -> dict[str, object]:
        """Return the recipe as plain values, without what its optics do not use."""
        values = asdict(self)
        if self.optics != "learn":
            for name in ("element", "cells", "psf_size", "rest", "smoothness", "camera"):
                del values[name]
        return values
