"""LinearRaw DNG, demosaicked by whatever wrote it, as a finished picture in linear light."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from restore.errors import CorruptImage, InputError
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.colour import SRGB_TO_XYZ
from restore.image.develop import DAYLIGHT_BALANCE, GUESSED_COLOURS, camera_to_srgb, gains_of
from restore.image.dng import write_linear_dng
from restore.image.dng_reader import read_dng
from restore.image.encode import check_depth
from restore.image.lost_metadata import note_reading
from restore.image.picture import Picture, Transfer
from restore.image.raw import ask_libraw, raw_of
from restore.image.raw_picture import GREEN, REFERENCE_CFA, RawPicture
from restore.image.square_pixels import squared, stretch_remark

__all__ = ["encoded_linear_dng", "is_linear_dng", "read_linear_dng"]

_SECONDS = 60.0
_BT2020_TO_XYZ = np.array(
    [
        [0.6369580, 0.1446169, 0.1688810],
        [0.2627002, 0.6779981, 0.0593017],
        [0.0000000, 0.0280727, 1.0609851],
    ]
)
"""ITU-R BT.2020, from linear RGB to XYZ under D65."""


def is_linear_dng(path: Path) -> bool:
    """Return whether a file is a DNG that holds linear RGB instead of a mosaic.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            dng = read_dng(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return dng is not None and dng.is_linear


def read_linear_dng(
    path: Path,
    *,
    max_pixels: int | None = None,
    seconds: float = _SECONDS,
    name: str | None = None,
) -> Picture:
    """Read a LinearRaw DNG as linear light in sRGB's primaries, with its metadata.

    White balance as shot, the file's colour matrix, its default crop and BaselineExposure are
    applied, which may bring light above 1, and pixels are made square; its opcodes are not applied,
    and stand in ``left_out``. LibRaw decodes it in a child process, floats to 14 bits.

    Args:
        path: Path of the file.
        max_pixels: As for ``read_raw``.
        seconds: Time limit in seconds.
        name: Name of the file in error messages; None for its path.

    Raises:
        UnsupportedImage: not a RAW file, or one with a mosaic.
        CorruptImage: the file is damaged or truncated, or the child crashed or timed out.
        ImageTooLarge: as for ``read_raw``.
        InputError: the file cannot be opened. Each message begins with its name.
    """
    label = name or str(path)
    header, data = ask_libraw(path, max_pixels, seconds, label, look="linear")
    samples = np.frombuffer(data, dtype=np.uint16).reshape(header["shape"])
    header["shape"], header["cfa"] = header["shape"][:2], [[GREEN]]
    try:
        # Green stands for a mosaic: everything else is said in the same way.
        raw = raw_of(path, header, samples[..., GREEN])
    except InputError as error:
        raise type(error)(f"{label}: {error}") from error
    rows, columns = raw.shown
    white = np.float32(raw.white_level)
    light = np.empty((3, *samples[rows, columns].shape[:2]), dtype=np.float32)
    for channel, gain in enumerate(gains_of(raw.white_balance)):
        black = np.float32(raw.black_level[channel])
        scaled = (samples[rows, columns, channel] - black) * (gain / (white - black))
        # What saturates in one colour is white in all: light above is told by BaselineExposure.
        light[channel] = scaled.clip(None, 1)
    light = np.einsum("ij,jhw->ihw", camera_to_srgb(raw), light)
    light *= np.float32(2.0**raw.baseline_exposure)
    light = squared(light, raw.pixel_aspect)
    if not np.isfinite(light).all():
        raise CorruptImage(f"{label}: is damaged: it has levels that no camera has")
    return Picture(
        pixels=light,
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
        format=ImageFormat.DNG_LINEAR,
        exif=raw.exif,
        xmp=raw.xmp,
        orientation=raw.orientation,
        left_out=[f"its {opcode} correction, which is not applied" for opcode in raw.unapplied],
        remarks=list(_remarks(raw)),
    )


def _remarks(raw: RawPicture) -> Iterator[str]:
    if raw.xyz_to_camera is None:
        yield GUESSED_COLOURS
    if not raw.has_white_balance:
        yield DAYLIGHT_BALANCE
    if raw.pixel_aspect != 1:
        yield stretch_remark(raw.pixel_aspect)


def encoded_linear_dng(picture: Picture, options: WriteOptions) -> bytes:
    """Return a picture that was read by ``read_linear_dng`` as the bytes of a LinearRaw DNG.

    The colours of the camera are those of BT.2020, which holds nearly all that lies outside sRGB's,
    with a matrix that says so, and white balance is applied.

    Raises:
        UsageError: another depth than 16 bits.
    """
    check_depth(ImageFormat.DNG_LINEAR, options.bit_depth)
    note_reading(picture)
    from_srgb = (np.linalg.inv(_BT2020_TO_XYZ) @ SRGB_TO_XYZ).astype(np.float32)
    raw = RawPicture(
        mosaic=np.zeros((picture.height, picture.width), np.uint16),
        cfa=REFERENCE_CFA[2],
        black_level=(0, 0, 0, 0),
        white_level=65535,
        xyz_to_camera=np.linalg.inv(_BT2020_TO_XYZ).astype(np.float32),
        orientation=picture.orientation,
        exif=None if options.strip_metadata else picture.exif,
        xmp=None if options.strip_metadata else picture.xmp,
    )
    return write_linear_dng(np.einsum("ij,jhw->ihw", from_srgb, picture.pixels), raw)
