"""What a file says of how its picture was taken, without decoding the picture."""

from typing import BinaryIO

from PIL.PngImagePlugin import PngImageFile

from restore.image.decode import HEAD_BYTES
from restore.image.formats import sniff
from restore.image.metadata import EXIF_ERRORS, bare_exif, quiet_pillow
from restore.image.picture import ImageFormat
from restore.image.pillow import READERS
from restore.image.tiff_exif import exif_of_tiff

__all__ = ["exif_of"]

# Pillow is not trusted with the pixels of PNG, but with what stands before them.
_HEADER_READERS = {**READERS, ImageFormat.PNG: PngImageFile}


def exif_of(file: BinaryIO) -> bytes | None:
    """Return the EXIF block of a picture, or None where there is none or it cannot be found.

    Args:
        file: at its beginning; only of WebP memory of the size of the picture is taken.

    Raises:
        OSError: it cannot be read.
    """
    image_format = sniff(file.read(HEAD_BYTES))
    file.seek(0)
    if image_format is ImageFormat.TIFF:
        return exif_of_tiff(file)
    reader = _HEADER_READERS.get(image_format) if image_format else None
    if reader is None:
        return None
    with quiet_pillow():
        try:
            with reader(file) as image:
                return bare_exif(image.info.get("exif"))
        except OSError as error:
            if error.errno is not None:
                raise
            return None
        except EXIF_ERRORS:
            return None
