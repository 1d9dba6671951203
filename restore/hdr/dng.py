"""Scene-linear light as a DNG, which photographers develop themselves."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from restore.image.colour import SRGB_TO_XYZ, in_srgb_primaries
from restore.image.develop import camera_to_srgb, gains_of
from restore.image.dng import write_linear_dng
from restore.image.dng_metadata import DngTag
from restore.image.picture import Picture
from restore.image.raw_picture import REFERENCE_CFA, RawPicture

__all__ = ["dng_of_light", "sensor_of"]


def sensor_of(raw: RawPicture, white_balance: tuple[float, float, float]) -> RawPicture:
    """Return what a file says of its sensor, without its mosaic.

    Args:
        raw: RAW picture of the camera.
        white_balance: Factors with which its light was balanced.
    """
    return replace(
        raw,
        mosaic=np.zeros_like(raw.cfa, dtype=np.uint16),
        default_crop=None,
        white_balance=white_balance,
        dng=raw.dng.without(DngTag.NOISE_PROFILE) if raw.dng else None,
    )


def dng_of_light(picture: Picture, sensor: RawPicture | None, *, preview: Picture) -> bytes:
    """Encode light as linear RAW in 16-bit floats, in the camera's own colours where it is known.

    Args:
        picture: Linear light, 1 the sensor's white.
        sensor: What the light was developed from, see ``sensor_of``; None for a sensor with the
            primaries of sRGB.
        preview: The picture that viewers show.
    """
    light = in_srgb_primaries(replace(picture, alpha=None)).pixels
    light = np.broadcast_to(light, (3, picture.height, picture.width))
    if sensor is None:
        sensor = RawPicture(
            mosaic=np.zeros((2, 2), dtype=np.uint16),
            cfa=REFERENCE_CFA[2],
            black_level=(0.0,) * 4,
            white_level=1,
            xyz_to_camera=np.linalg.inv(SRGB_TO_XYZ).astype(np.float32),
        )
    camera = _in_colours_of(sensor, light)
    stated = replace(sensor, exif=picture.exif, orientation=picture.orientation)
    return write_linear_dng(camera, stated, preview=preview, as_float=True)


def _in_colours_of(sensor: RawPicture, light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return camera RGB before white balance of linear sRGB ``[3, H, W]``."""
    if sensor.is_monochrome:
        return light[:1]
    to_camera = np.linalg.inv(camera_to_srgb(sensor).astype(np.float64))
    to_camera /= gains_of(sensor.white_balance)[:, None]
    camera: NDArray[np.float32] = np.tensordot(to_camera.astype(np.float32), light, axes=1)
    return camera
