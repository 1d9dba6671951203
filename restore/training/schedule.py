"""Length, learning rate, progress and end of a training run."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from restore.arguments import argument
from restore.errors import TrainingStopped, UsageError

__all__ = ["PSNR", "SCHEDULES", "Figure", "Progress", "TrainerConfig", "raise_if_stopped"]

SCHEDULES = ("cosine", "step")

_FINAL_RATE = 0.01
_STEPS = ((0.6, 0.1), (0.9, 0.01))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that a validation measures; higher is better.

    Attributes:
        key: name in tables and in a weight file's provenance, with the unit.
        name: name shown to the reader.
        unit: unit shown after a number; "" for none.
    """

    key: str
    name: str
    unit: str

    @property
    def label(self) -> str:
        """Name and unit, as beside an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


PSNR = Figure(key="validation_psnr_db", name="PSNR", unit="dB")


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Schedule and optimiser of a training run.

    Attributes:
        steps: optimiser steps, or None when ``seconds`` decides.
        seconds: training time after which the schedule ends, or None.
        optimizer: adam, or muon for the hidden convolutions with Adam for the rest.
        learning_rate: peak of the schedule, after a linear warm-up.
        schedule: cosine, down to 1 %; or step, a tenth from 60 % and a hundredth from 90 %.
        warmup: steps of the warm-up; 0 for none.
        weight_decay: share of the weights that a step of learning rate 1 removes; None for the
            optimiser's own.
        patience: validations without an improvement after which the run ends; None for no limit.
        accumulate: batches whose gradients are averaged for each step.
        gradient_norm: gradients are clipped to this norm.
        ema: decay of the averaged weights, which are the result.
        precision: dtype of the forward pass: by autocast where the device supports it, else
            emulated by rounding, so that weights made for bfloat16 can be trained on any CPU.
        compiled: run the network through ``torch.compile``.
        checkpoint_every: seconds between checkpoints.
        clock: returns the time in seconds.
        validations: number of validations in the whole run.
        seed: seed of all random generators.

    Raises:
        UsageError: neither steps nor seconds.
    """

    steps: int | None = None
    seconds: float | None = None
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    schedule: str = "cosine"
    warmup: int = 100
    weight_decay: float | None = None
    patience: int | None = None
    accumulate: int = 1
    gradient_norm: float = 1.0
    ema: float = 0.999
    precision: torch.dtype = torch.float32
    compiled: bool = False
    checkpoint_every: float = 120.0
    clock: Callable[[], float] = time.monotonic
    validations: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a run without an end."""
        if self.steps is None and self.seconds is None:
            raise UsageError("a training needs steps or seconds")

    def progress(self, step: int, elapsed: float) -> float:
        """Return the share of the run that is done, 0 to 1."""
        if self.steps is not None:
            return step / self.steps if step < self.steps else 1.0
        return min(1.0, elapsed / self.seconds) if self.seconds else 1.0

    def rate(self, step: int, progress: float) -> float:
        """Return the learning rate at ``step``."""
        if self.schedule == "cosine":
            cosine = 0.5 * (1 + math.cos(math.pi * progress))
            factor = _FINAL_RATE + (1 - _FINAL_RATE) * cosine
        else:
            factor = min([1.0, *(factor for start, factor in _STEPS if progress >= start)])
        return self.learning_rate * factor * min(1.0, (step + 1) / max(1, self.warmup))


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a run after a step.

    Attributes:
        step: optimiser steps done.
        progress: share of the run that is done, 0 to 1.
        elapsed: seconds of training, including the runs that were resumed.
        loss: running mean of the loss.
        learning_rate: learning rate of this step.
        validation: figure of the last validation, or None before the first.
        best: figure of the best validation so far, or None before the first.
        images_per_second: crops per second of training, on all processes together.
        validated: whether a validation followed this step.
        figure: figure that the validation measures.
    """

    step: int
    progress: float
    elapsed: float
    loss: float
    learning_rate: float
    validation: float | None
    best: float | None
    images_per_second: float
    validated: bool
    figure: Figure = PSNR

    @property
    def numbers(self) -> dict[str, float]:
        """What a logger takes: loss, learning rate and speed, and the figure of a validation.

        >>> from restore.training.schedule import Progress
        >>> Progress(
        ...     step=10, progress=0.1, elapsed=5.0, loss=0.02, learning_rate=1e-3, validation=30.1,
        ...     best=30.1, images_per_second=80.0, validated=True,
        ... ).numbers["validation_psnr_db"]
        30.1
        """
        numbers = {
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "crops_per_second": self.images_per_second,
        }
        if self.validated and self.validation is not None:
            numbers[self.figure.key] = self.validation
        return {name: number for name, number in numbers.items() if math.isfinite(number)}


def raise_if_stopped(should_stop: Callable[[], bool]) -> None:
    """End a calibration, which follows a training, if it is asked to stop.

    Raises:
        TrainingStopped: ``should_stop`` returned True.
    """
    if should_stop():
        raise TrainingStopped(
            f"stopped while calibrating; continue with {argument('resume', True)}"
        )
