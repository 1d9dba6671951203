"""Checks of arguments that callers of the library pass."""

import re
from numbers import Integral, Real

from restore.arguments import argument
from restore.errors import UsageError

__all__ = ["LARGEST_SEED", "checked_number", "checked_whole", "seconds_in"]

LARGEST_SEED = 2**63 - 1
"""Random generators take seeds below 2**64; processes and pictures count on from the one given."""

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def checked_number(
    name: str, value: object, least: float, most: float, expected: str, *, above: bool = False
) -> float:
    """Return ``value`` as a float.

    Args:
        name: Name of the argument.
        value: Number to check; NumPy scalars count as numbers, booleans do not.
        least: Smallest value allowed.
        most: Largest value allowed.
        expected: What to give instead, as in "a number from 0 to 1".
        above: Whether ``least`` itself is refused.

    Raises:
        UsageError: not a number, NaN, or out of range.

    >>> checked_number("strength", 0.5, 0, 1, "a number from 0 to 1")
    0.5
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if least <= number <= most and not (above and number == least):
            return number
        raise UsageError(f"{argument(name)} {value}: give {expected}")
    raise UsageError(f"{argument(name)} {value!r}: give {expected}")


def checked_whole(name: str, value: object, least: int, most: int) -> int:
    """Return ``value`` as an int.

    Args:
        name: Name of the argument.
        value: Whole number to check; NumPy's count, booleans do not.
        least: Smallest value allowed.
        most: Largest value allowed.

    Raises:
        UsageError: not a whole number, or out of range.

    >>> checked_whole("seed", 3, 0, 10)
    3
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most:
        return int(value)
    raise UsageError(f"{argument(name)} {value!r:.80}: give a whole number from {least} to {most}")


def seconds_in(name: str, text: str) -> float:
    """Return the seconds in a time such as 90s, 30m, 2h or 1d.

    Args:
        name: Name of the argument.
        text: The time.

    Raises:
        UsageError: the text is no such time.

    >>> seconds_in("time", "1.5h")
    5400.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match:
        raise UsageError(
            f"{argument(name)} {text}: give a number with s, m, h or d, as in 90s or 2h"
        )
    return float(match[1]) * _SECONDS[match[2]]
