"""The options of a request: those of the command, by the same names, with the same checks."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args

import typer

from imrestore.serve.refused import Refused

__all__ = ["Parameters", "parameters_of"]

_TYPES = {bool: "boolean", int: "integer", float: "number"}
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "sigma": {"anyOf": [{"const": "auto"}, {"type": "number", "minimum": 0, "maximum": 255}]},
    "ratio": {
        "anyOf": [
            {"const": "auto"}, {"type": "number", "exclusiveMinimum": 0, "maximum": 10_000},
        ]
    },
    "strength": {"type": "number", "minimum": 0, "maximum": 2},
    "chroma": {"type": "number", "minimum": 0, "maximum": 1},
    "detail": {"type": "number", "minimum": 0, "maximum": 1},
    "ev": {"type": "number", "minimum": -10, "maximum": 10},
}  # fmt: skip
"""Schemas of options whose checks are functions."""


@dataclass(frozen=True)
class Parameters:
    """Some options of a command, which a request gives in its query.

    Attributes:
        command: The command, as Typer has it.
        options: Its options by their names without dashes, as ``bit-depth``.
        types: Their types in JSON.
        narrower: What requests may give where the command takes more, by the options' names.
    """

    command: Any
    options: Mapping[str, Any]
    types: Mapping[str, str]
    narrower: Mapping[str, str] = field(default_factory=dict)

    def values(self, query: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Return the options by the names of the command's parameters, defaults filled in.

        Raises:
            Refused: an option is unknown, comes twice, or has an invalid value.
        """
        given: dict[str, str] = {}
        known = ", ".join(self.options) or "none"
        for name, text in query:
            if name not in self.options:
                raise Refused(422, f"{name[:80]}: no such option; there are {known}")
            if name in given:
                raise Refused(422, f"{name}: given more than once; give one value")
            given[name] = text
        context = self.command.context_class(self.command) if self.options else None
        return {
            option.name: self._value(context, option, name, given.get(name))
            for name, option in self.options.items()
        }

    def _value(self, context: Any, option: Any, name: str, text: str | None) -> Any:
        if text is None:
            return option.default
        try:
            return option.process_value(context, text)
        except typer.BadParameter as error:
            value, _, reason = str(error).partition(": ")
            reason = reason if _is_same(value, text) else str(error)
            raise self.refused(name, text, reason) from error

    def refused(self, name: str, text: str, reason: str) -> Refused:
        """Return the answer to a value that is not taken."""
        if name in self.narrower:
            reason = f"give {self.narrower[name]}"
        return Refused(422, f"{name}={text[:80]}: {reason}")

    def described(self) -> list[dict[str, Any]]:
        """Return the options as OpenAPI describes them."""
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": f"{option.help.partition('; or')[0]}; {self.narrower[name]}."
                if name in self.narrower
                else option.help,
                "schema": _schema(name, option, self.types[name]),
            }
            for name, option in self.options.items()
        ]


def _is_same(value: str, text: str) -> bool:
    """Return whether a message speaks of the value that was given, such as 3.0 for 3."""
    try:
        return value == text or float(value) == float(text)
    except ValueError:
        return False


@cache
def parameters_of(
    function: Callable[..., None],
    names: tuple[str, ...],
    narrower: tuple[tuple[str, str], ...] = (),
) -> Parameters:
    """Return some options of a command by their names without dashes.

    Args:
        function: The command.
        names: Names of the options.
        narrower: What requests may give where the command takes more, by the options' names.
    """
    alone = typer.Typer()
    alone.command()(function)
    command = typer.main.get_command(alone)
    options = {
        text.removeprefix("--"): option
        for option in command.params
        for text in option.opts
        if text.startswith("--")
    }
    hints = inspect.signature(function).parameters
    types = {name: _type(hints[options[name].name or ""].annotation) for name in names}
    return Parameters(command, {name: options[name] for name in names}, types, dict(narrower))


def _type(hint: Any) -> str:
    """Return the type of JSON that an annotation of Typer's stands for."""
    kind, *_ = get_args(hint)
    return next(
        (name for each, name in _TYPES.items() if each in (kind, *get_args(kind))), "string"
    )


def _schema(name: str, option: Any, kind: str) -> dict[str, Any]:
    default = {} if option.default is None else {"default": option.default}
    choices = (option.metavar or "").split("|")
    limits = {"minimum": getattr(option, "min", None), "maximum": getattr(option, "max", None)}
    bounded = {key: each for key, each in limits.items() if each is not None}
    if name in _SCHEMAS and not bounded:
        return {**_SCHEMAS[name], **default}
    if len(choices) > 1 and all(map(re.compile("[a-z0-9-]+").fullmatch, choices)):
        values = [int(choice) for choice in choices] if kind == "integer" else choices
        return {"type": kind, "enum": values, **default}
    return {"type": kind, **bounded, **default}
