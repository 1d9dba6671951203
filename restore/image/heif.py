"""HEIC and HEIF of 8, 10 and 12 bits, by pillow-heif (libheif, with libde265 and x265)."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import OutputError
from restore.image.cicp import SRGB, Cicp
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import CODECS, ImageFormat
from restore.image.heif_items import described, items_of, properties_of
from restore.image.isobmff import read_items, with_items
from restore.image.limits import too_long
from restore.image.picture import Picture
from restore.image.samples import planes, quantised
from restore.image.stated import with_stated_primaries

__all__ = ["read_heif", "write_heif"]

_LONGEST_SIDE = 16384
_UNSPECIFIED = 2
_BT601, _BT2020 = 6, 9


def read_heif(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read the primary picture of a file; it comes upright.

    Raises:
        CorruptImage: damaged boxes.
        Exception: whatever libheif raises on damaged data.
    """
    import pillow_heif

    data = file.read()
    items = read_items(data)
    opened = pillow_heif.open_heif(
        io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False, decode_threads=1
    )
    primary = opened[opened.primary_index]
    info: dict[str, Any] = primary.info
    check_size(*primary.size, len(primary.mode.partition(";")[0]))
    depth = int(info["bit_depth"])
    samples: NDArray[Any] = np.asarray(primary)
    pixels, alpha = planes(samples, 2**depth - 1)
    picture = Picture(
        pixels=pixels,
        alpha=alpha,
        alpha_is_premultiplied=bool(getattr(primary, "premultiplied_alpha", False)),
        bit_depth=depth,
        format=ImageFormat.HEIC,
        left_out=_left_out(len(opened), info),
    )
    picture = described(picture, items)
    # The tiles of a grid may state what the grid does not.
    return picture if items.property(b"colr") else _coloured(picture, info)


def _coloured(picture: Picture, info: dict[str, Any]) -> Picture:
    nclx = info.get("nclx_profile")
    cicp = nclx and Cicp(
        primaries=nclx["color_primaries"],
        transfer=nclx["transfer_characteristics"],
        matrix=nclx["matrix_coefficients"],
        is_full_range=bool(nclx["full_range_flag"]),
    )
    picture = replace(picture, icc=info.get("icc_profile") or None, cicp=cicp)
    return with_stated_primaries(picture)


def _left_out(pictures: int, info: dict[str, Any]) -> Sequence[str]:
    """Say what else is in a file."""
    parts = []
    if pictures > 1:
        more = "1 more picture" if pictures == 2 else f"{pictures - 1} more pictures"
        parts.append(f"{more} of the file")
    if any("gainmap" in kind for kind in info.get("aux") or ()):
        parts.append("its HDR gain map")
    if info.get("depth_images"):
        parts.append("its depth map")
    return parts


def write_heif(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture`` as HEVC in full range and without chroma subsampling.

    Raises:
        OutputError: the picture is too large, or this pillow-heif has no encoder.
    """
    import pillow_heif

    if not pillow_heif.libheif_info()["encoders"].get("x265"):
        raise OutputError(
            f"HEIC cannot be written by this pillow-heif; use {argument('image_format', 'jpeg')}"
        )
    if max(picture.width, picture.height) > _LONGEST_SIDE:
        raise too_long("HEIC", _LONGEST_SIDE)
    quality, depth = encoding.quality, encoding.bit_depth
    parts = [*picture.pixels] if picture.alpha is None else [*picture.pixels, picture.alpha]
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(parts)]
    if depth > 8:
        # libheif takes the high bits of 16.
        shift = 16 - depth
        samples = np.stack([quantised(part, 2**depth - 1) << shift for part in parts], axis=-1)
        mode += ";16"
    else:
        samples = np.stack([quantised(part, 255) for part in parts], axis=-1)
    # A profile states colours by itself; code points beside it, such as PQ's, stay.
    unstated = Cicp(_UNSPECIFIED, _UNSPECIFIED, _BT601) if picture.icc else SRGB
    colour = picture.cicp or unstated
    encoded = io.BytesIO()
    pillow_heif.encode(
        mode,
        (picture.width, picture.height),
        samples.tobytes(),
        encoded,
        quality=CODECS[ImageFormat.HEIC].default_quality if quality is None else quality,
        chroma=444,
        bit_depth=depth,
        tile_size=0,
        color_primaries=colour.primaries,
        transfer_characteristics=colour.transfer,
        matrix_coefficients=_BT2020 if colour.primaries == _BT2020 else _BT601,
        full_range_flag=1,
    )
    return with_items(encoded.getvalue(), properties_of(picture), items_of(picture))
