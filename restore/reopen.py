"""Objects that hold open networks, and can be sent to other processes all the same."""

from functools import partial
from typing import Any, Self

__all__ = ["Reopened"]


class Reopened:
    """Pickled as the arguments it was made with; the copy opens its networks anew."""

    _made_with: partial[Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments that ``__init__`` gets, too."""
        made = super().__new__(cls)
        made._made_with = partial(cls, *args, **kwargs)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle and copy to call the class again."""
        return self._made_with, ()
