"""Where and how a network runs: device, precision and tile size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restore.errors import UsageError

__all__ = ["MAX_PRECISION_LOSS_DB", "PRECISION_NAMES", "Placement", "choose_precision"]

PRECISION_NAMES = ("fp32", "fp16", "bf16")

MAX_PRECISION_LOSS_DB = 0.02
"""The largest measured loss against float32 that ``--precision auto`` accepts."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Device, precision and tile size that a user asks for.

    Attributes:
        device: auto, cpu, cuda, cuda:N, cuda:all or mps; auto is a GPU if there is one.
        precision: auto, fp32, fp16 or bf16; auto is the fastest one on the device whose measured
            loss for the weights is at most 0.02 dB.
        tile: side of the tiles in pixels, or auto.
    """

    device: str = "auto"
    precision: str = "auto"
    tile: str | int = "auto"

    def tile_size(self, auto: int) -> int:
        """Return the side of the tiles in pixels.

        Args:
            auto: side in pixels that auto stands for.

        Raises:
            UsageError: ``tile`` is neither a positive number nor auto.
        """
        if self.tile == "auto":
            return auto
        try:
            size = 0 if isinstance(self.tile, float) else int(self.tile)
        except (TypeError, ValueError):
            size = 0
        if size < 1:
            raise UsageError(f"tile {self.tile!r}: give a size in pixels, or auto")
        return size


def choose_precision(
    name: str, fast: Sequence[str], losses_db: Mapping[str, Mapping[str, float]]
) -> str:
    """Return the precision to run in: ``name``, or for auto the fastest one that is safe.

    Args:
        name: auto, fp32, fp16 or bf16.
        fast: precisions that are faster than float32 on the device, best first.
        losses_db: measured losses stored with the weights: precision -> sigma -> dB.

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
