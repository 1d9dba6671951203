"""Files in memory."""

import io
import os
from typing import BinaryIO

__all__ = ["memory_file"]


def memory_file() -> BinaryIO:
    """Return an empty file in memory, of the system's where it has such files.

    Pillow writes JPEG to those while other threads work, and to Python's own while they wait.
    """
    if hasattr(os, "memfd_create"):
        try:
            return os.fdopen(os.memfd_create("imrestore"), "w+b")
        except OSError:  # forbidden here, or too many are open
            pass
    return io.BytesIO()
