"""The training loop of every task: one readable path from a network to its averaged weights."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from restore.arguments import argument
from restore.engine.device import has_fast_bf16
from restore.engine.lane import is_out_of_memory
from restore.errors import TrainingError, TrainingStopped, UsageError
from restore.training.optimizers import OPTIMIZERS
from restore.training.parameters import blend, channels_last, flushing_denormals
from restore.training.resumption import changes_of, touched
from restore.training.schedule import PSNR, Figure, Progress, TrainerConfig
from restore.training.standing import Standing
from restore.training.state import (
    Randomness,
    load_checkpoint,
    save_checkpoint,
    state_of,
    unusable,
)
from restore.training.team import Team
from restore.weights.half import Rounded
from restore.words import counted

__all__ = ["Forward", "Trainer", "absolute_error"]

log = logging.getLogger("restore")

B = TypeVar("B")

Forward = Callable[..., Tensor]

_PLAN = TrainerConfig(steps=10_000)

_MISFITS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What PyTorch raises when it is given a state of something else."""


def absolute_error(forward: Forward, batch: Any) -> Tensor:
    """Return the mean absolute error of a network's results.

    Args:
        forward: the network.
        batch: its input and what it should make of it, of one shape.
    """
    given, wanted = batch
    error: Tensor = (forward(given) - wanted).abs().mean()
    return error


class Trainer(Generic[B]):
    """Trains a network; all of its state is in its checkpoint.

    One at a time in a process: ``run`` sets how PyTorch treats denormals and float32 convolutions.

    Args:
        network: network to train, in place.
        batches: draws one batch; all its randomness comes from the argument.
        objective: returns the loss, given the network as a function in the run's precision, and a
            batch; without it batches are pairs, of which ``absolute_error`` is the loss.
        plan: schedule and optimiser settings; without it 10,000 steps.
        device: where to train, as PyTorch writes it.
        checkpoint: file of the run's state, written as ``plan`` says and when stopped; without it
            a run that is stopped is lost.
        recipe: everything the run depends on, as plain values; a resumed run must have the same.
        crops_per_batch: number of crops in a batch, for the reported speed.
        validate: returns ``figure`` for the averaged network; without it the last weights are
            the best.
        figure: figure that ``validate`` measures.
        report: called after every step in the leading process; its time is not training time.
        keep: called with the averaged network whenever a validation is the best so far.
        pace: called before every step with the share of the training that is done; returns the
            parameters that stay frozen.
        disturb: called before the first step with the network, but not its average, and the run's
            random generators.
        should_stop: called after every step; whether to stop the run.
        pictures: files that are trained on; a resumed run tells which have changed since.
        team: the processes that train together.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: Callable[[Randomness], B],
        objective: Callable[[Forward, B], Tensor] = absolute_error,
        plan: TrainerConfig = _PLAN,
        *,
        device: torch.device | str = "cpu",
        checkpoint: str | Path | None = None,
        recipe: Mapping[str, Any] = MappingProxyType({}),
        crops_per_batch: int = 1,
        validate: Callable[[nn.Module], float] | None = None,
        figure: Figure = PSNR,
        report: Callable[[Progress], None] = lambda _: None,
        keep: Callable[[nn.Module], None] = lambda _: None,
        pace: Callable[[float], Iterable[nn.Parameter]] = lambda _: (),
        disturb: Callable[[nn.Module, Randomness], None] = lambda _network, _rng: None,
        should_stop: Callable[[], bool] = lambda: False,
        pictures: Sequence[Path] = (),
        team: Team | None = None,
    ) -> None:
        self.plan, self.device, self.team = plan, torch.device(device), team or Team()
        self.batches, self.objective = batches, objective
        self.validate, self.figure = validate, figure
        self.report, self.keep, self.pace = report, keep, pace
        self.should_stop = should_stop
        self.pictures = pictures
        self._seen = state_of(pictures)  # now: what was read, not what has changed since
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.recipe = {**recipe, "processes": self.team.size}
        self.crops_per_step = crops_per_batch * plan.accumulate * self.team.size

        self.network = channels_last(network.to(self.device).train())
        self.average = deepcopy(network).requires_grad_(False)
        self.optimizer = OPTIMIZERS[plan.optimizer](network, plan.weight_decay)
        self.rng = Randomness(plan.seed, self.device, rank=self.team.rank)
        disturb(network, self.rng)
        self.step, self.seconds, self.loss = 0, 0.0, math.nan
        self.standing = Standing()
        is_half = plan.precision != torch.float32
        is_emulated = is_half and self.device.type == "cpu" and not has_fast_bf16()
        self._autocast = is_half and not is_emulated
        model = Rounded(network, plan.precision) if is_emulated else network
        if plan.compiled:
            model.compile()
        self._model = self.team.averaging(model)

    def run(self, *, resume: bool = False) -> tuple[nn.Module, Progress]:
        """Train to the end of the plan.

        Args:
            resume: continue from the checkpoint as if the run had never stopped (bit for bit on a
                CPU when the plan counts steps).

        Returns:
            The averaged network with the best validation, in evaluation mode, and the progress
            after the last step.

        Raises:
            TrainingError: the loss is not finite, or the checkpoint belongs to another run.
            TrainingStopped: ``should_stop`` returned True; the checkpoint has been written.
            UsageError: there is no checkpoint to resume from.
        """
        # Float32 convolutions must be exact: structural similarity subtracts nearly equal numbers.
        with flushing_denormals(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self._run(resume=resume)

    def _run(self, *, resume: bool) -> tuple[nn.Module, Progress]:
        if resume:
            self._load()
        self.should_stop()  # from the first question on, a signal waits for a checkpoint
        if not resume:
            self._validate_before()
        started, seconds_before, steps_before = self.plan.clock(), self.seconds, self.step
        saved_at, reporting = started, 0.0
        progress = self.plan.progress(self.step, self.seconds)
        latest = self._progress(progress, 0.0, validated=False)
        upcoming = self._drawn()
        while progress < 1:
            rate = self.plan.rate(self.step, progress)
            loss = self._update(upcoming, rate, self.pace(progress))
            # Drawn while the device still computes; a checkpoint holds the state before the draw.
            rng_state = self.rng.state()
            upcoming = self._drawn()
            value = loss.item()
            self.step += 1

            now = self.plan.clock()
            passed, reported, is_broken, is_stopped, is_due, is_enough = self.team.highest(
                now - started,
                reporting,
                not math.isfinite(value),
                self.should_stop(),
                now - saved_at > self.plan.checkpoint_every,
                self.plan.patience is not None and self.standing.in_vain >= self.plan.patience,
            )
            # The others of a team wait while the leading process reports.
            self.seconds = seconds_before + passed - reported
            if is_broken:
                raise TrainingError(self._broken())
            self.loss = value if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * value
            before, progress = progress, self.plan.progress(self.step, self.seconds)
            parts = self.plan.validations
            validated = int(progress * parts) > int(before * parts) and self._validate()

            trained = max(self.seconds - seconds_before, 1e-9)
            speed = (self.step - steps_before) * self.crops_per_step / trained
            latest = self._progress(progress, speed, rate=rate, validated=validated)
            if self.team.leads:
                before_report = self.plan.clock()
                self.report(latest)
                reporting += self.plan.clock() - before_report
            if is_stopped or is_due or is_enough or progress >= 1:
                self._save(rng_state)
                saved_at = self.plan.clock()
            if is_enough:
                log.warning(
                    "ended after %d steps: %d validations brought no improvement",
                    self.step,
                    self.plan.patience,
                )
                break
            if is_stopped and progress < 1:
                going_on = f"; continue with {argument('resume', True)}" if self.checkpoint else ""
                raise TrainingStopped(f"stopped after {counted(self.step, 'step')}{going_on}")
        if self.standing.best:
            self.average.load_state_dict(self.standing.best)
        return self.average.eval(), latest

    def _validate_before(self) -> None:
        """Measure and report the network as it is before the first step."""
        if self._validate() and self.team.leads:
            self.report(self._progress(0.0, 0.0, validated=True))

    def _drawn(self) -> list[B]:
        return [self.batches(self.rng) for _ in range(self.plan.accumulate)]

    def _update(self, batches: list[B], rate: float, resting: Iterable[nn.Parameter]) -> Tensor:
        """Take one optimiser step and return the mean loss without waiting for it."""
        self.optimizer.set_rate(rate)
        self.optimizer.zero_grad()
        losses = []
        for left, batch in zip(reversed(range(len(batches))), batches, strict=True):
            with self.team.without_averaging(self._model) if left else nullcontext():
                loss = self.objective(self._forward, batch) / len(batches)
                torch.autograd.backward(loss)
            losses.append(loss.detach())
        for parameter in resting:
            # With zeros the optimiser would count steps, and then start with far too large ones.
            parameter.grad = None
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.gradient_norm)
        self.optimizer.step()
        # Early on the average must forget the random start quickly.
        decay = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        blend(self.average, self.network, decay=decay)
        return torch.stack(losses).sum()

    def _forward(self, *inputs: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.plan.precision, enabled=self._autocast):
            result: Tensor = self._model(*inputs)
        return result.float()

    def _validate(self) -> bool:
        if self.validate is None:
            return False
        if self.team.leads and self.standing.add(self.validate(self.average), self.average):
            self.keep(self.average)
        self.network.train()
        return True

    def _progress(
        self, progress: float, speed: float, *, rate: float = 0.0, validated: bool
    ) -> Progress:
        return Progress(
            step=self.step,
            progress=progress,
            elapsed=self.seconds,
            loss=self.loss,
            learning_rate=rate,
            validation=self.standing.reached,
            best=self.standing.most,
            images_per_second=speed,
            validated=validated,
            figure=self.figure,
        )

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}

    def _save(self, rng_state: list[Tensor]) -> None:
        if self.checkpoint is None:
            return
        rngs = self.team.gathered(rng_state)
        if self.team.leads:
            state = {name: part.state_dict() for name, part in self._parts().items()}
            state |= {"step": self.step, "seconds": self.seconds, "loss": self.loss}
            state |= self.standing.state()
            state |= {"rngs": rngs, "recipe": self.recipe, "pictures": self._seen}
            save_checkpoint(self.checkpoint, state)

    def _load(self) -> None:
        if self.checkpoint is None:
            raise UsageError(f"{argument('resume', True)}: this run has no checkpoint")
        state = self.team.as_leader_sees(partial(load_checkpoint, self.checkpoint))
        try:
            changes = changes_of(state["recipe"], self.recipe)
        except ValueError as error:
            raise TrainingError(f"{self.checkpoint}: {error}") from error
        try:
            self._take(state)
        except _MISFITS as error:
            if is_out_of_memory(error):
                raise
            raise unusable(self.checkpoint) from error
        if self.team.leads:
            for line in (*changes, *touched(state.get("pictures"), self.pictures)):
                log.warning("%s: %s", self.checkpoint, line)

    def _take(self, state: dict[str, Any]) -> None:
        """Continue from ``state``.

        Raises:
            Exception: one of ``_MISFITS`` where it is not the state of such a run.
        """
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.seconds, self.loss = (state[key] for key in ("step", "seconds", "loss"))
        if type(self.step) is not int or not all(
            isinstance(each, float | int) for each in (self.seconds, self.loss)
        ):
            raise TypeError("steps, seconds and losses are numbers")
        self.standing.restore(state, self.average)
        # Of more processes than before, the others begin with generators of their own.
        if self.team.rank < max(1, len(state["rngs"])):
            self.rng.restore(state["rngs"][self.team.rank])

    def _broken(self) -> str:
        kept = (
            f"the last good state is in {self.checkpoint}: resume from it or start again"
            if self.checkpoint is not None and self.checkpoint.exists()
            else "start again"
        )
        return (
            f"the loss is not finite after {counted(self.step - 1, 'step')}; "
            f"{kept} with a lower {argument('learning_rate')}"
        )
