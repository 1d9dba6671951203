"""Files, pipes and standard streams: how they are read whole, and written."""

import errno
import math
import os
import stat
from pathlib import Path
from typing import BinaryIO

from restore.batch.items import Item
from restore.errors import ImageTooLarge, InputError, OutputError
from restore.image.limits import max_pixels_of_process

__all__ = ["readable", "size_of", "write_stream"]

_CHUNK = 4 << 20
_STREAM_BYTES_PER_PIXEL = 16
_LONGEST_METADATA = 64 << 20
_LONGEST_STREAM = 2 << 30
"""Most bytes that are read of a pipe: they are in memory twice, and more is better in a file."""


def size_of(item: Item) -> float:
    """Return the bytes that will be read; infinity if unknown."""
    try:
        status = os.stat(item.source) if item.source else None
    except OSError:
        return 0.0
    return status.st_size if status and stat.S_ISREG(status.st_mode) else math.inf


def readable(item: Item, standard_input: BinaryIO | None) -> Path | bytes:
    """Return the file of an item, or the bytes of what is not seekable, as decoders seek.

    Raises:
        InputError: the file cannot be opened.
    """
    try:
        if item.source is None:
            return _read_stream(item, standard_input) if standard_input else b""
        # A pipe is not seekable.
        if stat.S_ISREG(item.source.stat().st_mode):
            return item.source
        with item.source.open("rb") as file:
            return _read_stream(item, file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{item.source_name}: cannot be read: {reason}") from error


def _read_stream(item: Item, stream: BinaryIO) -> bytes:
    """Read what may never end, but no more than pictures that are not refused can take.

    Raises:
        ImageTooLarge: it is longer.
    """
    longest = _STREAM_BYTES_PER_PIXEL * max_pixels_of_process() + _LONGEST_METADATA
    parts: list[bytes] = []
    size = 0
    while part := stream.read(_CHUNK):
        size += len(part)
        if size > min(longest, _LONGEST_STREAM):
            raise ImageTooLarge(
                f"{item.source_name}: longer than {min(longest, _LONGEST_STREAM):,} bytes; "
                "write it to a file first"
            )
        parts.append(part)
    return b"".join(parts)


def write_stream(stream: BinaryIO | None, data: bytes) -> None:
    """Write all of a result to standard output, which may be absent.

    Raises:
        OutputError: it is absent, or cannot be written.
        BrokenPipeError: nobody reads it any more.
    """
    if stream is None:
        raise OutputError("standard output: not available here")
    rest = memoryview(data)
    try:
        while rest:
            # Without a buffer, as under PYTHONUNBUFFERED, it may take a part, or nothing: None.
            taken = stream.write(rest)
            if not taken:
                raise BlockingIOError(errno.EAGAIN, "it takes no more for now")
            rest = rest[taken:]
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"standard output: cannot be written: {reason}") from error
