"""Words of messages."""

from collections.abc import Sequence

__all__ = ["counted", "size_in_words"]


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    Args:
        count: The number.
        one: The noun of a single thing.
        many: That of several; without it, ``one`` with an s.

    >>> counted(1, "copy", "copies"), counted(2, "copy", "copies"), counted(1200, "file")
    ('1 copy', '2 copies', '1,200 files')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def size_in_words(shape: Sequence[int]) -> str:
    """Return the size of pixels ``[C, H, W]``.

    >>> size_in_words((3, 480, 640))
    '640x480 in colour'
    """
    channels, height, width = shape
    return f"{width}x{height} in {'gray' if channels == 1 else 'colour'}"
