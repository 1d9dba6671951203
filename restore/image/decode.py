"""Decoding any supported file to a Picture, with an allowlist of decoders chosen by content."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from restore.errors import (
    CameraRaw,
    CorruptImage,
    ImageTooLarge,
    InputError,
    SeveralPages,
    UnsupportedImage,
)
from restore.image.codec import CheckSize
from restore.image.codecs import CODECS, HEAD_BYTES, RAW_ADVICE, sniff
from restore.image.damage import checked_damage
from restore.image.icc import check_profile
from restore.image.limits import decoding
from restore.image.picture import Picture
from restore.image.signatures import has_raw_head
from restore.image.stack import Stack

__all__ = ["decode", "decode_all", "named_errors"]

_UNSUPPORTED_MAGIC = (
    (b"GIF8", "is a GIF"),
    (b"8BPS", "is a Photoshop document"),
    (b"%PDF", "is a PDF"),
)
*_NAMES, _LAST_NAME = (codec.name for codec in CODECS.values() if codec.reader)
_SUPPORTED = f"{', '.join(_NAMES)} and {_LAST_NAME} are read"


def decode(
    source: Path | str | bytes,
    *,
    max_pixels: int | None = None,
    keep_damaged: bool | None = None,
) -> Picture:
    """Read one picture.

    Args:
        source: Path of a file, or a file's bytes (standard input).
        max_pixels: Number of pixels above which a picture is refused before memory is allocated;
            None for the limit of the process, by default ``DEFAULT_MAX_PIXELS`` and no more than
            memory holds.
        keep_damaged: Whether to take what can be decoded of a damaged picture, which then says so
            in ``damaged``, and to log a warning; None for what ``keeping_damaged`` has set.

    Returns:
        The picture in the file's own colour space and orientation, with its metadata.

    Raises:
        UnsupportedImage: the file is not a picture, or its format is not supported.
        CorruptImage: the file is damaged or truncated. JPEG and WebP have no checksums: damage
            that still makes sense to the decoder goes unnoticed.
        ImageTooLarge: the picture has more than ``max_pixels``, or more than memory holds.
        InputError: the file cannot be opened.
        Each message begins with the file's name.
    """
    name = "standard input" if isinstance(source, bytes) else str(source)

    with named_errors(name), _opened(source) as file, decoding(max_pixels) as check_size:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        picture = _read(file, head, check_size)
        checked_damage(name, picture.damaged, keep=keep_damaged)
    return picture


def decode_all(source: Path | str | bytes) -> Picture | Stack:
    """Read one picture, or the stack in a file of several.

    Args:
        source: As for ``decode``.

    Raises:
        InputError: As ``decode``.
    """
    try:
        return decode(source)
    except SeveralPages:
        pass
    name = "standard input" if isinstance(source, bytes) else str(source)
    with named_errors(name), _opened(source) as file, decoding(None) as check_size:
        image_format = sniff(file.read(HEAD_BYTES))
        assert image_format is not None  # decode has seen to it
        file.seek(0)
        stack = CODECS[image_format].read_stack(file, check_size)
        damaged = "; ".join(
            f"plane {index}: {plane.damaged}"
            for index, plane in enumerate(stack.planes)
            if plane.damaged
        )
        checked_damage(name, damaged, keep=None)
    return stack


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turn whatever decoders raise into a sentence that begins with ``name``.

    Raises:
        InputError: the original InputError with the name; or the file cannot be read.
        CorruptImage: a decoder failed.
        ImageTooLarge: memory ran out.
    """
    try:
        yield
    except InputError as error:
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise ImageTooLarge(f"{name}: needs more memory than there is") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{name}: cannot be read: {error.strerror}") from error
        # Third-party decoders may raise anything on hostile data; in any case, the data is bad.
        raise CorruptImage(f"{name}: is damaged or cut short ({_brief(error)})") from error


def _opened(source: Path | str | bytes) -> AbstractContextManager[BinaryIO]:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def _read(file: BinaryIO, head: bytes, check_size: CheckSize) -> Picture:
    image_format = sniff(head)
    if has_raw_head(head):
        raise CameraRaw(RAW_ADVICE)
    if image_format is None:
        raise UnsupportedImage(_advice(head))
    picture = CODECS[image_format].read(file, check_size)
    check_profile(len(picture.icc or b""))
    return picture


def _advice(head: bytes) -> str:
    if not head:
        return "is empty"
    for magic, what in _UNSUPPORTED_MAGIC:
        if head.startswith(magic):
            return f"{what}; {_SUPPORTED}"
    if head[4:8] == b"ftyp":
        return f"{_kind_of_brand(head[8:12])}; {_SUPPORTED}"
    return f"is not a picture; {_SUPPORTED}"


def _kind_of_brand(brand: bytes) -> str:
    name = "".join(character for character in brand.decode("latin-1") if character.isalnum())
    return f"is a video or a file of type {name}"


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    text = "".join(c for c in lines[0][:120] if c.isprintable()) if lines else ""
    return text or type(error).__name__
