"""A training run from its data to its weight file, the same for every task."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from restore.arguments import argument
from restore.engine.device import ALL_GPUS, resolve_device, training_dtype
from restore.engine.lane import is_out_of_memory
from restore.errors import TrainingError, UsageError
from restore.files import check_name, remove_stale_parts, sole_use
from restore.training.history import History
from restore.training.loop import Forward, Trainer
from restore.training.picture_store import PictureStore
from restore.training.recipe import Recipe
from restore.training.schedule import PSNR, Figure, Progress, TrainerConfig
from restore.training.state import Randomness, best_path, checkpoint_path, stopped_run
from restore.training.team import Team, assembled
from restore.weights.store import Weights, check_new_file, save_weights, weights_of
from restore.weights.task import Task

__all__ = ["Context", "Judge", "Lesson", "Settings", "train"]

B = TypeVar("B")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a training run that are not part of its recipe.

    Attributes:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32 or bf16 (autocast).
        compiled: run the network through ``torch.compile``.
        checkpoint_every: seconds between checkpoints.
        resume: continue from the checkpoint.
        overwrite: replace the output and the checkpoint of a stopped run.
        cache: folder of decoded pictures, see ``PictureStore``; None keeps them in memory.
        clock: returns the time by which a recipe's seconds are counted; CPU time excludes other
            work on the machine.
    """

    device: str = "auto"
    precision: str = "auto"
    compiled: bool = False
    checkpoint_every: float = 120.0
    resume: bool = False
    overwrite: bool = False
    cache: Path | None = None
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, kw_only=True)
class Context:
    """Device, precision, batch size and pictures of this process.

    Attributes:
        device: device of this process.
        precision: dtype of the forward pass.
        crops_per_batch: number of crops of the recipe's batch that are computed at once.
        store: where pictures are kept.
    """

    device: torch.device
    precision: torch.dtype
    crops_per_batch: int
    store: PictureStore = field(default_factory=PictureStore)


class Judge(Protocol):
    """Validates a network."""

    def __call__(self, network: nn.Module) -> float:
        """Return the lesson's figure on pictures that are not trained on; more is better."""

    def sheet(self) -> Tensor | None:
        """Return the last results as a contact sheet ``(3, H, W)``, or None without any."""


@dataclass(frozen=True, kw_only=True)
class Lesson(Generic[B]):
    """All that a task contributes to a training run.

    Attributes:
        network: network to train.
        batches: draws one batch; all its randomness comes from the argument.
        objective: maps the network and a batch to the loss.
        judge: validator of the averaged network.
        provenance: everything that determines the result; stored with the weights.
        pictures: files that are trained on; see ``Trainer``.
        task: task that the network is for.
        kept: returns the part of the trained network that is stored, in its final form.
        finish: adds the last measurements to the finished weights.
        check: raises early what would make ``finish`` fail; called before the first step.
        figure: figure that the judge measures.
        pace: see ``Trainer``.
        disturb: see ``Trainer``.
        memory_advice: what to do where memory is short; None for smaller batches or crops.
    """

    network: nn.Module
    batches: Callable[[Randomness], B]
    objective: Callable[[Forward, B], Tensor]
    judge: Judge
    provenance: dict[str, Any]
    task: Task
    finish: Callable[[Weights], Weights]
    pictures: Sequence[Path] = ()
    check: Callable[[Weights], None] = lambda _: None
    kept: Callable[[nn.Module], nn.Module] = lambda network: network
    figure: Figure = PSNR
    pace: Callable[[float], Iterable[nn.Parameter]] = lambda _: ()
    disturb: Callable[[nn.Module, Randomness], None] = lambda _network, _rng: None
    memory_advice: str | None = None

    def weights_of(self, network: nn.Module, name: str, provenance: dict[str, Any]) -> Weights:
        """Return the weights of ``network``, which is on the CPU."""
        return weights_of(self.kept(network), name=name, task=self.task.name, provenance=provenance)


def train(
    prepare: Callable[[Context], Lesson[B]],
    recipe: Recipe,
    output: Path,
    settings: Settings,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train as ``recipe`` says and write the weight file.

    Beside the output lie ``NAME.history.csv`` and ``.png`` (see ``History``) and, while it trains,
    ``NAME.checkpoint`` and ``NAME.best.safetensors``, the best weights so far. Started by
    `torchrun`, all processes train one network; when one is lost and `torchrun` starts them again,
    they continue from the checkpoint.

    Args:
        prepare: reads the data and builds the network.
        recipe: what to train and how.
        output: the weight file.
        settings: where and how to run.
        report: called after every step.
        should_stop: called after every step; whether to stop the run.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint exists and may not be replaced.
        UsageError: incompatible settings, or weights that could not be measured.
    """
    with assembled() as team, ExitStack() as held:
        checkpoint = checkpoint_path(output)
        again = team.restarts > 0
        if team.leads:
            remove_stale_parts(output.parent)
        resume = settings.resume or (again and team.as_leader_sees(checkpoint.exists))
        _check_outputs(output, checkpoint, resume=resume, overwrite=settings.overwrite or again)
        if team.leads:
            _keep_alone(output, held)
        team.wait()
        device = _device(settings.device, team)
        context = Context(
            device=device,
            precision=training_dtype(settings.precision, device),
            crops_per_batch=_crops_per_batch(recipe, team),
            store=PictureStore(settings.cache),
        )
        torch.manual_seed(recipe.seed)
        lesson = prepare(context)
        untrained = deepcopy(lesson.network)
        lesson.check(lesson.weights_of(untrained, output.stem, lesson.provenance))
        best = best_path(output)
        if team.leads and not resume:
            # Files of another run could later be resumed, or named as the last good state.
            for former in (checkpoint, best):
                former.unlink(missing_ok=True)
        history = History(output, resume=resume, figure=lesson.figure, sheet=lesson.judge.sheet)

        def note(progress: Progress) -> None:
            history(progress)
            report(progress)

        def keep(candidate: nn.Module) -> None:
            copied = deepcopy(candidate).cpu()
            weights = lesson.weights_of(copied, best.stem, lesson.provenance)
            save_weights(weights, best, overwrite=True)

        trainer = Trainer(
            lesson.network,
            lesson.batches,
            lesson.objective,
            _plan(recipe, context, settings),
            device=context.device,
            checkpoint=checkpoint,
            recipe=_plain(lesson.provenance),
            crops_per_batch=context.crops_per_batch,
            validate=lesson.judge,
            figure=lesson.figure,
            report=note,
            keep=keep,
            pace=lesson.pace,
            disturb=lesson.disturb,
            should_stop=should_stop,
            pictures=lesson.pictures,
            team=team,
        )
        try:
            with _memory_errors(lesson.memory_advice):
                trained, progress = trainer.run(resume=resume)
        except TrainingError:
            if team.leads:
                history.close()
            raise
        provenance = _plain(lesson.provenance) | {
            "steps": progress.step,
            "hours": round(progress.elapsed / 3600, 3),
            lesson.figure.key: progress.best,
            "device": context.device.type,
            "processes": team.size,
            "precision": str(context.precision).removeprefix("torch."),
        }
        weights = lesson.weights_of(trained.cpu(), output.stem, provenance)
        if team.leads:
            weights = lesson.finish(weights)
            save_weights(weights, output, overwrite=settings.overwrite or again)
            # Before the curve, which may fail: with the weights, the run is done.
            for passing in (checkpoint, best):
                passing.unlink(missing_ok=True)
            history.close()
        team.wait()
        return weights


def _keep_alone(output: Path, held: ExitStack) -> None:
    """Keep other runs from writing the same files, until ``held`` is closed.

    Raises:
        TrainingError: another run does.
    """
    try:
        held.enter_context(sole_use(output.parent, f"{output.stem}-training"))
    except UsageError as error:
        raise TrainingError(
            f"{output}: another run is writing it; wait for it, or choose another output"
        ) from error


@contextmanager
def _memory_errors(advice: str | None) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        usual = (
            f"give a smaller {argument('batch')} or {argument('patch')}, or let each step take its "
            f"batch in parts with {argument('accumulate')}"
        )
        raise TrainingError(f"not enough memory: {advice or usual}") from error


def _check_outputs(output: Path, checkpoint: Path, *, resume: bool, overwrite: bool) -> None:
    check_new_file(output, overwrite=overwrite)
    check_name(best_path(output))  # the longest of the names beside the output
    if checkpoint.exists() and not resume and not overwrite:
        raise stopped_run(checkpoint)


def _device(name: str, team: Team) -> torch.device:
    if name == ALL_GPUS:
        raise UsageError(
            f"device {name}: a training process has one GPU; for N of them use `torchrun "
            f"--nproc-per-node N -m imrestore train ...`, without {argument('device')}"
        )
    device = resolve_device(team.device_name(name))
    if device.type == "cuda":
        # NCCL and others use the current GPU: make it this one.
        torch.cuda.set_device(device.index or 0)
    return device


def _crops_per_batch(recipe: Recipe, team: Team) -> int:
    parts = recipe.accumulate * team.size
    if recipe.batch % parts:
        raise UsageError(
            f"a batch of {recipe.batch} cannot be divided into {parts} equal parts "
            f"(processes: {team.size}, parts of each: {recipe.accumulate})"
        )
    return recipe.batch // parts


def _plan(recipe: Recipe, context: Context, settings: Settings) -> TrainerConfig:
    return TrainerConfig(
        steps=recipe.steps,
        seconds=recipe.seconds,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        schedule=recipe.schedule,
        warmup=recipe.warmup,
        weight_decay=recipe.weight_decay,
        patience=recipe.early_stop,
        accumulate=recipe.accumulate,
        ema=recipe.ema,
        precision=context.precision,
        compiled=settings.compiled,
        checkpoint_every=settings.checkpoint_every,
        clock=settings.clock,
        seed=recipe.seed,
    )


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return ``value`` as it will look after a round trip through JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
