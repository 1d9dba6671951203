"""Words of messages."""

__all__ = ["counted"]


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
