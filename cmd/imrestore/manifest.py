"""`imrestore manifest`: what runs with --manifest have done, failed and left to do."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.exits import ExitCode
from imrestore.expansion import with_options
from imrestore.options import complete
from imrestore.output import json_of, print_line, say
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.batch.rows import Row

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Count, list, merge and retry what runs with --manifest noted.",
)

_MOST_ERRORS = 10

_Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE", help="Manifests, as .jsonl or .parquet; of shards, all.", show_default=False
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
_STATUSES = ("planned", "done", "skipped", "failed")


def _status(value: str | None) -> str | None:
    if value is not None and value not in _STATUSES:
        raise typer.BadParameter(f"{value}: give one of {', '.join(_STATUSES)}")
    return value


@app.command()
@with_options
def status(files: _Files, *, json: _Json = False) -> None:
    """Count what is planned, done, skipped and failed, and why.

    Exit codes: 0 nothing failed; 1 something failed.

    \b
    Examples:
      imrestore manifest status run.jsonl
      imrestore manifest status shards/*.jsonl --json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    damaged: Counter[Path] = Counter()
    seconds = size = 0.0
    for row in _rows(files, damaged):
        counts[row.status] += 1
        seconds += row.seconds or 0.0
        size += (row.size or 0) if row.status == "done" else 0
        if row.error:
            errors[row.error.replace(row.source, "...")] += 1
    failed = counts["failed"]
    if json:
        values = {name: counts[name] for name in _STATUSES}
        sums = {"seconds": seconds, "bytes_done": int(size), "damaged": damaged.total()}
        print(json_of({**values, **sums, "errors": errors}))
    else:
        for name in _STATUSES:
            if counts[name] or name == "done":
                print_line(f"{counts[name]:,} {name}")
        print_line(f"{seconds:,.1f} s of work on {size / 1e6:,.1f} MB")
        for error, count in errors.most_common(_MOST_ERRORS):
            print_line(f"{count:,} x {error}")
        if len(errors) > _MOST_ERRORS:
            print_line(f"and {len(errors) - _MOST_ERRORS:,} more errors")
    if failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


@app.command("list")
@with_options
def list_rows(
    files: _Files,
    *,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_STATUSES),
            help="Only what has this status.",
            show_default="all",
            callback=_status,
            autocompletion=complete(*_STATUSES),
        ),
    ] = None,
    json: _Json = False,
) -> None:
    """List the inputs: status, attempts, source and error of each.

    \b
    Examples:
      imrestore manifest list run.jsonl --status failed
      imrestore manifest list run.jsonl --json | jq -r .output
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    chosen = (row for row in _rows(files) if status in (None, row.status))
    if json:
        from restore.batch.rows import line_of

        for row in chosen:
            print(line_of(row), end="")
        return
    for row in chosen:
        error = f"  {row.error}" if row.error else ""
        print_line(f"{row.status:8}{row.attempts:3}  {row.source}{error}")


@app.command()
@with_options
def merge(
    files: _Files,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Manifest to write.", show_default=False
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the manifest that is there.")
    ] = False,
) -> None:
    """Make one manifest of several; of two rows about one input the later file's counts.

    \b
    Examples:
      imrestore manifest merge shards/*.jsonl -o run.parquet
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.batch import rows
    from restore.batch.manifest import current
    from restore.errors import OutputExists
    from restore.files import identity_of

    rows.format_of(output)
    if output.exists() and not overwrite:
        raise OutputExists(f"{output}: exists already; --overwrite replaces it")
    if identity_of(output) in map(identity_of, files) and output.exists():
        raise UsageError(f"{output}: is one of the manifests; choose another name")
    output.parent.mkdir(parents=True, exist_ok=True)
    found = _rows(files)
    settings = {row.settings for path in files for row in islice(current([path]), 1)}
    if len(settings) > 1:
        raise UsageError("these manifests are of runs with different settings")
    rows.write(output, found)
    say(f"{output}: {sum(1 for _ in rows.read(output)):,} rows")


@app.command()
@with_options
def retry(
    manifests: _Files,
) -> None:
    """Mark what failed as not done yet, with no attempts made; the next run tries it again.

    \b
    Examples:
      imrestore manifest retry run.jsonl
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.batch.manifest import Manifest
    from restore.batch.rows import RowStatus

    for path in manifests:
        failed = [row for row in _rows([path]) if row.status is RowStatus.FAILED]
        if failed:
            planned = (
                row._replace(status=RowStatus.PLANNED, error="", attempts=0) for row in failed
            )
            with Manifest(path, failed[0].settings) as manifest:
                manifest.append(planned)
        say(f"{path}: {len(failed):,} to be tried again")


def _rows(files: list[Path], damaged: Counter[Path] | None = None) -> "Iterator[Row]":
    """Return the rows that count; how many lines are none is said at the end.

    Args:
        files: The manifests.
        damaged: Is given the number of these lines.

    Raises:
        UsageError: there is no such file.
    """
    from restore.batch.manifest import current, files_of, told_of_damage

    for path in files:
        if not files_of(path) and not path.exists():
            raise UsageError(f"{path}: no such manifest")
    damaged = Counter() if damaged is None else damaged

    def counted() -> "Iterator[Row]":
        yield from current(files, damaged)
        for path, count in damaged.items():
            say(f"{path}: {told_of_damage(count)}")

    return counted()
