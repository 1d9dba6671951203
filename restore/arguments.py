"""How messages name arguments: as Python writes them, unless a command has them named otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Naming", "argument", "naming_of_process", "naming_with"]

Naming = Callable[[str, object], str]
"""Returns how an argument is given: its name, and its value or None."""


def _in_python(name: str, value: object) -> str:
    return name if value is None else f"{name}={value!r}"


class _Process:
    """What holds for all messages of this process."""

    def __init__(self) -> None:
        self.naming: Naming = _in_python


_process = _Process()


def argument(name: str, value: object = None) -> str:
    """Return how the reader of a message gives an argument, with a value if there is one.

    Args:
        name: Name of the argument in the library.
        value: What to give; None to name the argument alone.

    >>> argument("patch"), argument("format", "png"), argument("overwrite", True)
    ('patch', "format='png'", 'overwrite=True')
    """
    return _process.naming(name, value)


@contextmanager
def naming_with(naming: Naming) -> Iterator[None]:
    """Have all messages of this process name arguments in another way, in any thread.

    >>> with naming_with(lambda name, _value: f"--{name}"):
    ...     argument("patch")
    '--patch'
    """
    before = _process.naming
    _process.naming = naming
    try:
        yield
    finally:
        _process.naming = before


def naming_of_process() -> Naming:
    """Return how messages of this process name arguments."""
    return _process.naming
