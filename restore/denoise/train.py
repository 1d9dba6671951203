"""Training a denoiser: from folders of pictures to a weight file."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from restore.arguments import argument
from restore.denoise.crops import Batch
from restore.denoise.data import open_training_data
from restore.denoise.pairs import PairNames
from restore.denoise.recipe import OF_NETWORK, DenoiseRecipe
from restore.denoise.task import TASK
from restore.denoise.transfer import started_from
from restore.engine.device import has_fast_bf16
from restore.errors import UsageError
from restore.models.dncnn import DnCNN
from restore.training.holding_out import Held
from restore.training.loop import Forward
from restore.training.losses import LOSSES
from restore.training.schedule import Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import origin
from restore.training.validation import Validation
from restore.weights.measure import check_measurable, measured
from restore.weights.own import checked_network
from restore.weights.store import Network, Weights

__all__ = ["Distilled", "add_rounding_noise", "teacher_for", "train_denoiser"]


def train_denoiser(
    recipe: DenoiseRecipe,
    output: Path,
    *,
    clean: Path | Sequence[Path] = (),
    pairs: tuple[Path, Path] | None = None,
    pair_names: PairNames | None = None,
    held: Held | None = None,
    start_from: str | Path | None = None,
    teacher: str | Path | None = None,
    network: nn.Module | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train a denoiser and write its weight file; see ``train`` for the files beside it.

    Args:
        recipe: what to train and how.
        output: the weight file.
        clean: folders (trees) of clean pictures, to which the recipe's noise is added.
        pairs: instead, folders of noisy and clean pictures.
        pair_names: how their names differ; None where they do not.
        held: what validates; None for some of the pictures. Of pairs, its folder has the folders
            noisy and clean, or the names that ``pair_names`` says.
        start_from: weights to begin with; see ``started_from``.
        teacher: weights of a teacher whose results replace the clean targets.
        network: network of one's own to train in place of the recipe's; a copy of it is trained.
        settings: where and how to run.
        report: called after every step.
        warn: called with one line about everything left out.
        should_stop: called after every step; True stops the training.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: a recipe, sources or weights that do not fit each other.
    """
    folders = [clean] if isinstance(clean, Path) else clean
    loss = LOSSES[recipe.loss]

    def objective(forward: Forward, batch: Batch) -> Tensor:
        return loss(forward(*batch.inputs), batch.clean)

    if network is not None and start_from is not None:
        raise UsageError("a network of your own starts from what it is: load weights into it")

    def prepare(context: Context) -> Lesson[Batch]:
        existing = None if start_from is None else TASK.load(start_from)
        if network is not None:
            trained = _own(network, recipe)
        elif existing is not None:
            trained = started_from(recipe.network(existing.config), existing, warn)
        else:
            trained = recipe.network()
        # Before the pictures are read, which may take minutes.
        guide = (
            teacher_for(TASK.load(teacher), channels=recipe.channels, patch=recipe.patch)
            if teacher is not None
            else None
        )
        source = open_training_data(
            recipe,
            clean=folders,
            pairs=pairs,
            pair_names=pair_names,
            held=held,
            batch=context.crops_per_batch,
            multiple=trained.multiple,
            store=context.store,
            warn=warn,
        )
        described = asdict(recipe)
        if network is not None:
            for name in OF_NETWORK:
                del described[name]
        if pairs is not None:  # they have noise of their own
            del described["noise"], described["sigma"]
        provenance: dict[str, Any] = {"recipe": described, "data": source.description}
        provenance |= origin(start_from)
        batches = source.batches
        if guide is not None and teacher is not None:
            batches = Distilled(batches, guide, precision=context.precision)
            provenance["teacher"] = Path(teacher).stem

        def disturb(trained: nn.Module, rng: Randomness) -> None:
            if isinstance(trained, DnCNN) and context.precision == torch.bfloat16:
                add_rounding_noise(trained.convolutions[1:], rng)

        return Lesson(
            network=trained,
            batches=batches,
            objective=objective,
            judge=Validation(source.held_out, context.device),
            provenance=provenance,
            pictures=source.paths,
            task=TASK,
            kept=_folded,
            disturb=disturb,
            finish=partial(measured, task=TASK),
            check=partial(check_measurable, task=TASK),
        )

    return train(
        prepare, recipe, output, settings or Settings(), report=report, should_stop=should_stop
    )


def _own(network: nn.Module, recipe: DenoiseRecipe) -> Any:
    """Return a copy of a network of one's own that the recipe's crops fit.

    Raises:
        UsageError: they do not fit, or it lacks what networks must have.
    """
    copied: Any = deepcopy(checked_network(network))
    if copied.config.channels != recipe.channels:
        raise UsageError(
            f"the network has {copied.config.channels} channels, the recipe {recipe.channels}"
        )
    recipe.check_patch(copied.multiple, copied)
    return copied


def _folded(network: nn.Module) -> nn.Module:
    """Return a trained denoiser without batch norm, which is folded into its convolutions."""
    return network.fold() if isinstance(network, DnCNN) else network


_SIZE = 2**-7


def add_rounding_noise(convolutions: Iterable[nn.Conv2d], rng: Randomness) -> None:
    """Multiply the inputs of the convolutions in training by 1 plus or minus 1/128, at random.

    Rounding to bfloat16 moves a number by up to 1/256 of itself, so that a feature that lies far
    from zero and varies little loses most of its information. Gradients through rounding ignore
    this loss; gradients through noise see it and move features to where rounding does no harm.
    Evaluation is unaffected.

    Args:
        convolutions: convolutions between feature maps ``(B, C, H, W)``.
        rng: source of the noise.
    """
    noise = _Noise(rng)
    for convolution in convolutions:
        convolution.register_forward_pre_hook(noise)


class _Noise:
    """A hook that multiplies features by a long strip of factors, from a random start."""

    def __init__(self, rng: Randomness) -> None:
        self.rng = rng
        self.strip = torch.empty(0)

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        if not layer.training:
            return None
        features = inputs[0]
        batch, channels, height, width = features.shape
        count = features.numel()
        if len(self.strip) < 2 * count or self.strip.dtype != features.dtype:
            # From a seed of its own: what is drawn does not depend on when a run was resumed.
            own = torch.Generator().manual_seed(0)
            signs = torch.randperm(2 * count, generator=own) % 2 * 2 - 1
            self.strip = (1 + _SIZE * signs).to(features)
        start = int(torch.randint(count, (), generator=self.rng.host))
        factors = self.strip[start : start + count].view(batch, height, width, channels)
        return (features * factors.permute(0, 3, 1, 2),)


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
        raise UsageError(
            f"{argument('patch')} {patch}: give a multiple of {multiple} for teacher {weights.name}"
        )
    return network


class Distilled:
    """Batches whose target is a teacher's result (Hinton et al., 2015).

    No network can predict a clean picture entirely from a noisy one; the unpredictable part only
    adds noise to the gradients. A teacher's result lacks that part, so that a student approaches
    its teacher in far fewer steps than it needs with clean targets.

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
