"""Camera RAW files as inputs, developed to photographs."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from restore.engine.pictures import Restored
from restore.errors import InputError
from restore.image.picture import ImageFormat
from restore.image.raw import read_raw
from restore.image.raw_picture import RawPicture

__all__ = ["Photograph", "RawFiles"]


class Photograph(Restored, Protocol):
    """What a task makes of a RAW file."""

    @property
    def before(self) -> NDArray[np.uint8]:
        """What was measured, as a picture ``[H, W, C]`` to compare with."""

    def encoded(
        self,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""


class RawFiles:
    """RAW files, to be made photographs."""

    def read(self, source: Path | bytes, *, max_pixels: int) -> RawPicture:
        """Read a file, or a file's bytes."""
        if isinstance(source, Path):
            return read_raw(source, max_pixels=max_pixels)
        # LibRaw's child process reads files only.
        try:
            with TemporaryDirectory(prefix="imrestore-") as folder:
                path = Path(folder) / "standard-input"
                path.write_bytes(source)
                return read_raw(path, max_pixels=max_pixels, name="standard input")
        except OSError as error:
            raise InputError(f"standard input: cannot be kept on disk: {error.strerror}") from error

    def before(self, _source: RawPicture, restored: Photograph) -> NDArray[np.uint8]:
        """Return what was measured."""
        return restored.before

    def encode(
        self,
        restored: Photograph,
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
