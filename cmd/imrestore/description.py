"""What `imrestore weights` tells of weights: records, a few words, and tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imrestore.exits import visible

if TYPE_CHECKING:
    from restore.weights.store import Weights

__all__ = [
    "described",
    "print_line",
    "print_losses",
    "print_overview",
    "print_record",
    "record_of",
]


def record_of(path: Path, weights: "Weights") -> dict[str, Any]:
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


def print_overview(records: Sequence[Mapping[str, Any]]) -> None:
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
    _print_table(headings, rows)


def print_record(record: Mapping[str, Any]) -> None:
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
    _print_table(["loss in dB", *headings], rows)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; those of numbers stand to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    numeric = [bool(rows) and rows[0][i][:1].isdigit() for i in range(len(headings))]
    for row in (headings, *rows):
        cells = (
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numeric, strict=True)
        )
        print("  ".join(cells).rstrip())


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested mappings under dotted names."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "-" if value is None else str(value)


def print_line(line: str) -> None:
    """Print one line, as ``visible`` makes it."""
    print(visible(line))
