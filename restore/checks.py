"""Checks of the options that callers of the library pass."""

from numbers import Real

from restore.errors import UsageError

__all__ = ["LARGEST_SEED", "checked_number"]

LARGEST_SEED = 2**63 - 1
"""Random generators take seeds below 2**64; processes and pictures count on from the one given."""


def checked_number(
    name: str, value: object, least: float, most: float, expected: str, *, above: bool = False
) -> float:
    """Return ``value`` as a float.

    Args:
        name: Name of the option.
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
        raise UsageError(f"{name} {value}: give {expected}")
    raise UsageError(f"{name} {value!r}: give {expected}")
