"""How the library's messages name arguments here: as the options that give them."""

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from restore.arguments import naming_with

__all__ = ["as_option", "calling"]

Command = TypeVar("Command", bound=Callable[..., Any])

_NAMES = {
    "exposure_stops": "exposure",
    "image_format": "format",
    "in_doubt": "fill-hot-pixels",
    "peak_nits": "peak-luminance",
    "profile": "noise-profile",
    "repair": "keep-hot-pixels",
    "start_from": "from",
    "white_balance": "wb",
    "widths": "width",
}
"""Options that are not called as the library's argument."""
_FLAGS: dict[tuple[str, object], str] = {
    ("channels", 1): "--gray",
    ("channels", 3): "--color",
    ("repair", False): "--keep-hot-pixels",
}
"""Options that stand for an argument with its value."""


def as_option(name: str, value: object) -> str:
    """Return the option that stands for an argument; see ``restore.arguments.argument``.

    >>> as_option("overwrite", True), as_option("image_format", "png"), as_option("channels", 1)
    ('--overwrite', '--format png', '--gray')
    """
    option = f"--{_NAMES.get(name, name).replace('_', '-')}"
    if value is None or value is True:
        return option
    return _FLAGS.get((name, value), f"{option} {shlex.quote(str(value))}")


def calling(**names: str) -> Callable[[Command], Command]:
    """Have the messages of a command name some arguments by options that it alone calls so.

    Args:
        names: The name of the option, without dashes, by the argument's.

    >>> from restore.arguments import argument
    >>> @calling(patch="size")
    ... def anomaly():
    ...     return argument("patch", 64), argument("batch")
    >>> anomaly()
    ('--size 64', '--batch')
    """
    return naming_with(partial(_as_called, names))


def _as_called(names: Mapping[str, str], name: str, value: object) -> str:
    return as_option(names.get(name, name), value)
