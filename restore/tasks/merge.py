"""Several exposures of a scene in, its radiance out."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import InputError
from restore.image.align import registration, warped
from restore.image.decode import DEFAULT_MAX_PIXELS, decode
from restore.image.demosaic import demosaiced, linear_srgb
from restore.image.picture import ImageFormat, Picture, Transfer
from restore.image.primaries import SRGB_PRIMARIES
from restore.image.raw import RAW_SUFFIXES, read_raw
from restore.image.saturation import saturation_levels
from restore.image.transfer import linear_to_srgb, srgb_to_linear
from restore.tasks.brackets import Exposure
from restore.tasks.hdr import linear_light
from restore.tasks.radiance import Known, Radiance, guessed_where

__all__ = ["merge_bracket"]

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
_FADE = 0.8
_READ_NOISE = {8: 0.004, 16: 0.0005}
_LEAST_WEIGHT = 1e-6
_LEAST_STOPS = 0.1
_LOSSY = (ImageFormat.JPEG, ImageFormat.WEBP, ImageFormat.AVIF)


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """One exposure in memory.

    Attributes:
        light: linear ``[3, H, W]``, 1 the sensor's white.
        use: ``[H, W]``, 1 where no channel is near saturation, falling to 0.
        inside: bool ``[H, W]``, where the frame reaches after alignment.
        read_noise: standard deviation of dark samples.
        like: what the result inherits from.
    """

    light: NDArray[np.float32]
    use: NDArray[np.float32]
    inside: NDArray[np.bool_]
    read_noise: float
    like: Picture


def merge_bracket(
    exposures: Sequence[Exposure],
    *,
    align: bool = True,
    is_linear: bool = False,
    exposure_stops: float = 0.0,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Radiance:
    """Merge a bracket.

    Frames are made linear (sRGB's curve for pictures; black level, white balance, interpolation
    and the camera's matrix for RAW files), registered to the middle exposure, and averaged with
    the weights of the least noise: each sample counts by the square of its exposure over its
    variance, which is that of counting plus that of reading (Hasinoff et al., "Noise-optimal
    capture for high dynamic range photography", CVPR 2010), and fades out towards saturation.
    Where every frame saturates the shortest exposure is taken. Things that move are not treated.

    Args:
        exposures: of at least two frames, all with ``light``.
        align: register the frames.
        is_linear: whether integer samples are linear.
        exposure_stops: the result is brightened by this much.
        max_pixels: larger frames are refused.

    Returns:
        Scene-linear light, 1 the white of the middle exposure.

    Raises:
        InputError: a single frame, an exposure that is not known, frames that differ in size or
            hardly in exposure, or a file that cannot be read.
    """
    started = time.perf_counter()
    lights = _checked(exposures)
    order = sorted(range(len(lights)), key=lights.__getitem__)
    middle = order[(len(order) - 1) // 2]
    reference = _read(exposures[middle].path, is_linear=is_linear, max_pixels=max_pixels)
    structure = _luminance(reference.light) if align else None
    total = np.zeros_like(reference.light)
    weights = np.zeros_like(reference.use)
    moved = []
    for index in order:
        path = exposures[index].path
        frame = (
            reference
            if index == middle
            else _read(path, is_linear=is_linear, max_pixels=max_pixels)
        )
        if frame.light.shape != reference.light.shape:
            raise InputError(f"{path}: differs in size from {exposures[middle].path}")
        if structure is not None and index != middle:
            frame, distance = _aligned(frame, structure)
            moved.append(distance)
        # Where all are white the shortest is the least wrong, and where it does not reach the
        # one that all others were moved onto.
        last_resort = 0.1 if index == order[0] else 0.001 if index == middle else 0.0
        _add(frame, lights[index] / lights[middle], total, weights, least=last_resort)
    known = guessed_where(weights <= _LEAST_WEIGHT)
    total /= np.maximum(weights, 1e-12)
    total *= np.float32(2**exposure_stops)
    picture = Picture(
        pixels=total,
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
        exif=reference.like.exif,
        orientation=reference.like.orientation,
        primaries=SRGB_PRIMARIES,
    )
    stops = math.log2(max(lights) / min(lights))
    return Radiance(
        picture=picture,
        known=known,
        record={
            "mode": "merge",
            "frames": len(lights),
            "reference": str(exposures[middle].path),
            "stops": round(stops, 3),
            "aligned": align,
            "largest_shift_px": round(max(moved, default=0.0), 2),
            "guessed": round(float((known == Known.GUESSED).mean()), 6),
            "peak": round(float(total.max(initial=0)), 4),
            "megapixels": round(picture.width * picture.height / 1e6, 6),
            "seconds": round(time.perf_counter() - started, 4),
        },
        attributes={
            "whiteScale": float(2**exposure_stops),
            "saturationThreshold": float(2**exposure_stops * lights[middle] / min(lights)),
            "imrestoreMode": "merge",
        },
    )


def _checked(exposures: Sequence[Exposure]) -> list[float]:
    first = exposures[0].path
    if len(exposures) < 2:
        raise InputError(f"{first}: stands alone; a bracket has at least two exposures")
    lights = []
    for one in exposures:
        if one.light is None:
            raise InputError(f"{one.path}: its EXIF says nothing of its exposure; give --exposures")
        lights.append(one.light)
    if math.log2(max(lights) / min(lights)) < _LEAST_STOPS:
        raise InputError(f"{first}: it and the others of its bracket are exposed alike")
    return lights


def _read(path: Path, *, is_linear: bool, max_pixels: int) -> _Frame:
    if path.suffix.lower() in RAW_SUFFIXES:
        raw = read_raw(path, max_pixels=max_pixels)
        camera = demosaiced(raw)
        use = _use(camera.max(axis=0))
        like = Picture(pixels=camera, exif=raw.exif, orientation=raw.orientation)
        inside = np.ones(use.shape, dtype=bool)
        light = linear_srgb(raw, camera)
        return _Frame(light=light, use=use, inside=inside, read_noise=0.001, like=like)
    picture = decode(path, max_pixels=max_pixels)
    light = linear_light(picture, is_linear=is_linear or None)
    levels = saturation_levels(picture.pixels, is_lossy=picture.format in _LOSSY)
    is_encoded = picture.transfer is not Transfer.LINEAR and not is_linear
    white = srgb_to_linear(levels) if is_encoded else levels
    share = np.max(light / np.minimum(white, 1e9)[:, None, None], axis=0)
    colour = np.broadcast_to(light, (3, picture.height, picture.width)).copy()
    noise = _READ_NOISE.get(picture.bit_depth, 0.001)
    inside = np.ones(share.shape, dtype=bool)
    return _Frame(light=colour, use=_use(share), inside=inside, read_noise=noise, like=picture)


def _use(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 for samples well below white, falling to 0 where they reach it."""
    use: NDArray[np.float32] = np.clip((1 - share) / (1 - _FADE), 0, 1).astype(np.float32)
    return use


def _luminance(light: NDArray[np.float32]) -> NDArray[np.float32]:
    return linear_to_srgb(np.tensordot(_LUMA, light, axes=1).clip(0, 1).astype(np.float32))


def _aligned(frame: _Frame, structure: NDArray[np.float32]) -> tuple[_Frame, float]:
    matrix = registration(_luminance(frame.light), structure)
    height, width = structure.shape
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    distance = float(np.hypot(*(matrix @ corners - corners)[:2]).max())
    light = np.stack([warped(plane, matrix, fill=0.0) for plane in frame.light])
    # Beyond its edges a frame says nothing: it counts there as little as where it is white.
    use = warped(frame.use, matrix, fill=0.0)
    inside = warped(np.ones_like(frame.use), matrix, fill=0.0) > 1 - 1e-3
    return replace(frame, light=light, use=use * inside, inside=inside), distance


def _add(
    frame: _Frame,
    exposure: float,
    total: NDArray[np.float32],
    weights: NDArray[np.float32],
    *,
    least: float,
) -> None:
    """Add a frame's radiance to the weighted sums, in place.

    ``least`` is the weight of all its pixels, in shares of what counts as measured.
    """
    signal = np.clip(frame.light.mean(axis=0), 0, None)
    variance = signal / 1000 + np.float32(frame.read_noise**2)
    weight = frame.use * np.float32(exposure**2) * np.float32(1e-3) / variance
    np.maximum(weight, np.float32(least * _LEAST_WEIGHT), out=weight, where=frame.inside)
    weights += weight
    for sums, plane in zip(total, frame.light, strict=True):
        sums += weight * plane / np.float32(exposure)
