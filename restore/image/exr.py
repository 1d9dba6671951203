"""OpenEXR: scene-linear half and float pictures."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from restore.errors import UnsupportedImage
from restore.image.picture import ImageFormat, Picture, Transfer

__all__ = ["read_exr", "write_exr"]


def read_exr(source: Path | bytes, check_size: Callable[[int, int], None]) -> Picture:
    """Read gray (Y) or RGB with or without alpha; other channels are refused, not dropped.

    Raises:
        UnsupportedImage: several parts, deep data, sub-sampled or other channels.
        Exception: whatever the library raises on damaged data.
    """
    if isinstance(source, bytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input.exr"
            path.write_bytes(source)
            return read_exr(path, check_size)
    with OpenEXR.File(str(source), header_only=True) as file:
        if len(file.parts) != 1:
            raise UnsupportedImage(f"has {len(file.parts)} parts; split it first")
        header = dict(file.header())
    low, high = header["dataWindow"]
    check_size(int(high[0]) - int(low[0]) + 1, int(high[1]) - int(low[1]) + 1)
    names = {channel.name for channel in header["channels"]}
    colours = ["R", "G", "B"] if {"R", "G", "B"} <= names else ["Y"]
    strange = sorted(names - {*colours, "A"})
    if strange or not names.issuperset(colours) or "deep" in str(header.get("type", "")):
        raise UnsupportedImage(
            f"has the channels {', '.join(sorted(names))}; RGB, RGBA, Y and YA are read"
        )
    with OpenEXR.File(str(source), separate_channels=True) as file:
        stored = {name: channel.pixels for name, channel in file.channels().items()}
    if any(values.dtype.kind != "f" for values in stored.values()):
        raise UnsupportedImage("has integer channels; half and float are read")
    pixels = np.stack([stored[name] for name in colours]).astype(np.float32, copy=False)
    alpha = stored["A"].astype(np.float32, copy=False) if "A" in stored else None
    return Picture(
        pixels=pixels,
        alpha=alpha,
        alpha_is_premultiplied=alpha is not None,
        bit_depth=16 if all(values.dtype == np.float16 for values in stored.values()) else 32,
        is_float=True,
        transfer=Transfer.LINEAR,
        format=ImageFormat.EXR,
        primaries=_primaries(header),
    )


def _primaries(header: dict[str, Any]) -> str:
    """Return the chromaticities as eight numbers (red, green, blue, white; x and y), or ""."""
    values = header.get("chromaticities")
    return " ".join(str(float(value)) for value in values) if values is not None else ""


def write_exr(picture: Picture, bit_depth: int) -> bytes:
    """Encode linear ``picture`` as half (16) or float (32) with lossless ZIP compression."""
    dtype = np.float16 if bit_depth == 16 else np.float32
    names = ["Y"] if picture.channels == 1 else ["R", "G", "B"]
    channels = {
        name: np.ascontiguousarray(plane, dtype=dtype)
        for name, plane in zip(names, picture.pixels, strict=True)
    }
    if picture.alpha is not None:
        channels["A"] = np.ascontiguousarray(picture.alpha, dtype=dtype)
    header: dict[str, Any] = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
    }
    if picture.primaries:
        header["chromaticities"] = tuple(float(value) for value in picture.primaries.split())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "output.exr"
        with OpenEXR.File(header, channels) as file:
            file.write(str(path))
        return path.read_bytes()
