"""Commands as Typer sees them: their groups of options spread out, with the user's defaults."""

import inspect
import math
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from imrestore.configuration import (
    FILE_NAME,
    PRESET_VARIABLE,
    Default,
    chosen_defaults,
    load_defaults,
)
from imrestore.output import say
from imrestore.places import on_disk
from imrestore.recipes import keep_command_line, with_arguments_of_recipe
from imrestore.resuming import noting_settings
from imrestore.streams import show_libraries

__all__ = ["with_decoding_options", "with_options"]

_Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help=f"Take the defaults under [preset.NAME] of {FILE_NAME}.",
        show_default=False,
        is_eager=True,
        callback=load_defaults,
        envvar=PRESET_VARIABLE,
        show_envvar=False,
    ),
]
_CONTEXT, _PRESET = "context", "preset"
_RIVALS = (("overwrite", "skip_existing"), ("quiet", "verbose"))


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take option dataclasses, and the user's own defaults.

    Typer is shown the fields of the dataclasses in place of them, and ``--preset``:
    ``def denoise(files: FileOptions, *, sigma: Sigma = "auto")`` gets the options of
    ``FileOptions`` and ``--sigma``.
    """
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    groups: dict[str, type] = {}
    shown: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
            shown += map(_parameter_of, fields(hints[name]))
        else:
            shown.append(parameter.replace(annotation=hints[name]))
    keyword = inspect.Parameter.KEYWORD_ONLY
    shown += [
        inspect.Parameter(_CONTEXT, keyword, annotation=typer.Context),
        inspect.Parameter(_PRESET, keyword, annotation=_Preset, default=None),
    ]

    @wraps(command)
    def expanded(**values: Any) -> None:
        context = values.pop(_CONTEXT)
        defaults = chosen_defaults(context)
        del values[_PRESET]
        with_arguments_of_recipe(context, values)
        keep_command_line(context, values)
        _yield_to_rivals(values, defaults)
        if values.get("verbose"):
            show_libraries()
            secrets = {each.name for each in context.command.params
                       if getattr(each, "hide_input", False)}  # fmt: skip
            for name, default in defaults.items():
                value = "***" if name in secrets else _shown(default)
                say(f"--{default.key} {value} comes from {default.origin}")
        is_clustered = "workers" in values and (values["workers"] or values["cluster"])
        if is_clustered and not values["print_config"]:
            from imrestore.train.cluster import train_on_cluster

            raise typer.Exit(train_on_cluster(context, values))
        with on_disk(values) as values, noting_settings(command=command.__name__, **values):
            taken = {
                name: group(**{field.name: values.pop(field.name) for field in fields(group)})
                for name, group in groups.items()
            }
            command(**taken, **values)

    by_name = [parameter.replace(kind=keyword) for parameter in shown]
    expanded.__signature__ = signature.replace(parameters=by_name)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in by_name}
    return expanded


def _parameter_of(field: Field[Any]) -> inspect.Parameter:
    """Return what a field of a group of options is to Typer."""
    default = inspect.Parameter.empty
    if field.default is not MISSING:
        default = field.default
    elif field.default_factory is not MISSING:
        default = field.default_factory()
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, keyword, annotation=field.type, default=default)


def _yield_to_rivals(values: dict[str, Any], defaults: dict[str, Default]) -> None:
    """Turn off flags among the user's defaults that contradict one from a stronger source."""
    for rivals in _RIVALS:
        given = [name for name in rivals if values.get(name)]
        ranks = {name: defaults[name].rank if name in defaults else math.inf for name in given}
        for name in given:
            if ranks[name] < max(ranks.values()):
                values[name] = False
                del defaults[name]


def _shown(default: Default) -> str:
    value = default.value
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(value) if isinstance(value, list) else value


_MaxPixels = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Refuse pictures with more than N pixels, whatever memory there is.",
        show_default="500 million, and no more than memory holds",
    ),
]


_KeepDamaged = Annotated[
    bool,
    typer.Option(
        "--keep-damaged",
        help="Take what can be decoded of pictures that are damaged or cut short, and say so; else "
        "they are refused.",
    ),
]


def with_decoding_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--max-pixels`` and ``--keep-damaged``, for every picture that it decodes."""

    @wraps(command)
    def decoding(max_pixels: int | None = None, keep_damaged: bool = False, **values: Any) -> None:
        from restore.image.damage import keeping_damaged
        from restore.image.limits import limited

        noted = noting_settings(keep_damaged=keep_damaged)
        with limited(max_pixels), keeping_damaged(keep_damaged), noted:
            command(**values)

    added = {"max_pixels": (_MaxPixels, None), "keep_damaged": (_KeepDamaged, False)}
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
        for name, (hint, default) in added.items()
    ]
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    by_name = [
        each.replace(
            kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints.get(each.name, each.annotation)
        )
        for each in (*signature.parameters.values(), *options)
    ]
    decoding.__signature__ = signature.replace(parameters=by_name)  # type: ignore[attr-defined]
    decoding.__annotations__ = {each.name: each.annotation for each in by_name}
    return decoding
