"""The training recipe of a network, which is stored with its weights."""

from dataclasses import dataclass

from restore.errors import UsageError
from restore.training.optimizers import OPTIMIZERS
from restore.training.schedule import SCHEDULES

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that the recipes of all tasks share.

    Attributes:
        patch: side of the training crops in pixels.
        batch: crops per step, over all processes and accumulated parts.
        accumulate: number of parts that a batch is split into, to save memory.
        optimizer: muon or adam.
        learning_rate: peak learning rate of the schedule.
        schedule: cosine or step.
        steps: optimiser steps, or None when ``seconds`` decides.
        seconds: training time, or None.
        ema: decay of the averaged weights.
        seed: seed of all random generators.
    """

    patch: int = 64
    batch: int = 16
    accumulate: int = 1
    optimizer: str = "muon"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    steps: int | None = None
    seconds: float | None = None
    ema: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        self.check(
            {
                "give either --steps, a number of them, or --time, as in 2h": (self.steps is None)
                != (self.seconds is None),
                "steps and time must be positive": (self.steps or self.seconds or 0) > 0,
                f"optimizer {self.optimizer!r}: use {' or '.join(OPTIMIZERS)}": self.optimizer
                in OPTIMIZERS,
                "the learning rate must be positive": self.learning_rate > 0,
                f"schedule {self.schedule!r}: use {' or '.join(SCHEDULES)}": self.schedule
                in SCHEDULES,
                "batch must be at least 1": self.batch >= 1,
                "accumulate must be at least 1": self.accumulate >= 1,
                "patch must be at least 16 pixels": self.patch >= 16,
                "the average's decay must lie in [0, 1)": 0 <= self.ema < 1,
            }
        )

    @staticmethod
    def check(rules: dict[str, bool]) -> None:
        """Raise a UsageError with the first of ``rules`` that is broken."""
        for message, kept in rules.items():
            if not kept:
                raise UsageError(message)
