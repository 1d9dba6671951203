"""CZI, the format of Zeiss microscopes: pictures and stacks, read and written as TIFF.

Blocks of a mosaic are put together, later ones over earlier ones, as Zeiss's software shows them.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from restore.errors import CorruptImage, SeveralPages, UnsupportedImage
from restore.image.codec import CheckSize
from restore.image.codecs import ImageFormat
from restore.image.czi_blocks import Block, CziParts, decoded, read_parts
from restore.image.picture import Picture, Transfer
from restore.image.samples import planes
from restore.image.stack import Stack

__all__ = ["read_czi", "read_czi_stack"]

_MOST_PLANES = 65_536
_TILE = "M"
_UUID = re.compile(r' UUID="[^"]*"')
_OME_AXES = "TZC"
_LEAST_COVERED = 8
"""Tiles cover at least one in so many pixels of their mosaic."""
_MOST_COVERED = 8
"""And on average each pixel at most so many times."""

_Place = tuple[int, ...]


def read_czi(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a file of one plane.

    Raises:
        SeveralPages: it has several.
        UnsupportedImage, CorruptImage, Exception: as ``read_czi_stack``.
    """
    stack = _Planes(read_parts(file))
    if len(stack.blocks) > 1:
        raise SeveralPages(f"has {len(stack.blocks)} planes; split it into single pictures first")
    stack.check(check_size)
    return stack.picture(file, next(iter(stack.blocks)))


def read_czi_stack(file: BinaryIO, check_size: CheckSize) -> Stack:
    """Read all planes: along scenes and other dimensions, time, Z and channels, the fastest last.

    Raises:
        UnsupportedImage: planes of several sizes or kinds, or of which some are missing.
        CorruptImage: the file is damaged or cut short.
        Exception: whatever imagecodecs raises on damaged data.
    """
    stack = _Planes(read_parts(file))
    stack.check(check_size)
    read = tuple(stack.picture(file, place) for place in stack.blocks)
    return Stack(planes=read, header=stack.description(read[0]), shape=stack.shape)


class _Planes:
    """The blocks of each plane, by its place along the dimensions."""

    def __init__(self, parts: CziParts) -> None:
        self.parts = parts
        letters = {letter for block in parts.blocks for letter in block.place} - {_TILE}
        self.axes = [*sorted(letters - set(_OME_AXES)), *(a for a in _OME_AXES if a in letters)]
        self.blocks: dict[_Place, list[Block]] = {}
        for block in parts.blocks:
            place = tuple(block.place.get(axis, 0) for axis in self.axes)
            self.blocks.setdefault(place, []).append(block)
        self.blocks = dict(sorted(self.blocks.items()))
        if len(self.blocks) > _MOST_PLANES:
            raise UnsupportedImage(f"has more than {_MOST_PLANES:,} planes")
        self.shape = tuple(len(set(along)) for along in zip(*self.blocks, strict=True))
        if math.prod(self.shape) != len(self.blocks):
            raise UnsupportedImage(
                f"has {len(self.blocks)} of {math.prod(self.shape)} planes; the others are missing"
            )
        self.kind = parts.blocks[0].kind
        self.boxes = {place: _box(blocks) for place, blocks in self.blocks.items()}
        sizes = {box[2:] for box in self.boxes.values()}
        if len(sizes) > 1 or any(block.kind != self.kind for block in parts.blocks):
            raise UnsupportedImage(
                "has planes or scenes of several sizes or kinds; save them one by one first"
            )
        ((self.width, self.height),) = sizes

    def check(self, check_size: CheckSize) -> None:
        """Refuse what is too large, or a mosaic of hardly any tiles.

        Raises:
            ImageTooLarge: it has too many pixels, or needs more memory than there is.
            UnsupportedImage: its tiles cover little.
            CorruptImage: they cover each other many times.
        """
        count = len(self.blocks)
        check_size(self.width, self.height * count, self.kind.samples)
        covered = sum(block.width * block.height for block in self.parts.blocks)
        pixels = self.width * self.height * count
        if covered * _LEAST_COVERED < pixels:
            raise UnsupportedImage("is a mosaic of which hardly any tile is there")
        if covered > _MOST_COVERED * pixels:
            raise CorruptImage("has blocks that lie over each other many times")

    def picture(self, file: BinaryIO, place: _Place) -> Picture:
        """Return the plane at one place."""
        left, top, width, height = self.boxes[place]
        dtype = np.dtype(self.kind.dtype)
        samples: NDArray[Any] = np.zeros((height, width, self.kind.samples), dtype)
        for block in sorted(self.blocks[place], key=lambda block: block.place.get(_TILE, 0)):
            y, x = block.top - top, block.left - left
            samples[y : y + block.height, x : x + block.width] = decoded(file, block)
        is_float = dtype.kind == "f"
        pixels, alpha = planes(samples, 1.0 if is_float else float(np.iinfo(dtype).max))
        return Picture(
            pixels=pixels,
            alpha=alpha,
            bit_depth=8 * dtype.itemsize,
            is_float=is_float,
            transfer=Transfer.LINEAR if is_float else Transfer.SRGB,
            format=ImageFormat.CZI,
            left_out=self.parts.left_out,
        )

    def description(self, first: Picture) -> bytes:
        """Return the OME-XML of the stack; b"" for dimensions that OME does not have."""
        own = dict(zip(self.axes, self.shape, strict=True))
        if any(count > 1 for axis, count in own.items() if axis not in _OME_AXES):
            return b""
        counts = [own.get(axis, 1) for axis in _OME_AXES]
        samples = first.channels + (first.alpha is not None)
        shape = (*counts, self.height, self.width, *([samples] if samples > 1 else []))
        ome = tifffile.OmeXml()
        ome.addimage(
            np.dtype(self.kind.dtype),
            shape,
            (math.prod(counts), 1, 1, self.height, self.width, samples),
            axes=f"{_OME_AXES}YXS"[: len(shape)],
            **{f"PhysicalSize{axis}": size for axis, size in self.parts.pixel_size_um.items()},
        )
        # The same file gives the same bytes.
        return _UUID.sub("", str(ome.tostring())).encode()


def _box(blocks: Sequence[Block]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the rectangle around blocks.

    Raises:
        CorruptImage: it is larger than numbers of pixels can be.
    """
    left, top = min(block.left for block in blocks), min(block.top for block in blocks)
    width = max(block.left + block.width for block in blocks) - left
    height = max(block.top + block.height for block in blocks) - top
    if max(width, height) > 2**31:
        raise CorruptImage("has blocks too far from each other")
    return left, top, width, height
