"""An evaluation that is ready to be carried out, and checks of what it is asked for."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.arguments import argument
from restore.batch.inputs import pictures_in
from restore.checks import LARGEST_SEED, checked_number, checked_whole
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.noise.measured_camera import MeasuredCamera

__all__ = [
    "Measurement",
    "PathArg",
    "Source",
    "camera_of",
    "checked_seed",
    "names_of",
    "numbers",
    "path_of",
    "refuse_beside",
    "the_only",
]

PathArg = str | PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which pictures are measured.

    Attributes:
        folder: where they lie; None where others are measured.
        recursive: take those in subfolders too.
        limit: how many are measured; None for all.
        warn: called with a line about what else lies there.
    """

    folder: Path | None = None
    recursive: bool = False
    limit: int | None = None
    warn: Callable[[str], None] = logging.getLogger("restore").warning

    @property
    def place(self) -> Path:
        """The folder.

        Raises:
            UsageError: there is none.
        """
        if self.folder is None:
            raise UsageError("give the path of a folder")
        return self.folder

    @property
    def most(self) -> int | None:
        """The limit.

        Raises:
            UsageError: it is no number from 1 on.
        """
        return None if self.limit is None else checked_whole("limit", self.limit, 1, 10**9)

    def paths(self) -> list[Path]:
        """Return the pictures.

        Raises:
            UsageError: there is no folder, or no picture in it.
        """
        most = self.most
        return pictures_in(self.place, recursive=self.recursive, warn=self.warn)[:most]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """An evaluation whose results are computed when they are asked for.

    Attributes:
        results: scores, with ``path`` and ``figures``, and ``Failure``s; those of one picture
            follow each other.
        pictures: what is measured.
        models: names of the networks; empty where none runs.
        conditions: under which conditions the figures come about, and their protocol.
        headings: a heading for each score of a picture and a network.
        rows: names of the rows of a table, where the scores of a picture fill more than one.
        remark: a line to say first, if any.
        summary: returns the rows of a table that is no mean over pictures, of all scores.
    """

    results: Iterator[Any]
    pictures: Sequence[Path]
    models: Sequence[str]
    conditions: Mapping[str, object]
    headings: Sequence[str] = ()
    rows: Sequence[str] = ()
    remark: str = ""
    summary: Callable[[Sequence[Any]], list[dict[str, Any]]] = field(default=lambda _: [])


def names_of(models: Sequence[Any]) -> list[str]:
    """Return what models are called: as their files, or as they were given where two are alike.

    What was not given by a name is numbered where several are called the same.

    >>> names_of(["a/one.safetensors", "two"]), names_of(["a/one.pth", "b/one.pth"])
    (['one', 'two'], ['a/one.pth', 'b/one.pth'])
    """
    names = [_name(model) for model in models]
    if len(set(names)) < len(names):
        names = [
            fspath(model) if isinstance(model, str | PathLike) else name
            for model, name in zip(models, names, strict=True)
        ]
    alike = {name for name in names if names.count(name) > 1}
    return [f"{name} {index}" if name in alike else name for index, name in enumerate(names, 1)]


def _name(model: Any) -> str:
    if isinstance(model, str | PathLike):
        path = Path(model)
        return path.stem if path.suffix else fspath(model)
    return str(getattr(model, "name", type(model).__name__))


def the_only(models: Sequence[Any], task: str) -> Any:
    """Return the model of an evaluation that takes one.

    Raises:
        UsageError: there are several.
    """
    if len(models) > 1:
        raise UsageError(f"{len(models)} models: give one for {task}")
    return models[0]


def refuse_beside(name: str, given: Mapping[str, object], why: str) -> None:
    """Refuse what is given beside an argument that excludes it.

    Args:
        name: The argument.
        given: What it excludes, by name; None and False stand for what is not given.
        why: Clause that says why, as in "which adds noise of its own".

    Raises:
        UsageError: one of them is given.
    """
    for other, value in given.items():
        if value is not None and value is not False:
            raise UsageError(f"{argument(other)} is not for {argument(name)}, {why}")


def numbers(name: str, value: Any, least: float, most: float, kind: str = "numbers") -> list[float]:
    """Return the numbers of a list, or a single one, each once.

    Raises:
        UsageError: there are none, or others than from ``least`` to ``most``.
    """
    values = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    advice = f"{kind} from {least:g} to {most:g}"
    found = [checked_number(name, each, least, most, advice) for each in values]
    if not found or (kind != "numbers" and not all(map(float.is_integer, found))):
        raise UsageError(f"{argument(name)} {value!r:.80}: give {advice}")
    return list(dict.fromkeys(found))


def checked_seed(value: Any) -> int:
    """Return the seed of the first picture.

    Raises:
        UsageError: it is none.
    """
    return checked_whole("seed", value, 0, LARGEST_SEED)


def path_of(name: str, value: object) -> Path:
    """Return a path.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, str | PathLike):
        raise UsageError(f"{argument(name)} {value!r:.80}: give a path")
    return Path(fspath(value))


def camera_of(path: PathArg | None) -> "MeasuredCamera | None":
    """Return the camera of a file of ``imrestore noise-profile``.

    Raises:
        UsageError: it is no such file.
    """
    from restore.noise.measured_camera import read_camera

    return None if path is None else read_camera(path_of("camera", path))
