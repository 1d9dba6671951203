"""Where the bytes of an item come from."""

import math
import os
import stat
from pathlib import Path
from typing import BinaryIO

from restore.engine.plan import Item
from restore.errors import InputError

__all__ = ["readable", "size_of"]


def size_of(item: Item) -> float:
    """Return the bytes that will be read; infinity if unknown."""
    try:
        status = os.stat(item.source) if item.source else None
    except OSError:
        return 0.0
    return status.st_size if status and stat.S_ISREG(status.st_mode) else math.inf


def readable(item: Item, standard_input: BinaryIO | None) -> Path | bytes:
    """Return the file of an item, or the bytes of what cannot be searched, as decoders do.

    Raises:
        InputError: the file cannot be opened.
    """
    try:
        if item.source is None:
            return standard_input.read() if standard_input else b""
        # A pipe cannot be searched.
        is_file = stat.S_ISREG(item.source.stat().st_mode)
        return item.source if is_file else item.source.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{item.source_name}: cannot be read: {reason}") from error
