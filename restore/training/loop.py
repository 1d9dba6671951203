"""The training loop: one readable path from a fresh network to its averaged weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restore.engine.device import has_fast_bf16
from restore.engine.rounding import call_rounded
from restore.errors import TrainingError, TrainingStopped
from restore.training.checkpoint import load_checkpoint, save_checkpoint
from restore.training.data import Batch

__all__ = ["Plan", "Progress", "run"]

_FINAL_RATE = 0.01
"""The cosine ends at this share of the learning rate."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how to train.

    Attributes:
        steps: optimiser steps, or None when ``seconds`` decides.
        seconds: training time after which the schedule ends, or None.
        learning_rate: peak of the schedule: linear warm-up, then a cosine down to 1 %.
        warmup: steps of the warm-up.
        gradient_norm: gradients are clipped to this norm.
        ema: decay of the averaged weights, which are the result.
        precision: dtype of the forward pass: autocast where the device computes in it, else
            rounding to it, so that weights made for bfloat16 can be trained on any CPU.
        checkpoint_every: seconds between checkpoints.
        validations: how often in the whole run the validation is computed.
        seed: of everything random.
    """

    steps: int | None
    seconds: float | None
    learning_rate: float
    warmup: int = 100
    gradient_norm: float = 1.0
    ema: float = 0.999
    precision: torch.dtype = torch.float32
    checkpoint_every: float = 120.0
    validations: int = 20
    seed: int = 0

    def progress(self, step: int, elapsed: float) -> float:
        """Return the share of the run that is done, 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, elapsed / self.seconds) if self.seconds else 1.0

    def rate(self, step: int, progress: float) -> float:
        """Return the learning rate at ``step``."""
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        decayed = _FINAL_RATE + (1 - _FINAL_RATE) * cosine
        return self.learning_rate * decayed * min(1.0, (step + 1) / self.warmup)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is known after a step.

    Attributes:
        step: optimiser steps done.
        progress: share of the run that is done, 0 to 1.
        elapsed: seconds of training, earlier runs that were resumed included.
        loss: running mean of the loss.
        validation_psnr: dB at the last validation, or None before the first.
        images_per_second: crops per second of training.
    """

    step: int
    progress: float
    elapsed: float
    loss: float
    validation_psnr: float | None
    images_per_second: float


def run(
    network: nn.Module,
    batches: Callable[[torch.Generator, torch.device], Batch],
    loss: Callable[[Tensor, Tensor], Tensor],
    plan: Plan,
    *,
    device: torch.device,
    checkpoint: Path,
    resume: bool = False,
    recipe: dict[str, Any],
    validate: Callable[[nn.Module], float] | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[nn.Module, Progress]:
    """Train ``network`` and return the average of its weights over the last steps.

    Args:
        network: called as ``network(noisy, sigma)``; trained in place.
        batches: draws one batch on the device; all its randomness comes from the generator.
        loss: maps result and clean ``(B, C, P, P)`` to a scalar.
        plan: schedule and optimiser settings.
        device: where to train.
        checkpoint: file of the run's state, written as ``plan`` says and when stopped.
        resume: continue from ``checkpoint`` as if the run had never stopped (bit for bit on a CPU
            when ``plan.steps`` is set).
        recipe: everything the run depends on; a resumed run must have the same.
        validate: returns a PSNR in dB for the averaged network.
        report: called after every step.
        should_stop: asked after every step.

    Raises:
        TrainingError: the loss is not finite, or the checkpoint is of another run.
        TrainingStopped: ``should_stop`` said so; the checkpoint has been written.
    """
    network.to(device).train()
    _channels_last(network)
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_ema(plan.ema), use_buffers=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=plan.learning_rate)
    rng = torch.Generator().manual_seed(plan.seed)
    step, spent, running_loss, psnr = 0, 0.0, math.nan, None
    parts: dict[str, Any] = {"network": network, "average": average, "optimizer": optimizer}

    if resume:
        state = load_checkpoint(checkpoint)
        if state["recipe"] != recipe:
            raise TrainingError(f"{checkpoint}: {_difference(state['recipe'], recipe)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        rng.set_state(state["rng"])
        step, spent, running_loss, psnr = (
            state[key] for key in ("step", "seconds", "loss", "validation_psnr")
        )

    def save() -> None:
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"step": step, "seconds": elapsed(), "loss": running_loss}
        state |= {"validation_psnr": psnr, "rng": rng.get_state(), "recipe": recipe}
        save_checkpoint(checkpoint, state)

    started = time.monotonic()
    steps_before, saved_at = step, started

    def elapsed() -> float:
        return spent + time.monotonic() - started

    progress = plan.progress(step, elapsed())
    latest = Progress(
        step=step, progress=progress, elapsed=spent, loss=running_loss, validation_psnr=psnr,
        images_per_second=0.0,
    )  # fmt: skip
    while progress < 1:
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step, progress)
        batch = batches(rng, device)
        value = loss(_forward(network, batch, plan.precision, device), batch.clean)
        if not torch.isfinite(value):
            raise TrainingError(
                f"the loss is not finite after {step} steps; the last good state is in "
                f"{checkpoint}: resume from it or start again with a lower --learning-rate"
            )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(network.parameters(), plan.gradient_norm)
        optimizer.step()
        average.update_parameters(network)
        step += 1
        running_loss = _smoothed(running_loss, value.item())

        before, progress = progress, plan.progress(step, elapsed())
        if validate and int(progress * plan.validations) > int(before * plan.validations):
            psnr = validate(average.module)
            network.train()
        trained = max(elapsed() - spent, 1e-9)
        latest = Progress(
            step=step, progress=progress, elapsed=elapsed(), loss=running_loss,
            validation_psnr=psnr,
            images_per_second=(step - steps_before) * len(batch.clean) / trained,
        )  # fmt: skip
        report(latest)
        if should_stop():
            save()
            raise TrainingStopped(f"stopped after {step} steps; continue with --resume")
        if time.monotonic() - saved_at > plan.checkpoint_every:
            save()
            saved_at = time.monotonic()
    save()
    return average.module.eval(), latest


def _forward(
    network: nn.Module, batch: Batch, precision: torch.dtype, device: torch.device
) -> Tensor:
    if precision != torch.float32 and device.type == "cpu" and not has_fast_bf16():
        return call_rounded(network, precision, batch.noisy, batch.sigma)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        result: Tensor = network(batch.noisy, batch.sigma)
    return result.float()


def _channels_last(network: nn.Module) -> None:
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _ema(decay: float) -> Callable[[Tensor, Tensor, Any], Tensor]:
    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        # Early on the average must forget the random start quickly.
        weight = min(decay, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(current, averaged, weight) if averaged.is_floating_point() else current

    return average


def _smoothed(mean: float, value: float) -> float:
    return value if math.isnan(mean) else 0.99 * mean + 0.01 * value


def _difference(saved: dict[str, Any], wanted: dict[str, Any]) -> str:
    keys = [key for key in wanted if saved.get(key) != wanted[key]]
    return "belongs to another run: " + ", ".join(
        f"{key} was {saved.get(key)}, is now {wanted[key]}" for key in keys
    )
