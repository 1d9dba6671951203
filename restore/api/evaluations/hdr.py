"""Networks for high dynamic range, on scenes of known radiance and on real captures."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from restore.api.evaluations.measurement import (
    Measurement,
    PathArg,
    Source,
    path_of,
    refuse_beside,
)
from restore.arguments import argument
from restore.engine.placement import Placement
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.hdr.evaluate import Contender

__all__ = ["hdr"]


def hdr(
    source: Source,
    models: Sequence[Any],
    place: Placement,
    *,
    captures: PathArg | None = None,
    **scenes: Any,
) -> Measurement:
    """Return the evaluation of networks for light; see ``restore.evaluate`` for the arguments.

    Raises:
        UsageError: a folder of pictures and captures, or conditions that make no scenes.
    """
    from restore.hdr.captures import CAPTURES_PROTOCOL, capture_scenes, evaluate_captures
    from restore.hdr.evaluate import Conditions, evaluate_hdr, protocol

    if (source.folder is None) == (captures is None):
        raise UsageError(f"give a folder of HDR pictures, or {argument('captures')}, not both")
    known = sorted(field.name for field in fields(Conditions))
    for name in scenes:
        if name not in known:
            raise UsageError(f"{name} is not for hdr; it has {', '.join(known)}")
    if captures is not None:
        changed = {"recursive": source.recursive, "limit": source.limit, **scenes}
        refuse_beside("captures", changed, "which are as they were taken")
        folders = capture_scenes(path_of("captures", captures))
        contenders = _contenders(models, place)
        return Measurement(
            results=evaluate_captures(contenders, folders),
            pictures=folders,
            models=[each.name for each in contenders],
            conditions={"protocol": CAPTURES_PROTOCOL},
        )
    conditions, paths = Conditions(**scenes), source.paths()
    contenders = _contenders(models, place)
    return Measurement(
        results=evaluate_hdr(contenders, paths, conditions),
        pictures=paths,
        models=[each.name for each in contenders],
        conditions={**asdict(conditions), "protocol": protocol(conditions)},
    )


def _contenders(models: Sequence[Any], place: Placement) -> "list[Contender]":
    from restore.hdr.evaluate import Contender
    from restore.hdr.task import TASK

    for model in models:
        if not isinstance(model, str | PathLike):
            raise UsageError(
                f"{type(model).__name__}: for hdr give the name or the file of weights"
            )
    names = [
        TASK.default_weights["optics"] if fspath(each) == "auto" else fspath(each)
        for each in models
    ]
    return [
        Contender(name, device=place.device, precision=place.precision, tile=place.tile)
        for name in dict.fromkeys(names)
    ]
