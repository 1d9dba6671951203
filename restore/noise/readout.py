"""Reading out a sensor behind a colour filter, as RAW files are simulated."""

import numpy as np
import torch
from torch import Tensor

from restore.image.colour import SRGB_TO_XYZ
from restore.image.raw_picture import GREEN, REFERENCE_CFA, SECOND_GREEN, RawPicture
from restore.noise.bayer import CameraProfile
from restore.noise.eld import DarkNoise, add_dark_noise

__all__ = ["BLACK_DN", "RANGE_DN", "as_file", "filter_colours", "mosaicked", "read_out"]

BLACK_DN, RANGE_DN = 512.0, 15871.0
"""14 bits with a black level of 512, as in the cameras whose noise is known."""


def filter_colours(side: int, height: int, width: int) -> Tensor:
    """Return the filter over each pixel, ``(H, W)``: 0 red, 1 green, 2 blue.

    Args:
        side: period of the filter: 2 (Bayer), 6 (X-Trans) or 1 (monochrome, which is green).
        height: rows of the sensor.
        width: columns of the sensor.
    """
    cfa = torch.from_numpy(REFERENCE_CFA[side]).long()
    cfa = torch.where(cfa == SECOND_GREEN, GREEN, cfa)
    return cfa.repeat(-(-height // side), -(-width // side))[:height, :width]


def read_out(
    seen: Tensor, noise: DarkNoise, generator: torch.Generator, *, side: int
) -> tuple[Tensor, Tensor]:
    """Return what a sensor reads out of light on it.

    Args:
        seen: linear camera RGB before white balance, ``(B, 3, H, W)``, white at 1.
        noise: noise of each picture.
        generator: on the device of ``seen``.
        side: as for ``filter_colours``.

    Returns:
        The mosaics ``(B, H, W)`` in DN above black, and the filter over each pixel.
    """
    colours = filter_colours(side, *seen.shape[2:]).to(seen.device)
    measured = add_dark_noise(
        mosaicked(seen, colours) * RANGE_DN,
        noise,
        colours,
        range_dn=RANGE_DN,
        black_dn=BLACK_DN,
        generator=generator,
    )
    return measured, colours


def mosaicked(light: Tensor, colours: Tensor) -> Tensor:
    """Return what the filters ``(H, W)`` pass of light ``(B, 3, H, W)``, ``(B, H, W)``."""
    return light.gather(1, colours.expand(len(light), 1, -1, -1))[:, 0]


def as_file(measured: Tensor, camera: CameraProfile, *, side: int) -> RawPicture:
    """Return a mosaic as the RAW file of a camera.

    Args:
        measured: ``(H, W)`` in DN above black.
        camera: camera of the first picture of a batch.
        side: as for ``filter_colours``.
    """
    red, green, blue = camera.gains[0].tolist()
    xyz_to_camera = camera.from_srgb[0].numpy() @ np.linalg.inv(SRGB_TO_XYZ)
    return RawPicture(
        mosaic=(measured + BLACK_DN).numpy().astype(np.uint16),
        cfa=REFERENCE_CFA[side],
        black_level=(BLACK_DN,) * 4,
        white_level=BLACK_DN + RANGE_DN,
        white_balance=(red / green, 1.0, blue / green),
        xyz_to_camera=xyz_to_camera.astype(np.float32),
    )
