"""Pickling of objects that hold open networks, so that they can be sent to other processes."""

from functools import partial
from typing import Any, Self

__all__ = ["Reopened"]


class Reopened:
    """Base class pickled as its constructor's arguments; the copy opens its networks again."""

    _made_with: partial[Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments that are passed to ``__init__``."""
        made = super().__new__(cls)
        made._made_with = partial(cls, *args, **kwargs)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle and copy to call the class again."""
        return self._made_with, ()
