"""What the directories of a TIFF say of a photograph, as one EXIF block."""

from typing import BinaryIO

from PIL import Image

from restore.image.metadata import (
    DESCRIPTIVE_TAGS,
    EXIF_ERRORS,
    EXIF_IFD,
    GPS_IFD,
    bare_exif,
    movable_entries,
    quiet_pillow,
)

__all__ = ["exif_of_tiff"]

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296


def exif_of_tiff(file: BinaryIO) -> bytes | None:
    """Return the descriptive part of a TIFF, or of a RAW file built like one, or None."""
    file.seek(0)
    with quiet_pillow():
        try:
            stored = Image.Exif()
            stored.load_from_fp(file)
            block = Image.Exif()
            for tag, value in movable_entries(stored).items():
                if tag in DESCRIPTIVE_TAGS:
                    block[tag] = value
            for pointer in (EXIF_IFD, GPS_IFD):
                directory = movable_entries(stored.get_ifd(pointer))
                if directory:
                    block.get_ifd(pointer).update(directory)
            if block.get(_X_RESOLUTION) == block.get(_Y_RESOLUTION) == 1:
                for tag in (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT):
                    block.pop(tag, None)  # what writers put who know of no resolution
            return bare_exif(block.tobytes()) if len(block) else None
        except EXIF_ERRORS:
            return None
