"""What a RAW file states beside its samples: its own words first, LibRaw's tables where it is mute.

A DNG's own colour matrix, neutral and crop are right for it, also where LibRaw has others for a
camera of that name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.image.colour import SRGB_TO_XYZ
from restore.image.dng_reader import Dng, read_dng
from restore.image.raw_metadata import read_raw_metadata
from restore.image.raw_picture import MOST_ASPECT
from restore.image.shot import Shot, completed_exif, maker_and_model

__all__ = ["Stated", "stated_by"]

_SINGULAR = 1e-9


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a file states.

    Attributes:
        white_balance: Factors of red, green and blue, green 1.
        has_white_balance: Whether the file states them; else they are daylight's, or 1.
        xyz_to_camera: float32 ``[3, 3]``, or None.
        crop: Top, left, height and width of the part that is to be shown, or None.
        pixel_aspect: Width of a pixel in its heights; 1 where what is stated makes no sense.
        make, model: Maker and camera.
        exif, xmp: Blocks, or None.
        dng: What a DNG says, or None for other files.
    """

    white_balance: tuple[float, float, float]
    has_white_balance: bool
    xyz_to_camera: NDArray[np.float32] | None
    crop: tuple[int, int, int, int] | None
    pixel_aspect: float
    make: str
    model: str
    exif: bytes | None
    xmp: bytes | None
    dng: Dng | None


def stated_by(path: Path, header: dict[str, Any]) -> Stated:
    """Return what a file states.

    Args:
        path: The file.
        header: What LibRaw knows of it, as ``raw_worker`` sends it.
    """
    with path.open("rb") as file:
        metadata, dng = read_raw_metadata(file), read_dng(file)
    exif = completed_exif(
        metadata.exif,
        Shot(
            lens=header["lens"] if header["lens"].isascii() else "",
            exposure_time_s=header["exposure_time_s"],
            iso=header["iso"],
            aperture=header["aperture"],
            focal_length_mm=header["focal_length_mm"],
            taken=header["taken"].replace("-", ":"),
            orientation=header["orientation"],
        ),
    )
    make, model = maker_and_model(exif)
    height, width = header["shape"][:2]
    own = dng.metadata.white_balance if dng else None
    aspect = header["pixel_aspect"]
    return Stated(
        white_balance=own or _balance(header),
        has_white_balance=own is not None or min(header["white_balance"][:3]) > 0,
        xyz_to_camera=_xyz_to_camera(dng, header),
        crop=dng.crop_of(height, width) if dng else _crop(header, height, width),
        pixel_aspect=aspect if 1 / MOST_ASPECT <= aspect <= MOST_ASPECT else 1.0,
        make=make,
        model=model,
        exif=exif,
        xmp=metadata.xmp,
        dng=dng,
    )


def _xyz_to_camera(dng: Dng | None, header: dict[str, Any]) -> NDArray[np.float32] | None:
    """Return the matrix in a DNG, else LibRaw's for the camera, else the one LibRaw has found."""
    stated = dng.metadata.xyz_to_camera if dng else None
    if stated is not None and _makes_sense(stated):
        return stated.astype(np.float32)
    own = np.array(header["xyz_to_camera"])
    if _makes_sense(own):
        return own.astype(np.float32)
    to_srgb, daylight = np.array(header["camera_to_srgb"]), np.array(header["daylight_balance"][:3])
    if daylight.min() <= 0 or not abs(np.linalg.det(to_srgb)) > _SINGULAR:
        return None
    # LibRaw scales the rows so that daylight's white is white; its factors undo that.
    found = np.linalg.inv(to_srgb) @ np.linalg.inv(SRGB_TO_XYZ) / daylight[:, None]
    return found.astype(np.float32) if _makes_sense(found) else None


def _makes_sense(xyz_to_camera: NDArray[np.float64]) -> bool:
    """Whether every colour of the camera sees white, and there are three of them."""
    from_srgb = xyz_to_camera @ SRGB_TO_XYZ
    white = from_srgb.sum(axis=1, keepdims=True)
    if not (np.isfinite(from_srgb).all() and (white > _SINGULAR).all()):
        return False
    return bool(abs(np.linalg.det(from_srgb / white)) > _SINGULAR)


def _balance(header: dict[str, Any]) -> tuple[float, float, float]:
    """Return the camera's white balance, else that of daylight, else none; green 1."""
    for name in ("white_balance", "daylight_balance"):
        red, green, blue = header[name][:3]
        if min(red, green, blue) > 0:
            return red / green, 1.0, blue / green
    return 1.0, 1.0, 1.0


def _crop(header: dict[str, Any], height: int, width: int) -> tuple[int, int, int, int] | None:
    """Return LibRaw's crop, if it lies in the visible part and is not all of it."""
    top, left, down, across = header["crop"]
    is_inside = min(top, left) >= 0 and top + down <= height and left + across <= width
    if not is_inside or min(down, across) < 1 or (down, across) == (height, width):
        return None
    return top, left, down, across
