"""Camera RAW files, read through LibRaw in a child process: mosaics, colours and EXIF."""

from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import CorruptImage, InputError, UnsupportedImage
from restore.image.codecs import CODECS, HEAD_BYTES, sniff
from restore.image.damage import checked_damage, keeps_damaged
from restore.image.dng_black import black_levels, without_offsets
from restore.image.dng_reader import JPEG_XL, LOSSY, Dng, read_dng
from restore.image.limits import decoding
from restore.image.raw_ends import bytes_missing
from restore.image.raw_metadata import read_raw_metadata
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture, phase_of
from restore.image.raw_process import ask
from restore.image.raw_stated import stated_by
from restore.image.saturation import mosaic_saturation
from restore.image.signatures import has_raw_head

__all__ = [
    "RAW_SUFFIXES",
    "Look",
    "as_raw",
    "ask_libraw",
    "develop_raw",
    "is_raw",
    "raw_exif",
    "raw_of",
    "read_raw",
]

Look = Literal["libraw", "srgb", "photo", "camera", "unclipped"]

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
_UNDECODED = "which LibRaw does not decode; convert it to a lossless DNG first"
_LINEAR = "holds no mosaic but linear RGB; `imrestore denoise` takes such files"
_NO_MOSAIC = "holds no mosaic: it is of a Foveon sensor, or of reduced size (sRAW)"
_ADVICE = "; for finished pictures there is `imrestore denoise`"
_UNKNOWN = "is no RAW file of a known camera"
_OTHER_FILTER = "has a colour filter that is not Bayer or X-Trans of red, green and blue"
_FOVEON_MAGIC = b"FOVb"
_FOVEON = "is from a Foveon sensor (X3F), which has no mosaic; convert it with the maker's software"
_SECONDS = 60.0
_SAMPLES = 3


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
    header, samples = ask_libraw(path, max_pixels, seconds, name or str(path), look=None)
    try:
        mosaic = np.frombuffer(samples, dtype=np.uint16).reshape(header["shape"])
        return raw_of(path, header, mosaic)
    except InputError as error:
        raise type(error)(f"{name or path}: {error}") from error


def raw_exif(path: Path) -> bytes | None:
    """Return the EXIF block of a RAW file, of which nothing is decoded; None if it has none.

    Unlike that of ``read_raw`` it lacks what only LibRaw finds elsewhere in a file.

    Raises:
        InputError: no RAW file, or one that is cut short or cannot be opened.
    """
    try:
        with path.open("rb") as file:
            checked_damage(str(path), _damage(file, path))
            return read_raw_metadata(file).exif
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


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
            the Dark; srgb for sRGB's curve; photo for the same, with white at the file's white
            level, not at the brightest sample; camera for linear camera RGB; unclipped for that
            with the largest factor of the white balance scaled to 1, so that nothing is clipped.
        seconds: time limit.

    Returns:
        uint16 ``[3, H, W]``, a view of interleaved samples.

    Raises:
        InputError: as ``read_raw``.
    """
    header, samples = ask_libraw(path, None, seconds, str(path), look=look)
    return np.frombuffer(samples, dtype=np.uint16).reshape(header["shape"]).transpose(2, 0, 1)


def ask_libraw(
    path: Path,
    max_pixels: int | None,
    seconds: float,
    name: str,
    *,
    look: Look | Literal["linear"] | None,
) -> tuple[dict[str, Any], bytes]:
    """Return what LibRaw knows of a file, and its samples, read in a child process.

    Args:
        path: The file.
        max_pixels: As for ``read_raw``.
        seconds: Time limit in seconds.
        name: Name of the file in error messages.
        look: None for the mosaic, linear for linear RGB, else as for ``develop_raw``.

    Raises:
        InputError: as ``read_raw``.
    """
    damaged = ""
    try:
        with path.open("rb") as file:
            damaged = _damage(file, path)
            dng = read_dng(file)
        area = dng.active_area if dng else None
        file_name = str(path.resolve())
        # While it waits for memory it must not keep a child from others.
        sizes, _ = ask({"path": file_name, "only": "size"}, seconds=seconds)
        with decoding(max_pixels) as check_size:
            check_size(sizes["width"], sizes["height"], _SAMPLES)
            most = sizes["width"] * sizes["height"]
            request = {"path": file_name, "max_pixels": most, "look": look, "area": area}
            answer = ask(request, seconds=seconds)
        checked_damage(name, damaged)
        return answer
    except InputError as error:
        kind, text = _explained(path, error)
        if damaged and keeps_damaged():
            text = f"{damaged}, and LibRaw decodes nothing of it"
        raise kind(f"{name}: {text}") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from error


def _damage(file: BinaryIO, path: Path) -> str:
    """Return what is missing of a RAW file that is cut short, "" for nothing.

    Raises:
        UnsupportedImage: no RAW file, by its head.
        CorruptImage: it is cut short, and damaged files are not kept.
    """
    head = file.read(HEAD_BYTES)
    if not _may_be_raw(head):
        raise UnsupportedImage(_not_raw(head, path))
    missing = bytes_missing(file)
    damaged = f"is cut short: {missing:,} bytes of its pixels are missing" if missing else ""
    if damaged and not keeps_damaged():
        raise CorruptImage(
            f"{damaged}; {argument('keep_damaged', True)} takes it if LibRaw decodes the rest"
        )
    return damaged


def _explained(path: Path, error: InputError) -> tuple[type[InputError], str]:
    """Return the kind and the sentence of an error, more precise than LibRaw's where a DNG is."""
    if not isinstance(error, UnsupportedImage | CorruptImage):
        return type(error), str(error)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        dng = read_dng(file)
    if head.startswith(_FOVEON_MAGIC):
        return UnsupportedImage, _FOVEON
    if dng and (dng.compression == JPEG_XL or (dng.compression == LOSSY and not dng.is_linear)):
        name = "JPEG XL" if dng.compression == JPEG_XL else "lossy JPEG"
        return UnsupportedImage, f"is compressed as {name}, {_UNDECODED}"
    if str(error) == _UNKNOWN and has_raw_head(head):
        return CorruptImage, "is of a camera that LibRaw does not know, or cut short"
    if str(error) == _UNKNOWN and not is_raw(path):
        return UnsupportedImage, f"{_UNKNOWN}{_ADVICE}"
    if str(error) != "holds no mosaic":
        return type(error), str(error)
    return UnsupportedImage, _LINEAR if dng and dng.is_linear else _NO_MOSAIC


def _may_be_raw(head: bytes) -> bool:
    # LibRaw takes any file of certain sizes for a headerless RAW file: require a known signature.
    return has_raw_head(head) or head.startswith(_SHARED_MAGIC)


def _not_raw(head: bytes, path: Path) -> str:
    """Return what is wrong with a file that is no RAW file, and what to do if that is known."""
    if not head:
        return "is empty"
    found = sniff(head)
    if found and is_raw(path):
        return f"is not a camera RAW file but {CODECS[found].name}; rename it"
    return f"is not a camera RAW file{_ADVICE if found else ''}"


def raw_of(path: Path, header: dict[str, Any], mosaic: NDArray[np.uint16]) -> RawPicture:
    """Return a RAW picture of what LibRaw, and the file itself, say.

    Raises:
        CorruptImage: levels that contradict each other.
        UnsupportedImage: a colour filter that is neither Bayer nor X-Trans.
    """
    said = stated_by(path, header)
    cfa = np.array(header["cfa"], dtype=np.uint8)
    _check_filter(cfa, said.dng)
    red, green, blue, second = (header["black_level"] * 4)[:4]
    black_level, white_level = (red, green, blue, second), header["white_level"]
    if said.dng:
        black_level = black_levels(said.dng, cfa, black_level)
    if not 0 <= min(black_level) <= max(black_level) < white_level:
        raise CorruptImage(f"is damaged: black {black_level} is not between 0 and {white_level:g}")
    saturation = mosaic_saturation(mosaic, cfa, black_level, white_level)
    if said.dng:
        mosaic = without_offsets(mosaic, said.dng, cfa, saturation)
    try:
        return RawPicture(
            mosaic=mosaic,
            cfa=cfa,
            black_level=black_level,
            white_level=white_level,
            saturation=saturation,
            white_balance=said.white_balance,
            has_white_balance=said.has_white_balance,
            xyz_to_camera=said.xyz_to_camera,
            default_crop=said.crop,
            pixel_aspect=said.pixel_aspect,
            orientation=header["orientation"],
            exposure_time_s=header["exposure_time_s"] or None,
            iso=header["iso"] or None,
            aperture=header["aperture"] or None,
            make=said.make,
            model=said.model,
            exif=said.exif,
            xmp=said.xmp,
            dng=said.dng.metadata if said.dng else None,
        )
    except ValueError as error:
        raise CorruptImage(f"is damaged: {error}") from error


def _check_filter(cfa: NDArray[np.uint8], dng: Dng | None) -> None:
    """Refuse filters of other colours, in other patterns, or that LibRaw reads otherwise."""
    if len(cfa) > 1:
        phase_of(cfa)
        colours = np.where(cfa == SECOND_GREEN, GREEN, cfa)
        if dng and dng.cfa is not None and not np.array_equal(dng.cfa, colours):
            raise UnsupportedImage(_OTHER_FILTER)
