"""Learning from a network instead of from clean pictures."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from restore.engine.device import has_fast_bf16
from restore.errors import UsageError
from restore.training.data import Batch
from restore.training.randomness import Randomness
from restore.weights import Weights, build

__all__ = ["Distilled"]


class Distilled:
    """Batches whose target is a teacher's result (Hinton et al., 2015).

    No network can predict all of a clean picture from a noisy one; what nobody can predict only
    adds noise to the gradients. A teacher's result leaves it out, so that a student comes close to
    its teacher in far fewer steps than it would learn from clean pictures.

    Args:
        batches: draws batches with clean targets.
        teacher: weights of a denoiser for the same channels.
        channels: of the student.
        precision: dtype that the teacher runs in where the device computes in it.

    Raises:
        UsageError: the teacher is for other pictures.
    """

    def __init__(
        self,
        batches: Callable[[Randomness], Batch],
        teacher: Weights,
        *,
        channels: int,
        precision: torch.dtype,
    ) -> None:
        if teacher.channels != channels:
            raise UsageError(
                f"teacher {teacher.name} has {teacher.channels} channels, the student {channels}"
            )
        self.batches = batches
        self.teacher = build(teacher)
        self.precision = precision

    def __call__(self, rng: Randomness) -> Batch:
        """Draw one batch and let the teacher denoise it."""
        batch = self.batches(rng)
        kind = rng.device.type
        is_fast = self.precision != torch.float32 and (kind != "cpu" or has_fast_bf16())
        with torch.no_grad(), torch.autocast(kind, self.precision, enabled=is_fast):
            result: Tensor = self.teacher.to(rng.device)(batch.noisy, batch.sigma)
        return replace(batch, clean=result.float())
