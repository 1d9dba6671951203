"""`imrestore weights list`, `show` and `verify`: what weight files hold, and whether they work."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imrestore.exits import ExitCode
from imrestore.expansion import with_options
from imrestore.output import json_of, print_line, print_table, visible

if TYPE_CHECKING:
    from restore.weights.store import Weights

__all__ = ["Json", "Name", "described", "list_weights", "print_losses", "show", "verify"]

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A name from `imrestore weights list`, or a .safetensors file.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@with_options
def list_weights(as_json: Json = False) -> None:
    """List the weights that come with imrestore.

    \b
    Examples:
      imrestore weights list
      imrestore weights list --json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.tasks import load
    from restore.weights.file import find, shipped

    records = [_record_of(path, load(path)) for path in map(find, shipped())]
    if as_json:
        for record in records:
            print(json_of(record))
        return
    _print_overview(records)


@with_options
def show(name: Name, as_json: Json = False) -> None:
    """Show the config and origin of weights, and their loss in half precision.

    \b
    Examples:
      imrestore weights show dncnn-color
      imrestore weights show mine.safetensors --json
    """  # noqa: D301
    from restore.tasks import load
    from restore.weights.file import find

    path = find(name)
    record = _record_of(path, load(path))
    if as_json:
        print(json_of(record))
        return
    _print_record(record)


@with_options
def verify(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="A name from `imrestore weights list`, or a .safetensors file.",
            show_default="all weights that come with imrestore",
        ),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Store the SHA-256 of the tensors in files that pass and lack it."
        ),
    ] = False,
) -> None:
    """Check that weight files are intact and that their networks run; one line for each.

    The tensors must be those whose SHA-256 was stored when the file was written.

    Exit codes: 0 all pass; 1 at least one fails.

    \b
    Examples:
      imrestore weights verify
      imrestore weights verify mine.safetensors
      imrestore weights verify old.safetensors --write
    """  # noqa: D301
    from restore.errors import WeightsError
    from restore.tasks import load, task_called
    from restore.weights.file import read_weight_file, shipped
    from restore.weights.store import add_hash
    from restore.weights.verify import verify as verify_weights

    failed = False
    for one in shipped() if name is None else [name]:
        try:
            weights = load(one)
            verify_weights(weights, task_called(weights.task))
        except WeightsError as error:
            failed = True
            print_line(f"FAILED {error}")
            continue
        hashed = ""
        file = read_weight_file(one)
        if not file.has_hash and write:
            add_hash(file.path)
            hashed = "; SHA-256 stored"
        elif not file.has_hash:
            hashed = "; no SHA-256 to check the tensors against: store it with --write"
        print_line(f"ok {weights.name}: {described(weights)}{hashed}")
    raise typer.Exit(ExitCode.SOME_FAILED if failed else ExitCode.DONE)


def _record_of(path: Path, weights: "Weights") -> dict[str, Any]:
    """Return what is known about weights, as plain values."""
    from restore.tasks import task_called

    card = path.with_suffix(".md")
    return {
        "name": weights.name,
        "file": str(path),
        "card": str(card) if card.is_file() else None,
        "task": weights.task,
        "architecture": weights.architecture,
        "config": asdict(weights.config),
        "channels": weights.channels,
        "parameters": weights.parameters,
        "stored": str(weights.stored_dtype).removeprefix("torch."),
        "bytes": path.stat().st_size,
        "noise": task_called(weights.task).training_noise_of(weights),
        "provenance": weights.provenance,
        "precision_loss_db": weights.precision_loss_db,
    }


def described(weights: "Weights") -> str:
    """Return a network in a few words."""
    kind = "gray" if weights.channels == 1 else "color"
    stored = str(weights.stored_dtype).removeprefix("torch.")
    return f"{weights.architecture}, {kind}, {weights.parameters:,} parameters, stored as {stored}"


def _print_overview(records: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each of some records."""
    rows = [
        [
            str(record["name"]),
            str(record["task"]),
            str(record["architecture"]),
            str(record["channels"]),
            f"{record['parameters']:,}",
            f"{record['bytes'] / 1e6:.1f} MB",
            record["noise"] or "-",
        ]
        for record in records
    ]
    headings = ["name", "task", "network", "channels", "parameters", "size", "noise"]
    print_table([headings, *rows], "<<<>>><")


def _print_record(record: Mapping[str, Any]) -> None:
    """Print all that a record holds: its losses as a table, then a line for each value."""
    print_losses(record["precision_loss_db"])
    rest = {key: value for key, value in record.items() if key != "precision_loss_db"}
    lines = list(_flat(rest))
    width = max(len(key) for key, _ in lines)
    for key, value in lines:
        print(f"{visible(key):<{width}}  {visible(value)}")


def print_losses(losses: Mapping[str, Mapping[str, float]]) -> None:
    """Print a line per precision and a column per noise level."""
    if not losses:
        print_line("loss against float32: not measured")
        return
    levels = list(dict.fromkeys(level for by_level in losses.values() for level in by_level))
    rows = [
        [precision, *(f"{by_level[level]:z.4f}" if level in by_level else "" for level in levels)]
        for precision, by_level in losses.items()
    ]
    headings = (f"sigma {level}" if _is_number(level) else level for level in levels)
    print_table([["loss in dB", *headings], *rows], "<" + ">" * len(levels))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested mappings under dotted names."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "-" if value is None else str(value)
