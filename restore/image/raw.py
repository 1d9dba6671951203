"""Camera RAW files, read through LibRaw in a child process: mosaics, colours and EXIF."""

from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from restore.errors import CorruptImage, InputError, UnsupportedImage
from restore.image.codecs import HEAD_BYTES, has_raw_head, sniff
from restore.image.colour import SRGB_TO_XYZ
from restore.image.limits import decoding
from restore.image.metadata import EXIF_IFD, ORIENTATION, bare_exif
from restore.image.raw_picture import RawPicture
from restore.image.raw_process import ask
from restore.image.saturation import mosaic_saturation
from restore.image.tiff_exif import exif_of_tiff

__all__ = ["RAW_SUFFIXES", "Look", "as_raw", "develop_raw", "is_raw", "read_raw"]

Look = Literal["libraw", "srgb", "camera"]

RAW_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef"),
        *("mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw"),
        "x3f",
    )
)
"""Suffixes by which RAW files are found in folders; the content decides whether a file is RAW."""

# Signatures that RAW files share with other files.
_SHARED_MAGIC = (b"II*\x00", b"MM\x00*", b"IIII", b"MMMM")
_SINGULAR = 1e-9

_SECONDS = 60.0
_SAMPLES = 3
_DATE_TIME = 306
_EXPOSURE_TIME, _F_NUMBER, _ISO, _DATE_TIME_ORIGINAL = 33434, 33437, 34855, 36867
_FOCAL_LENGTH, _LENS_MODEL = 37386, 42036
_MOST_ISO = 65535


def is_raw(path: Path) -> bool:
    """Return whether a file has the suffix of a camera RAW file."""
    return path.suffix.lower() in RAW_SUFFIXES


def as_raw(source: RawPicture | str | PathLike[str]) -> RawPicture:
    """Return ``source``, or the RAW picture read from the file that it names.

    Raises:
        UnsupportedImage: neither a RawPicture nor a path, or not a RAW file.
        InputError: as ``read_raw``.
    """
    return source if isinstance(source, RawPicture) else read_raw(source)


def read_raw(
    path: str | PathLike[str],
    *,
    max_pixels: int | None = None,
    seconds: float = _SECONDS,
    name: str | None = None,
) -> RawPicture:
    """Read a RAW file of any camera that LibRaw knows.

    The file is parsed in a child process with limits for memory and processor time that follow
    from the size that the file states, and with a time limit; a child that dies or hangs is
    replaced by another for the next file.

    Args:
        path: Path of the file.
        max_pixels: Number of pixels above which a file is refused before memory is allocated;
            None for 500 million, and no more than memory holds.
        seconds: Time limit in seconds.
        name: Name of the file in error messages; None for its path.

    Raises:
        UnsupportedImage: not a RAW file, or one without a Bayer or X-Trans mosaic.
        CorruptImage: the file is damaged or truncated, or the child crashed or timed out.
        ImageTooLarge: the sensor has more than ``max_pixels``, or more than memory holds.
        InputError: the file cannot be opened. Each message begins with its name.

    >>> import restore
    >>> try:
    ...     restore.read_raw("samples/city.png")
    ... except restore.RestoreError as error:
    ...     print(error)
    samples/city.png: is not a camera RAW file; for finished pictures there is `imrestore denoise`
    """
    if not isinstance(path, str | PathLike):
        raise UnsupportedImage(f"{path!r:.80}: give a RawPicture or the path of a RAW file")
    path = Path(path)
    header, samples = _asked(path, max_pixels, seconds, name or str(path), look=None)
    try:
        return _picture(path, header, samples)
    except InputError as error:
        raise type(error)(f"{name or path}: {error}") from error


def develop_raw(
    path: Path,
    look: Look,
    *,
    seconds: float = _SECONDS,
) -> NDArray[np.uint16]:
    """Return LibRaw's own development of a RAW file, with the camera's white balance.

    Brightness is not adjusted, and the picture is not rotated.

    Args:
        path: the file.
        look: libraw for sRGB with LibRaw's own curve (BT.709), the reference of Learning to See in
            the Dark; srgb for sRGB's curve; camera for linear camera RGB.
        seconds: time limit.

    Returns:
        uint16 ``[3, H, W]``.

    Raises:
        InputError: as ``read_raw``.
    """
    header, samples = _asked(path, None, seconds, str(path), look=look)
    return np.frombuffer(samples, dtype=np.uint16).reshape(header["shape"])


def _asked(
    path: Path, max_pixels: int | None, seconds: float, name: str, *, look: Look | None
) -> tuple[dict[str, Any], bytes]:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if not _may_be_raw(head):
                raise UnsupportedImage(f"is not a camera RAW file{_advice(head)}")
        file_name = str(path.resolve())
        # While it waits for memory it must not keep a child from others.
        sizes, _ = ask({"path": file_name, "only": "size"}, seconds=seconds)
        with decoding(max_pixels) as check_size:
            check_size(sizes["width"], sizes["height"], _SAMPLES)
            most = sizes["width"] * sizes["height"]
            request = {"path": file_name, "max_pixels": most, "look": look}
            return ask(request, seconds=seconds)
    except InputError as error:
        raise type(error)(f"{name}: {error}") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from error


def _may_be_raw(head: bytes) -> bool:
    # LibRaw takes any file of certain sizes for a headerless RAW file: require a known signature.
    return has_raw_head(head) or head.startswith(_SHARED_MAGIC)


def _advice(head: bytes) -> str:
    """Return what to do with a file that is no RAW file, if that is known."""
    return "; for finished pictures there is `imrestore denoise`" if sniff(head) else ""


def _picture(path: Path, header: dict[str, Any], samples: bytes) -> RawPicture:
    try:
        mosaic = np.frombuffer(samples, dtype=np.uint16).reshape(header["shape"])
        cfa = np.array(header["cfa"], dtype=np.uint8)
        black_level = tuple((header["black_level"] * 4)[:4])
        return RawPicture(
            mosaic=mosaic,
            cfa=cfa,
            black_level=black_level,
            white_level=header["white_level"],
            saturation=mosaic_saturation(mosaic, cfa, black_level, header["white_level"]),
            white_balance=_balance(header),
            has_white_balance=min(header["white_balance"][:3]) > 0,
            xyz_to_camera=_xyz_to_camera(header),
            orientation=header["orientation"],
            exposure_time_s=header["exposure_time_s"] or None,
            iso=header["iso"] or None,
            aperture=header["aperture"] or None,
            exif=_exif(path, header),
        )
    except ValueError as error:
        raise CorruptImage(f"is damaged: {error}") from error


def _xyz_to_camera(header: dict[str, Any]) -> NDArray[np.float32] | None:
    """Return LibRaw's matrix for the camera, else the one in the file (DNG), else None."""
    own = np.array(header["xyz_to_camera"])
    if own.any():
        return _finite(own)
    to_srgb, daylight = np.array(header["camera_to_srgb"]), np.array(header["daylight_balance"][:3])
    if daylight.min() <= 0 or abs(np.linalg.det(to_srgb)) < _SINGULAR:
        return None
    # LibRaw scales the rows so that daylight's white is white; its factors undo that.
    return _finite(np.linalg.inv(to_srgb) @ np.linalg.inv(SRGB_TO_XYZ) / daylight[:, None])


def _finite(matrix: NDArray[np.float64]) -> NDArray[np.float32] | None:
    return matrix.astype(np.float32) if np.isfinite(matrix).all() else None


def _balance(header: dict[str, Any]) -> tuple[float, float, float]:
    """Return the camera's white balance, else that of daylight, else none; green 1."""
    for name in ("white_balance", "daylight_balance"):
        red, green, blue = header[name][:3]
        if min(red, green, blue) > 0:
            return red / green, 1.0, blue / green
    return 1.0, 1.0, 1.0


def _exif(path: Path, header: dict[str, Any]) -> bytes | None:
    """Return the EXIF block of a TIFF-based file, else one built from what LibRaw found."""
    with path.open("rb") as file:
        own = exif_of_tiff(file)
    return own or _exif_of_header(header)


def _exif_of_header(header: dict[str, Any]) -> bytes | None:
    block = Image.Exif()
    details = block.get_ifd(EXIF_IFD)
    if header["exposure_time_s"] > 0:
        details[_EXPOSURE_TIME] = _rational(header["exposure_time_s"])
    if header["aperture"] > 0:
        details[_F_NUMBER] = _rational(header["aperture"])
    if header["focal_length_mm"] > 0:
        details[_FOCAL_LENGTH] = _rational(header["focal_length_mm"])
    if 0 < header["iso"] <= _MOST_ISO:
        details[_ISO] = round(header["iso"])
    if header["lens"].isascii() and header["lens"]:
        details[_LENS_MODEL] = header["lens"]
    if header["taken"]:
        block[_DATE_TIME] = details[_DATE_TIME_ORIGINAL] = header["taken"].replace("-", ":")
    if not details:
        return None
    block[ORIENTATION] = header["orientation"]
    return bare_exif(block.tobytes())


def _rational(value: float) -> IFDRational:
    """Return a fraction with a short denominator, as cameras write 1/60 and 28/10."""
    return IFDRational(Fraction(value).limit_denominator(10_000))
