"""Merging the exposures of a bracket into radiance."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import InputError
from restore.hdr.merge.exposures import Exposure
from restore.hdr.merge.frames import Frame, FrameReader, moved, variance
from restore.hdr.merge.ghosts import DEVIATIONS, Estimate, moved_share
from restore.hdr.merge.response import SRGB, Response, estimate_response
from restore.hdr.merge.survey import Surveyed, surveyed
from restore.hdr.radiance import Known, Radiance, guessed_where
from restore.image.colour import SRGB_PRIMARIES
from restore.image.develop import DAYLIGHT_BALANCE, GUESSED_COLOURS
from restore.image.picture import Picture, Transfer
from restore.image.raw import is_raw

__all__ = ["merge_bracket"]

_LEAST_USE = 1e-6
_UNIT_VARIANCE, _MOSTLY = 1e-3, 0.5
# Smaller contradictions may come from a cloud or a flickering lamp.
_MUCH, _DARKER = 2**1.4, 0.9


def merge_bracket(
    exposures: Sequence[Exposure],
    *,
    align: bool = True,
    is_linear: bool = False,
    exposure_stops: float = 0.0,
    deghost: float | None = DEVIATIONS,
    saturation: float | None = None,
) -> Radiance:
    """Merge a bracket, or average a burst of equal exposures.

    Frames are made linear (by sRGB's curve, or by the camera's own where that does not explain the
    bracket, see ``estimate_response``; RAW files by black level, the white balance of the middle
    exposure, LibRaw's demosaicking and the camera's matrix), registered to the middle exposure, and
    averaged with the weights of the least noise: each sample counts by the square of its exposure
    over its variance, shot noise plus read noise (Hasinoff et al., "Noise-optimal capture for high
    dynamic range photography", CVPR 2010), and fades out towards the sensor's saturation.
    Where every frame saturates, the shortest exposure is taken. Where a frame shows something else
    than the middle exposure and those before it (see ``moved_share``), it is left out.

    Args:
        exposures: Exposures of at least two frames, all with ``light``.
        align: Whether to register the frames.
        is_linear: Whether integer samples are linear.
        exposure_stops: Stops by which the result is brightened.
        deghost: Standard deviations of the noise beyond which a frame shows something else, or
            None to use every frame everywhere.
        saturation: Sample in (0, 1] from which on a channel is saturated, see ``FrameReader``.

    Returns:
        Scene-linear light, 1 the white of the middle exposure.

    Raises:
        InputError: a single frame, RAW files beside finished pictures, an exposure that is not
            known or cannot be right, frames that differ in size, or a file that cannot be read.
    """
    started = time.perf_counter()
    lights = _checked(exposures)
    middle = _by_light(lights)[(len(lights) - 1) // 2]
    reader = FrameReader(is_linear=is_linear, saturation=saturation)
    survey = surveyed([one.path for one in exposures], middle, reader, align=align)
    # Chosen by the camera for every frame, the white balance would tint light by exposure.
    reader = replace(reader, white_balance=survey[middle].white_balance)
    _check_order(exposures, lights, survey)
    response = _response(survey, lights)
    sums, left_out, like = _summed(
        [one.path for one in exposures], lights, survey, reader, response, deghost=deghost
    )
    known = guessed_where(sums.use <= _LEAST_USE)
    known[left_out & (known == Known.MEASURED)] = Known.PARTLY
    total = sums.total
    total /= np.maximum(sums.weights, np.finfo(np.float32).tiny)
    total *= np.float32(2**exposure_stops)
    picture = Picture(
        pixels=total,
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
        exif=like.exif,
        xmp=like.xmp,
        orientation=like.orientation,
        primaries=like.primaries or SRGB_PRIMARIES,
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
            "largest_shift_px": round(max(one.distance for one in survey), 2),
            "response": "linear" if response is None else response.name,
            "guessed": round(float((known == Known.GUESSED).mean()), 6),
            "deghost": "off" if deghost is None else deghost,
            "left_out": round(float(left_out.mean()), 6),
            "peak": round(float(total.max(initial=0)), 4),
            "megapixels": round(picture.width * picture.height / 1e6, 6),
            "seconds": round(time.perf_counter() - started, 4),
            **({"remarks": remarks} if (remarks := _remarks(like)) else {}),
        },
        attributes={
            "whiteScale": float(2**exposure_stops),
            "saturationThreshold": float(2**exposure_stops * lights[middle] / min(lights)),
            "imrestoreMode": "merge",
        },
        sensor=like.sensor,
    )


def _remarks(middle: Frame) -> list[str]:
    """Return what a person should know of how RAW files were developed, a sentence each."""
    remarks = []
    sensor = middle.sensor
    if sensor and not (sensor.has_white_balance or sensor.is_monochrome):
        remarks.append(DAYLIGHT_BALANCE)
    if sensor and sensor.has_guessed_colours:
        remarks.append(GUESSED_COLOURS)
    if sensor and sensor.pixel_aspect != 1:
        remarks.append("pixels are not square: the result is distorted, except in a DNG")
    if sensor and sensor.unapplied:
        names = ", ".join(sensor.unapplied)
        remarks.append(f"corrections that the files ask for: not applied ({names})")
    return remarks


def _checked(exposures: Sequence[Exposure]) -> list[float]:
    first = exposures[0].path
    for one in exposures:
        if one.error:
            raise InputError(one.error)
    if len(exposures) < 2:
        raise InputError(f"{first}: stands alone; a bracket has at least two exposures")
    other = next((one.path for one in exposures if is_raw(one.path) != is_raw(first)), None)
    if other is not None:
        raise InputError(
            f"{first} and {other}: are a RAW file and a finished picture, which are not merged; "
            "name files of one kind"
        )
    lights = []
    for one in exposures:
        if one.light is None:
            raise InputError(
                f"{one.path}: its EXIF states no exposure; give {argument('exposures')}"
            )
        lights.append(one.light)
    for name, key in (("f-number", "aperture"), ("ISO speed", "iso")):
        ordered = sorted(exposures, key=lambda one: bool(getattr(one, key)))
        if getattr(ordered[-1], key) and not getattr(ordered[0], key):
            raise InputError(
                f"{ordered[0].path}: its EXIF states no {name}, as {ordered[-1].path} does; "
                f"give {argument('exposures')}"
            )
    return lights


def _check_order(
    exposures: Sequence[Exposure], lights: Sequence[float], survey: Sequence[Surveyed]
) -> None:
    """Refuse a frame that is darker than one of much less exposure: one of them is misstated."""
    for shorter, longer in permutations(range(len(lights)), 2):
        if (
            lights[longer] > lights[shorter] * _MUCH
            and survey[longer].brightness < survey[shorter].brightness * _DARKER
        ):
            raise InputError(
                f"{exposures[longer].path}: is darker than {exposures[shorter].path}, though its "
                f"exposure is said to be longer; check {argument('exposures')}, or its EXIF"
            )


def _response(survey: Sequence[Surveyed], lights: Sequence[float]) -> Response | None:
    """Return the camera's response, or None where all frames are linear."""
    encoded = [
        (one.cells, one.usable, light)
        for one, light in zip(survey, lights, strict=True)
        if one.cells is not None and one.usable is not None
    ]
    if not encoded:
        return None
    if len(encoded) == 1:
        return SRGB
    cells, usable, theirs = zip(*encoded, strict=True)
    everywhere: NDArray[np.bool_] = np.logical_and.reduce(usable)
    return estimate_response(cells, theirs, everywhere)


def _by_light(lights: Sequence[float]) -> list[int]:
    return sorted(range(len(lights)), key=lights.__getitem__)


def _summed(
    paths: Sequence[Path],
    lights: Sequence[float],
    survey: Sequence[Surveyed],
    reader: FrameReader,
    response: Response | None,
    *,
    deghost: float | None,
) -> tuple[Estimate, NDArray[np.bool_], Frame]:
    """Return the weighted sums of all frames, where one was left out, and the middle frame.

    The middle frame comes first, as the reference, and the others in the order of how much their
    exposure differs from it. One is in memory at a time; the light of the middle one is returned
    empty.
    """
    by_light = _by_light(lights)
    middle, shortest = by_light[(len(by_light) - 1) // 2], by_light[0]
    order = sorted(by_light, key=lambda index: abs(math.log2(lights[index] / lights[middle])))
    order.remove(middle)
    least = _LEAST_USE * (min(lights) / lights[middle]) ** 2
    like = frame = moved(reader.frame(paths[middle], response), survey[middle].matrix)
    sums = Estimate(
        total=np.zeros_like(frame.light),
        weights=np.zeros_like(frame.use),
        use=np.zeros_like(frame.use),
    )
    left_out = np.zeros(frame.use.shape, dtype=bool)
    for index in (middle, *order):
        exposure = lights[index] / lights[middle]
        if index == middle:
            like = replace(frame, light=frame.light[:, :0])
        else:
            frame = moved(reader.frame(paths[index], response), survey[index].matrix)
            if deghost is not None:
                is_linear = survey[index].cells is None
                share = moved_share(
                    frame,
                    exposure,
                    sums,
                    deviations=deghost,
                    unit_variance=_UNIT_VARIANCE,
                    is_linear=is_linear,
                )
                disagrees = share > _MOSTLY
                left_out |= disagrees & (frame.use > 0)
                frame = replace(
                    frame, use=frame.use * (1 - share), inside=frame.inside & ~disagrees
                )
        # Where all frames saturate, the shortest is the least wrong; beyond its edges, the
        # reference is.
        last_resort = 0.1 if index == shortest else 0.001 if index == middle else 0.0
        _add(frame, exposure, sums, least=last_resort * least)
    return sums, left_out, like


def _add(frame: Frame, exposure: float, sums: Estimate, *, least: float) -> None:
    """Add a frame's radiance to the weighted sums, in place.

    ``least`` is the smallest weight of a pixel inside the frame.
    """
    weight = frame.use * np.float32(exposure**2 * _UNIT_VARIANCE) / variance(frame)
    np.maximum(weight, np.float32(least), out=weight, where=frame.inside)
    np.add(sums.weights, weight, out=sums.weights)
    np.maximum(sums.use, frame.use, out=sums.use)
    for total, plane in zip(sums.total, frame.light, strict=True):
        total += weight * plane / np.float32(exposure)
