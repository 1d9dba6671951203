"""Learning from a network instead of from clean pictures."""

from collections.abc import Callable
from dataclasses import replace

import torch

from restore.errors import UsageError
from restore.training.data import Batch
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

    Raises:
        UsageError: the teacher is for other pictures.
    """

    def __init__(
        self,
        batches: Callable[[torch.Generator, torch.device], Batch],
        teacher: Weights,
        *,
        channels: int,
    ) -> None:
        if teacher.channels != channels:
            raise UsageError(
                f"teacher {teacher.name} has {teacher.channels} channels, the student {channels}"
            )
        self.batches = batches
        self.teacher = build(teacher)

    def __call__(self, rng: torch.Generator, device: torch.device) -> Batch:
        """Draw one batch and let the teacher denoise it."""
        batch = self.batches(rng, device)
        with torch.no_grad():
            result = self.teacher.to(device)(batch.noisy, batch.sigma)
        return replace(batch, clean=result)
