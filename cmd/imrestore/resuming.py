"""Runs that go by a manifest: what their settings are, and how it is opened."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imrestore.checks import without_effect
from imrestore.options import FileOptions
from imrestore.output import json_of, say
from imrestore.report import Report

if TYPE_CHECKING:
    from restore.batch.plan import BatchPlan
    from restore.batch.resume import Resumption
    from restore.batch.shards import Shard
    from restore.batch.stream import Outcome

__all__ = ["begun", "given", "noting_settings", "resumption", "without_failed"]

_NO_SETTINGS = (
    *("inputs", "output", "recursive", "shard", "twins", "raw_only", "both"),
    *("overwrite", "skip_existing", "dry_run", "manifest", "retry_failed", "watch", "settle"),
    "cluster",
    *("json", "quiet", "verbose", "report", "jobs", "device", "tile", "max_pixels"),
)
"""Options that results do not depend on."""

_given: ContextVar[Mapping[str, Any]] = ContextVar("settings")


def given(option: str) -> Any:
    """Return what the command that runs was given for an option; None if it has none such."""
    return _given.get({}).get(option)


@contextmanager
def noting_settings(**values: Any) -> Iterator[None]:
    """Note what a command was given, besides what was noted before, while it runs."""
    token = _given.set({**_given.get({}), **values})
    try:
        yield
    finally:
        _given.reset(token)


def resumption(
    options: FileOptions, shard: "Shard | None"
) -> "AbstractContextManager[Resumption | None]":
    """Open the manifest of a run; None for a run without one.

    Raises:
        UsageError: it is of a run with other settings, or another run is writing it.
        InputError: it cannot be read.
        OutputError: it cannot be written.
    """
    if options.manifest is None:
        reason = "it is about a --manifest"
        without_effect(retry_failed=options.retry_failed is not None and reason)
        return nullcontext()
    if options.dry_run and not options.manifest.exists():
        return nullcontext()
    return _opened(options, options.manifest, is_shared=shard is not None)


def without_failed(plan: "BatchPlan", past: "Resumption | None", report: Report) -> "BatchPlan":
    """Report what failed too often to be tried again, and return the plan of the rest."""
    outcomes = past.failed_before(plan) if past and not past.is_new else {}
    for outcome in outcomes.values():
        report.add(outcome)
    return plan.without(outcomes)


def begun(plan: "BatchPlan", past: "Resumption | None") -> "Callable[[Outcome], None]":
    """Write what will be done to the manifest, and return what notes the outcomes there."""
    if past is None:
        return lambda _: None
    past.begin(plan)
    return past.add


@contextmanager
def _opened(options: FileOptions, path: Path, *, is_shared: bool) -> "Iterator[Resumption]":
    from restore.batch.manifest import Manifest, told_of_damage
    from restore.batch.resume import Resumption

    values = _given.get({})
    settings = _hash_of(values)
    with Manifest(path, settings, is_shared=is_shared, is_only_read=options.dry_run) as manifest:
        if manifest.damaged and not options.quiet:
            say(f"{path}: {told_of_damage(manifest.damaged)}")
        yield Resumption(
            manifest, str(values.get("model", "auto")), most_attempts=options.retry_failed or 0
        )


def _hash_of(values: Mapping[str, Any]) -> str:
    """Return a hash of the settings; of files among them, their content counts."""
    settings = {
        name: _content_of(value) if name != "model" else _weights_of(str(value), values)
        for name, value in sorted(values.items())
        if name not in _NO_SETTINGS
    }
    if values.get("error_map"):
        from restore.denoise.task import ERRORS

        settings["error_map"] = _hashes_of(ERRORS.default_weights.values())
    return hashlib.sha256(json_of(settings).encode()).hexdigest()[:16]


def _content_of(value: object) -> object:
    from restore.batch.resume import sha256_of

    if isinstance(value, list | tuple):
        return [_content_of(each) for each in value]
    is_file = isinstance(value, str | Path) and os.path.isfile(value)
    return sha256_of(Path(str(value))) if is_file else value


def _hashes_of(weights: Iterable[str]) -> list[str]:
    from restore.batch.resume import sha256_of
    from restore.weights.file import find

    return [sha256_of(find(name)) for name in weights]


def _weights_of(model: str, given: Mapping[str, Any]) -> object:
    """Return the hash of weights; of auto or a family such as ``dncnn``, those of all its files."""
    from restore.tasks import TASKS
    from restore.weights.file import shipped

    if model == "auto":
        command = str(given.get("command", "")).replace("_", "-")
        tasks = [task for task in TASKS if task.command == command]
        names = {name for task in tasks for name in task.default_weights.values()}
        return _hashes_of(sorted(names))
    family = [name for name in shipped() if name.startswith(f"{model}-")]
    is_family = family and model not in shipped() and not Path(model).is_file()
    return _hashes_of(family) if is_family else _hashes_of([model])[0]
