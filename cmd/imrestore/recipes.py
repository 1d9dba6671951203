"""Recipe files: the arguments and options of one command line, in TOML."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from imrestore.configuration import (
    RECIPE,
    Default,
    arguments_of,
    as_typed,
    give_defaults,
    options_of,
    read_table,
    suggested,
)

__all__ = [
    "keep_command_line",
    "load_recipe",
    "print_if_asked",
    "recipe_of",
    "with_arguments_of_recipe",
]

_FILLED = ("method", "model", "patch")
"""Settings that follow from others where they are not given."""


class _Asked:
    """The command line that ``--print-config`` stands on."""

    def __init__(self) -> None:
        self.line: tuple[typer.Context, dict[str, Any]] | None = None


_asked = _Asked()


def keep_command_line(context: typer.Context, values: Mapping[str, Any]) -> None:
    """Keep a command line with ``--print-config`` until it is known what its training would be."""
    _asked.line = (context, dict(values)) if values.get("print_config") else None


def print_if_asked(training: Any) -> None:
    """Print the recipe file of the command line if it has ``--print-config``, and end.

    Args:
        training: the recipe of the network, which has what was not given.

    Raises:
        typer.Exit: it was asked for.
    """
    if _asked.line is None:
        return
    (context, values), _asked.line = _asked.line, None
    filled = {name: getattr(training, name, None) for name in _FILLED if name in values}
    print(recipe_of(context, values | {k: v for k, v in filled.items() if values[k] is None}))
    raise typer.Exit


def load_recipe(context: typer.Context, path: Path | None) -> Path | None:
    """Give a command what a recipe file says; the callback of ``--config``.

    Its keys are the options of the command, without dashes, and the names of its arguments.

    Raises:
        UsageError: it cannot be read, is no TOML, or has a key that is none of these.
    """
    from restore.errors import UsageError

    if path is None or context.resilient_parsing:
        return path
    known = options_of(context.command) | arguments_of(context.command)
    found = {}
    for key, value in read_table(path).items():
        if key not in known:
            raise UsageError(f"{path}: unknown key {key}{suggested(key, known)}")
        parameter = known[key]
        typed = as_typed(parameter, value, f"{path}: {key}")
        found[parameter.name] = Default(key, typed, str(path), 3)
    context.meta[RECIPE] = found
    give_defaults(context)
    return path


def with_arguments_of_recipe(context: typer.Context, values: dict[str, Any]) -> None:
    """Take the paths of a recipe where the command line names none."""
    found: dict[str, Default] = context.meta.get(RECIPE, {})
    for parameter in arguments_of(context.command).values():
        if parameter.name in found and not values.get(parameter.name):
            value = found[parameter.name].value
            texts = value if isinstance(value, list) else []
            values[parameter.name] = [Path(text) for text in texts]


def recipe_of(context: typer.Context, values: Mapping[str, Any]) -> str:
    """Return the recipe file of a command line, in TOML: all options and arguments it has.

    Args:
        context: context of the command.
        values: values of its parameters, where they differ from those of the context.
    """
    lines = []
    known = arguments_of(context.command) | options_of(context.command)
    for key, parameter in known.items():
        value = values.get(parameter.name, context.params.get(parameter.name))
        if value is None or value is False or value in ([], ()):
            continue
        lines.append(f"{key} = {_in_toml(value)}")
    return "\n".join(lines)


def _in_toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_in_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)
