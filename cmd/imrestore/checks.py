"""Checks of options: what their values may be, and which go together."""

from collections.abc import Callable, Sequence
from typing import Any

import typer

from restore.errors import UsageError

__all__ = ["depth_in", "exclusive", "number", "one_of", "without_effect"]

_ALIASES = {"jpg": "jpeg", "tif": "tiff", "pgm": "ppm"}


def number(within: Callable[[float], bool], advice: str, *words: str) -> Callable[[Any], Any]:
    """Return a check for a number, or one of some words.

    Args:
        within: Whether a number is taken; False for one that is not a number.
        advice: What to give instead of what is refused.
        words: What is taken besides numbers.
    """

    def checked(value: Any) -> Any:
        if value is None or value in words:
            return value
        try:
            valid = within(float(value))
        except ValueError:
            valid = False
        if not valid:
            raise typer.BadParameter(f"{value}: {advice}")
        return value

    return checked


def one_of(
    formats: Sequence[str], refusal: str = "is not written"
) -> Callable[[str | None], str | None]:
    """Return a check for the name of a format; ``refusal`` says what is wrong with others."""

    def format_name(value: str | None) -> str | None:
        if value is None:
            return None
        name = value.lower().removeprefix(".")
        name = _ALIASES.get(name, name)
        if name not in formats:
            raise typer.BadParameter(f"{value} {refusal}; use one of {', '.join(formats)}")
        return name

    return format_name


def depth_in(depths: Sequence[int]) -> Callable[[int | None], int | None]:
    """Return a check for bits per sample."""

    def bit_depth(value: int | None) -> int | None:
        if value is not None and value not in depths:
            *most, last = map(str, depths)
            raise typer.BadParameter(f"{value} is not a bit depth; use {', '.join(most)} or {last}")
        return value

    return bit_depth


def exclusive(values: object, names: Sequence[str]) -> None:
    """Refuse more than one of the options ``names`` of ``values``.

    Raises:
        UsageError: two of them are given: neither None nor False.
    """
    values_of = {name: getattr(values, name) for name in names}
    given = [
        f"--{name.replace('_', '-')}"
        for name, value in values_of.items()
        if value is not None and value is not False
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} contradict each other")


def without_effect(**given: object) -> None:
    """Refuse options that are given where they have no effect.

    Args:
        given: By name, why an option has no effect here; something false where it has one.

    Raises:
        UsageError: names the first of them.
    """
    for name, reason in given.items():
        if reason:
            raise UsageError(f"--{name.replace('_', '-')} does nothing here: {reason}")
