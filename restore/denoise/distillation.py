"""Learning from a network instead of from clean pictures."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from restore.denoise.crops import Batch
from restore.engine.device import has_fast_bf16
from restore.errors import UsageError
from restore.training.randomness import Randomness
from restore.weights.store import Network, Weights

__all__ = ["Distilled", "teacher_for"]


def teacher_for(weights: Weights, *, channels: int, patch: int) -> nn.Module:
    """Return the network of ``weights``, after checking that it can teach.

    Args:
        weights: of a denoiser.
        channels: of the student.
        patch: side of the crops that it learns from, in pixels.

    Raises:
        UsageError: the teacher is for other pictures.
        WeightsError: the tensors do not fit the architecture.
    """
    if weights.channels != channels:
        raise UsageError(
            f"teacher {weights.name} has {weights.channels} channels, the student {channels}"
        )
    network = weights.build()
    multiple = cast(Network, network).multiple
    if patch % multiple:
        raise UsageError(f"patch must be a multiple of {multiple} for teacher {weights.name}")
    return network


class Distilled:
    """Batches whose target is a teacher's result (Hinton et al., 2015).

    No network can predict all of a clean picture from a noisy one; what nobody can predict only
    adds noise to the gradients. A teacher's result leaves it out, so that a student comes close to
    its teacher in far fewer steps than it would learn from clean pictures.

    Args:
        batches: draws batches with clean targets.
        teacher: a network that ``teacher_for`` returned.
        precision: dtype that the teacher runs in where the device computes in it.
    """

    def __init__(
        self,
        batches: Callable[[Randomness], Batch],
        teacher: nn.Module,
        *,
        precision: torch.dtype,
    ) -> None:
        self.batches = batches
        self.teacher = teacher
        self.precision = precision

    def __call__(self, rng: Randomness) -> Batch:
        """Draw one batch and let the teacher denoise it."""
        batch = self.batches(rng)
        kind = rng.device.type
        is_fast = self.precision != torch.float32 and (kind != "cpu" or has_fast_bf16())
        with torch.no_grad(), torch.autocast(kind, self.precision, enabled=is_fast):
            result: Tensor = self.teacher.to(rng.device)(batch.noisy, batch.sigma)
        return replace(batch, clean=result.float())
