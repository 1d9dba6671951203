"""What a task makes of a picture that does not fit into memory."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from restore.image.picture import Picture

__all__ = ["LargeResult", "ReadRows"]

ReadRows = Callable[[int, int], Picture]
"""Returns the picture of the rows from a first to, exclusive, a last one."""


@dataclass(frozen=True, kw_only=True)
class LargeResult:
    """A result that is made while it is written.

    Attributes:
        picture: the result without its rows: all that stands beside the pixels.
        height: of the result.
        record: how it came about, in values that JSON knows.
        opened: returns, once, what reads the result from top to bottom.
    """

    picture: Picture
    height: int
    record: Mapping[str, object]
    opened: Callable[[], AbstractContextManager[ReadRows]]
