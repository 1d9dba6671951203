"""Which container a byte stream is, decided by its first bytes and never by its name."""

from restore.image.picture import ImageFormat

__all__ = [
    "DEFAULT_SUFFIX",
    "RAW_OUTPUT_SUFFIX",
    "SUFFIXES",
    "format_of_suffix",
    "has_raw_head",
    "sniff",
]

DEFAULT_SUFFIX = {
    ImageFormat.PNG: ".png",
    ImageFormat.TIFF: ".tif",
    ImageFormat.JPEG: ".jpg",
    ImageFormat.WEBP: ".webp",
    ImageFormat.AVIF: ".avif",
    ImageFormat.PPM: ".ppm",
    ImageFormat.EXR: ".exr",
    ImageFormat.HDR: ".hdr",
}
"""Format to the suffix that a converted output gets; its keys are the formats that are written."""

RAW_OUTPUT_SUFFIX = {
    **{f: DEFAULT_SUFFIX[f] for f in (ImageFormat.PNG, ImageFormat.TIFF, ImageFormat.JPEG)},
    ImageFormat.EXR: DEFAULT_SUFFIX[ImageFormat.EXR],
    ImageFormat.DNG: ".dng",
}
"""What is written of camera RAW files: format to suffix."""

SUFFIXES = {
    ".png": ImageFormat.PNG,
    ".tif": ImageFormat.TIFF,
    ".tiff": ImageFormat.TIFF,
    ".jpg": ImageFormat.JPEG,
    ".jpeg": ImageFormat.JPEG,
    ".jpe": ImageFormat.JPEG,
    ".webp": ImageFormat.WEBP,
    ".avif": ImageFormat.AVIF,
    ".bmp": ImageFormat.BMP,
    ".dib": ImageFormat.BMP,
    ".ppm": ImageFormat.PPM,
    ".pgm": ImageFormat.PPM,
    ".pnm": ImageFormat.PPM,
    ".exr": ImageFormat.EXR,
    ".hdr": ImageFormat.HDR,
    ".pic": ImageFormat.HDR,
}
"""Suffixes by which finished pictures are found in folders and outputs are given a format."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"II*\x00", ImageFormat.TIFF),
    (b"MM\x00*", ImageFormat.TIFF),
    (b"II+\x00", ImageFormat.TIFF),
    (b"MM\x00+", ImageFormat.TIFF),
    (b"BM", ImageFormat.BMP),
    (b"\x76\x2f\x31\x01", ImageFormat.EXR),
    (b"#?RADIANCE", ImageFormat.HDR),
    (b"#?RGBE", ImageFormat.HDR),
)
_RAW_MAGIC = (
    *(b"\x00MRM", b"FUJIFILMCCD-RAW", b"FOVb", b"II\x1a\x00\x00\x00HEAPCCDR"),
    *(b"IIRO", b"IIRS", b"MMOR", b"IIU\x00"),
)
_AVIF_BRANDS = (b"avif", b"avis")


def sniff(head: bytes) -> ImageFormat | None:
    """Return the format that ``head`` (at least the first 64 bytes of a file) begins, or None."""
    for magic, image_format in _MAGIC:
        if head.startswith(magic):
            return image_format
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if head[4:8] == b"ftyp":
        box = head[8 : min(len(head), int.from_bytes(head[:4], "big"))]
        if any(box[i : i + 4] in _AVIF_BRANDS for i in range(0, len(box), 4)):
            return ImageFormat.AVIF
    if head[:1] == b"P" and head[1:2] in (b"2", b"3", b"5", b"6") and head[2:3].isspace():
        return ImageFormat.PPM
    return None


def has_raw_head(head: bytes) -> bool:
    """Return whether ``head`` begins a container of camera RAW files, and of nothing else.

    Most RAW files are TIFF, which their head does not tell from pictures.
    """
    return head.startswith(_RAW_MAGIC) or head[4:12] == b"ftypcrx "


def format_of_suffix(suffix: str) -> ImageFormat | None:
    """Return the format that a file-name suffix such as ``.JPG`` stands for, or None."""
    return {**SUFFIXES, ".dng": ImageFormat.DNG}.get(suffix.lower())
