"""The heap of this process: what was freed goes back to the system."""

import ctypes
from functools import cache
from typing import Any

__all__ = ["release_free_memory"]


def release_free_memory() -> None:
    """Give freed memory back to the system, where the allocator can be asked to (glibc).

    It keeps what a network took for its tiles, some hundred megabytes, for the thread that ran the
    network, while another thread encodes the result. The next picture gets it anew, which costs
    less than a tenth of a second.
    """
    if trim := _trim():
        trim(0)


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return None
