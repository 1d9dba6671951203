"""Pictures as inputs, of which files of light are written."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from restore.engine.pictures import Restored
from restore.image.compare import viewable
from restore.image.decode import decode
from restore.image.picture import ImageFormat, Picture

__all__ = ["Light", "LightFiles"]


class Light(Restored, Protocol):
    """What a task makes of a picture: linear light, and files beside it."""

    def encoded(
        self,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""

    def beside(self, kind: str) -> bytes:
        """Return the bytes of a file that stands beside it."""


class LightFiles:
    """Finished pictures, of which light is made."""

    def read(self, source: Path | bytes, *, max_pixels: int) -> Picture:
        """Decode a file, or a file's bytes."""
        return decode(source, max_pixels=max_pixels)

    def before(self, source: Picture, _restored: Light) -> NDArray[np.uint8]:
        """Return the picture as it came."""
        return viewable(source)

    def encode(
        self,
        restored: Light,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""
        return restored.encoded(
            image_format, bit_depth=bit_depth, quality=quality, strip_metadata=strip_metadata
        )
