"""OpenEXR: scene-linear half and float pictures."""

import io
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
import OpenEXR

from restore.errors import UnsupportedImage
from restore.image.exr_header import ExrHeader, read_exr_header
from restore.image.picture import ImageFormat, Picture, Transfer
from restore.image.samples import as_half

__all__ = ["read_exr", "write_exr"]

_HALF, _FLOAT = 1, 2


def read_exr(file: BinaryIO, check_size: Callable[[int, int], None]) -> Picture:
    """Read gray (Y) or RGB with or without alpha; other channels are refused, not dropped.

    Raises:
        UnsupportedImage: several parts, deep data, sub-sampled or other channels.
        CorruptImage: a damaged header, or a file that is cut short.
        Exception: whatever the library raises on damaged data.
    """
    header = read_exr_header(file)
    check_size(header.width, header.height)
    colours = _colours(header)
    file.seek(0)
    with OpenEXR.File(file, separate_channels=True) as opened:
        stored = {name: channel.pixels for name, channel in opened.channels().items()}
    pixels = np.empty((len(colours), header.height, header.width), dtype=np.float32)
    for plane, name in zip(pixels, colours, strict=True):
        plane[...] = stored.pop(name)
    alpha = stored["A"].astype(np.float32, copy=False) if "A" in stored else None
    is_half = all(channel.kind == _HALF for channel in header.channels.values())
    return Picture(
        pixels=pixels,
        alpha=alpha,
        alpha_is_premultiplied=alpha is not None,
        bit_depth=16 if is_half else 32,
        is_float=True,
        transfer=Transfer.LINEAR,
        format=ImageFormat.EXR,
        primaries=_primaries(header),
        display_window=_display_window(header),
    )


def _colours(header: ExrHeader) -> list[str]:
    names = header.channels.keys()
    colours = ["R", "G", "B"] if {"R", "G", "B"} <= names else ["Y"]
    if set(names) - {"A"} != set(colours):
        raise UnsupportedImage(
            f"has the channels {', '.join(sorted(names))}; RGB, RGBA, Y and YA are read"
        )
    for channel in header.channels.values():
        if channel.kind not in (_HALF, _FLOAT):
            raise UnsupportedImage("has integer channels; half and float are read")
        if (channel.x_sampling, channel.y_sampling) != (1, 1):
            raise UnsupportedImage("has sub-sampled channels; convert it to plain RGB first")
    return colours


def _primaries(header: ExrHeader) -> str:
    """Return the chromaticities as eight numbers (red, green, blue, white; x and y), or ""."""
    values = header.chromaticities
    return " ".join(str(value) for value in values) if any(values) else ""


def _display_window(header: ExrHeader) -> tuple[int, int, int, int] | None:
    """Return the display window relative to the first pixel, or None where both are one."""
    if header.display_window == header.data_window:
        return None
    x, y = header.data_window[:2]
    left, top, right, bottom = header.display_window
    return left - x, top - y, right - x, bottom - y


def write_exr(
    picture: Picture, bit_depth: int, *, attributes: Mapping[str, str | float] | None = None
) -> bytes:
    """Encode linear ``picture`` as half (16) or float (32) with lossless ZIP compression.

    Args:
        picture: linear light.
        bit_depth: 16 or 32.
        attributes: more entries for the header, by name.
    """
    names = ["Y"] if picture.channels == 1 else ["R", "G", "B"]
    channels = dict(zip(names, picture.pixels, strict=True))
    if picture.alpha is not None:
        channels["A"] = picture.alpha
    stored = {
        name: np.ascontiguousarray(as_half(plane) if bit_depth == 16 else plane)
        for name, plane in channels.items()
    }
    header: dict[str, Any] = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
    }
    header |= attributes or {}
    if picture.primaries:
        header["chromaticities"] = tuple(float(value) for value in picture.primaries.split())
    if picture.display_window:
        left, top, right, bottom = picture.display_window
        header["dataWindow"] = _box(-left, -top, picture.width - 1 - left, picture.height - 1 - top)
        header["displayWindow"] = _box(0, 0, right - left, bottom - top)
    buffer = io.BytesIO()
    with OpenEXR.File(header, stored) as file:
        file.write(buffer)
    return buffer.getvalue()


def _box(left: int, top: int, right: int, bottom: int) -> tuple[Any, Any]:
    return np.array([left, top], np.int32), np.array([right, bottom], np.int32)
