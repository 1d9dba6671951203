"""Which precision and which size of tile work runs in."""

from collections.abc import Mapping, Sequence

from restore.errors import UsageError

__all__ = ["MAX_PRECISION_LOSS_DB", "PRECISION_NAMES", "choose_precision", "tile_size"]

PRECISION_NAMES = ("fp32", "fp16", "bf16")

MAX_PRECISION_LOSS_DB = 0.02
"""The largest measured loss against float32 that ``--precision auto`` accepts."""


def choose_precision(
    name: str, fast: Sequence[str], losses_db: Mapping[str, Mapping[str, float]]
) -> str:
    """Return the precision to run in: ``name``, or for auto the fastest one that is safe.

    Args:
        name: auto, fp32, fp16 or bf16.
        fast: the precisions that beat float32 where the network will run, the best first.
        losses_db: the measured losses stored with the weights, precision -> sigma -> dB.

    Raises:
        UsageError: no such precision.
    """
    if name == "auto":
        for precision in fast:
            losses = losses_db.get(precision)
            if losses and max(losses.values()) <= MAX_PRECISION_LOSS_DB:
                return precision
        return "fp32"
    if name not in PRECISION_NAMES:
        raise UsageError(f"precision {name!r}: use auto, {', '.join(PRECISION_NAMES)}")
    return name


def tile_size(tile: str | int, auto: int) -> int:
    """Return the side in pixels that ``tile`` (a number, or auto) stands for.

    Args:
        tile: as given.
        auto: what auto stands for.

    Raises:
        UsageError: neither a positive number nor auto.
    """
    if tile == "auto":
        return auto
    try:
        size = 0 if isinstance(tile, float) else int(tile)
    except (TypeError, ValueError):
        size = 0
    if size < 1:
        raise UsageError(f"tile {tile!r}: give a size in pixels, or auto")
    return size
