"""Defaults of the user's own: `IMRESTORE_*` variables, `imrestore.toml`, and its presets."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from imrestore.output import say

__all__ = [
    "FILE_NAME",
    "OTHER_VARIABLES",
    "RECIPE",
    "Default",
    "arguments_of",
    "as_typed",
    "chosen_defaults",
    "give_defaults",
    "load_defaults",
    "options_of",
    "read_table",
    "suggested",
    "without_defaults",
]

FILE_NAME = "imrestore.toml"
PRESET_VARIABLE = "IMRESTORE_PRESET"
OTHER_VARIABLES = (PRESET_VARIABLE, "IMRESTORE_ENGINE", "IMRESTORE_SHARD_COUNT")
"""Variables that are no defaults of options."""

RECIPE = "imrestore.recipe"
"""Where the context of a command has what its recipe file says, as ``Default`` by parameter."""

_PREFIX = "IMRESTORE_"
_PRESET = "preset"
_ROOT = 0
_META = "imrestore.defaults"
_NO_KEYS = ("help", _PRESET, "config", "print-config")

_are_ignored: ContextVar[bool] = ContextVar("are_ignored", default=False)


@dataclass(frozen=True)
class Default:
    """A default that replaces the built-in one.

    Attributes:
        key: The option without its dashes.
        value: What Typer converts: text as typed after the option, texts, or True or False.
        origin: Where it comes from, in words.
        rank: 0 for files, 1 for their presets, 2 for the environment, which overrides both, 3 for
            a recipe.
    """

    key: str
    value: str | list[str] | bool
    origin: str
    rank: int


def load_defaults(context: typer.Context, preset: str | None) -> str | None:
    """Give the options of a command the user's defaults; the callback of ``--preset``.

    It is eager, so that the other options find them, but comes after a ``--help`` that was given.

    Raises:
        UsageError: a file is damaged, or a key, a variable or the preset is unknown.
    """
    # A shell that completes parses resiliently.
    if not (context.resilient_parsing or _are_ignored.get()):
        context.meta[_META] = dict(_defaults(context, preset))
        give_defaults(context)
    return preset


@contextmanager
def without_defaults() -> Iterator[None]:
    """Leave files and variables alone, where a recipe holds what they said."""
    token = _are_ignored.set(True)
    try:
        yield
    finally:
        _are_ignored.reset(token)


def give_defaults(context: typer.Context) -> None:
    """Let the options of a command have defaults, those of a recipe before others."""
    context.meta[_META] = context.meta.get(_META, {}) | context.meta.get(RECIPE, {})
    context.default_map = {n: default.value for n, default in context.meta[_META].items()}


def chosen_defaults(context: Any) -> dict[str, Default]:
    """Return the user's defaults that a command takes, by the names of its parameters."""
    found: dict[str, Default] = context.meta.get(_META, {})
    sources = {name: context.get_parameter_source(name) for name in found}
    return {name: found[name] for name, source in sources.items() if _is_default_map(source)}


def _is_default_map(source: Any) -> bool:
    return source is not None and source.name == "DEFAULT_MAP"


def _defaults(context: typer.Context, preset: str | None) -> Iterator[tuple[str, Default]]:
    """Yield the defaults of a command by the names of its parameters, the stronger ones later."""
    root, path = _root_and_path(context)
    options = options_of(context.command)
    files = {file: read_table(file) for file in _files()}
    for file, table in files.items():
        _check_table(str(file), (), table, root)
        yield from _in_tables(str(file), (), table, path, options, rank=0)
    if preset is not None:
        presets = {file: table.get(_PRESET, {}) for file, table in files.items()}
        _check_preset(preset, presets)
        for file, named in presets.items():
            where = (_PRESET, preset)
            yield from _in_tables(str(file), where, named.get(preset, {}), path, options, rank=1)
    yield from _in_environment(root, path, options)


def _root_and_path(context: typer.Context) -> tuple[Any, tuple[str, ...]]:
    """Return the command of all commands, and the names that lead from it to this one."""
    names: list[str] = []
    each: Any = context
    while each.parent is not None:
        names.insert(0, str(each.info_name))
        each = each.parent
    return each.command, tuple(names)


def options_of(command: Any) -> dict[str, Any]:
    """Return the options of one command by their keys."""
    options = {}
    for parameter in command.params:
        key = next((name[2:] for name in parameter.opts if name.startswith("--")), None)
        if key is not None and key not in _NO_KEYS:
            options[key] = parameter
    return options


def arguments_of(command: Any) -> dict[str, Any]:
    """Return the arguments of one command by their names."""
    return {each.name: each for each in command.params if each.param_type_name == "argument"}


def _commands(command: Any) -> Mapping[str, Any]:
    return getattr(command, "commands", {})


def _keys(command: Any) -> set[str]:
    """Return the keys of a command, and of all commands below a group."""
    below = _commands(command)
    is_command = not below or command.invoke_without_command
    own = options_of(command) if is_command else ()
    return set(own).union(*map(_keys, below.values()))


def _files() -> Iterator[Path]:
    """Yield the files that are there, the user's own before that of the working folder."""
    own = Path(typer.get_app_dir("imrestore")) / FILE_NAME
    if os.path.isfile(own):
        yield own
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return
    above = (folder / FILE_NAME for folder in (here, *here.parents))
    nearest = next((p for p in above if os.path.isfile(p) and not _is_planted(p)), None)
    if nearest is not None and nearest != own:
        yield nearest


def _is_planted(file: Path) -> bool:
    """Whether anybody may have put a file there, as into /tmp, for those who work below it."""
    try:
        folder, owner = file.parent.stat(), file.stat().st_uid
    except OSError:
        return True
    is_planted = bool(folder.st_mode & stat.S_IWOTH) and owner not in (_ROOT, _user())
    if is_planted:
        say(f"{file}: is not read: it is another user's, in a folder that everybody may write to")
    return is_planted


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else _ROOT


def read_table(file: Path) -> dict[str, Any]:
    import tomllib

    from restore.errors import UsageError

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: is no valid TOML: {error}") from error


def _check_table(file: str, where: tuple[str, ...], table: Mapping[str, Any], command: Any) -> None:
    """Refuse keys and tables that no command has."""
    from restore.errors import UsageError

    keys, below = _keys(command), _commands(command)
    for key, value in table.items():
        name, is_table = ".".join((*where, key)), isinstance(value, dict)
        if key == _PRESET and not where:
            for preset, each in value.items() if is_table else [("NAME", value)]:
                if not isinstance(each, dict):
                    raise UsageError(f"{file}: a preset is a table, as in [{_PRESET}.{preset}]")
                _check_table(file, (_PRESET, preset), each, command)
        elif key in below and is_table:
            _check_table(file, (*where, key), value, below[key])
        elif key in below:
            raise UsageError(f"{file}: {name} is a table; write its keys below [{name}]")
        elif key in keys and is_table:
            raise UsageError(f"{file}: {name} is no table; write {key} = VALUE")
        elif key not in keys:
            place = f" in [{'.'.join(where)}]" if where else ""
            raise UsageError(f"{file}: unknown key {key}{place}{suggested(key, {*keys, *below})}")


def _check_preset(preset: str, presets: Mapping[Path, Mapping[str, Any]]) -> None:
    from restore.errors import UsageError

    known = {name for named in presets.values() for name in named}
    if preset not in known:
        files = " or ".join(map(str, presets)) or f"{FILE_NAME}, of which there is none"
        raise UsageError(
            f"--preset {preset}: no [{_PRESET}.{preset}] in {files}{suggested(preset, known)}"
        )


def suggested(word: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _in_tables(
    file: str,
    where: tuple[str, ...],
    table: Mapping[str, Any],
    path: tuple[str, ...],
    options: Mapping[str, Any],
    *,
    rank: int,
) -> Iterator[tuple[str, Default]]:
    """Yield what the common table and those on the path to the command say."""
    for command in ("", *path):
        if command:
            table, where = table.get(command, {}), (*where, command)
        origin = f"{file} [{'.'.join(where)}]" if where else file
        for key, option in options.items():
            if key in table and not isinstance(table[key], dict):
                value = as_typed(option, table[key], f"{origin}: {key}")
                yield option.name, Default(key, value, origin, rank)


def as_typed(option: Any, value: Any, name: str) -> str | list[str] | bool:
    """Return a value of TOML as Typer expects it, so that all kinds of values are checked alike."""
    from restore.errors import UsageError

    if getattr(option, "is_flag", False):
        if not isinstance(value, bool):
            raise UsageError(f"{name}: give true or false")
        return value
    takes_several = getattr(option, "multiple", False) or option.nargs != 1
    values = value if isinstance(value, list) and takes_several else [value]
    if not all(isinstance(v, str | int | float) and not isinstance(v, bool) for v in values):
        raise UsageError(f"{name}: give a text or a number{', or a list' * takes_several}")
    texts = [str(v) for v in values]
    return texts if takes_several else texts[0]


def _in_environment(
    root: Any, path: tuple[str, ...], options: Mapping[str, Any]
) -> Iterator[tuple[str, Default]]:
    """Yield what variables say, those of the command itself last.

    Raises:
        UsageError: a variable with our prefix belongs to no option.
    """
    from restore.errors import UsageError

    given = {name: text for name, text in os.environ.items() if name.startswith(_PREFIX) and text}
    if unknown := sorted(given.keys() - OTHER_VARIABLES):
        known = {*_variables(root, ()), *OTHER_VARIABLES}
        for name in unknown:
            if name not in known:
                raise UsageError(f"{name}: no option has this variable{suggested(name, known)}")
    for depth in range(len(path) + 1):
        for key, option in options.items():
            name = _variable(path[:depth], key)
            if name in given:
                text = given[name]
                several = option.multiple or option.nargs > 1
                yield option.name, Default(key, text.split() if several else text, name, 2)


def _variables(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the variables of all options: common ones, of groups, and of commands."""
    for key in _keys(command):
        yield _variable(path, key)
    for name, below in _commands(command).items():
        yield from _variables(below, (*path, name))


def _variable(path: tuple[str, ...], key: str) -> str:
    return _PREFIX + "_".join((*path, key)).upper().replace("-", "_")
