from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from restore.image.codecs import ImageFormat
from restore.image.picture import Picture, Transfer

MakePicture = Callable[..., Picture]

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rating>5</rating></x:xmpmeta>'


@pytest.fixture(scope="session")
def icc() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="session")
def exif() -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "Maker", "Model 1", 6
    details = block.get_ifd(0x8769)
    details[0x8827], details[0x829A], details[0x927C] = 6400, (1, 50), b"\x01\x02maker note"
    gps = block.get_ifd(0x8825)
    gps[1], gps[2] = "N", (46.0, 30.0, 12.5)
    return block.tobytes().removeprefix(b"Exif\x00\x00")


@pytest.fixture(scope="session")
def make_picture(icc: bytes, exif: bytes) -> MakePicture:
    """Make a random picture whose samples are exact codes of its depth, with every block."""

    def make(
        channels: int = 3,
        *,
        alpha: bool = False,
        bit_depth: int = 8,
        is_float: bool = False,
        bare: bool = False,
        size: tuple[int, int] = (9, 14),
        image_format: ImageFormat | None = None,
    ) -> Picture:
        rng = np.random.default_rng(bit_depth + channels)

        def samples(shape: tuple[int, ...]) -> np.ndarray:
            if is_float:
                values = (rng.standard_normal(shape) * 3).astype(np.float32)
                return values.astype(np.float16).astype(np.float32) if bit_depth == 16 else values
            peak = 2**bit_depth - 1
            return (rng.integers(0, peak + 1, shape) / np.float32(peak)).astype(np.float32)

        blocks = {} if bare else {"exif": exif, "xmp": XMP, "orientation": 6}
        if not bare and not is_float:  # whose curve light does not have
            blocks["icc"] = icc
        return Picture(
            pixels=samples((channels, *size)),
            alpha=samples(size) if alpha else None,
            bit_depth=bit_depth,
            is_float=is_float,
            transfer=Transfer.LINEAR if is_float else Transfer.SRGB,
            format=image_format,
            **blocks,
        )

    return make
