"""Training a detector of anomalies: from a folder of good parts to a calibrated weight file."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.anomaly.addition import Addition
from restore.anomaly.calibration import NotableParts
from restore.anomaly.crops import PartCrops
from restore.anomaly.data import Parts, load_parts
from restore.anomaly.defects import with_defects
from restore.anomaly.finish import Finish
from restore.anomaly.folds import Stage, train_in_folds
from restore.anomaly.judge import AUROC, DefectJudge
from restore.anomaly.losses import draem_loss
from restore.anomaly.perlin import Dice
from restore.anomaly.recipe import AnomalyRecipe
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.task import TASK
from restore.anomaly.view import View
from restore.batch.inputs import pictures_in
from restore.errors import UsageError
from restore.models.autoencoder import Autoencoder
from restore.models.draem import Draem
from restore.training.loop import Forward
from restore.training.schedule import Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import continued
from restore.weights.store import Weights

__all__ = ["train_detector"]


@dataclass(frozen=True)
class _DefectBatch:
    """Pictures ``(B, C, P, P)`` with defects, without, masks of the defects, and what counts."""

    pictures: Tensor
    good: Tensor
    masks: Tensor
    inside: Tensor


@dataclass(frozen=True)
class _ReproductionBatch:
    """Good parts ``(B, C, P, P)``, normal noise ``(B, latent)``, and what counts."""

    pictures: Tensor
    noise: Tensor
    inside: Tensor


def train_detector(
    recipe: AnomalyRecipe,
    output: Path,
    *,
    good: Path,
    roi: RegionOfInterest | None = None,
    addition: Addition | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    calibrated: Callable[[NotableParts], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train on good parts alone and write the weight file; see ``train`` for the files beside it.

    Good parts that were not trained on are scored at the end; their scores, from which thresholds
    follow, are stored in the provenance under ``calibration``.

    Args:
        recipe: what to train and how.
        output: the weight file.
        good: folder (tree) of good parts.
        roi: where on them defects count; the recipe's ``roi`` is its name.
        addition: what an existing detector is trained on with; None for a new one.
        settings: where and how to run.
        report: called after every step.
        warn: called with a line about everything left out, or if a rate cannot be guaranteed.
        calibrated: called with the held-out parts that reach the threshold or stand out, when the
            detector, or that of a fold, is calibrated.
        should_stop: called after every step, and for every picture that is read or calibrated on.

    Raises:
        TrainingError: too few pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: an invalid recipe or folder.
    """

    def run(stage: Stage, settings: Settings) -> Weights:
        def prepare(context: Context) -> Lesson[Any]:
            return _lesson(stage, good, roi, addition, context, warn, calibrated, should_stop)

        return train(
            prepare, stage.recipe, stage.output, settings, report=report, should_stop=should_stop
        )

    if recipe.roi != (roi.name if roi else ""):
        raise UsageError(f"the recipe's roi is {recipe.roi!r}, not that of the region given")
    settings = settings or Settings()
    if recipe.folds:
        # Refuses what is no folder before files are replaced.
        pictures_in(good, recursive=True, warn=lambda _: None)
        return train_in_folds(recipe, output, run, settings, warn)
    return run(Stage(recipe, output), settings)


def _lesson(
    stage: Stage,
    good: Path,
    roi: RegionOfInterest | None,
    addition: Addition | None,
    context: Context,
    warn: Callable[[str], None],
    calibrated: Callable[[NotableParts], None],
    should_stop: Callable[[], bool],
) -> Lesson[Any]:
    recipe = stage.recipe
    parts = load_parts(
        good,
        scale=recipe.scale,
        target_fpr=recipe.target_fpr,
        seed=recipe.seed,
        view=View(roi=roi, min_area=recipe.min_area),
        align=recipe.align,
        fold=stage.fold,
        store=context.store,
        # Every stage reads the same folder.
        warn=warn if stage.is_first else lambda _: None,
        should_stop=should_stop,
    )
    description = _description(good, parts)
    stage.check_data(description)
    network = recipe.network(parts.channels)
    training, inside, pictures = parts.training, parts.training_inside, parts.training
    if addition:
        network = continued(network, addition.weights.tensors, addition.weights.name, warn)
        added, added_inside = addition.crops(parts, warn)
        training, inside = [*training, *added], [*inside, *added_inside]
        # Once each: they are repeated to reach their share of the crops.
        pictures = [*{id(picture): picture for picture in added}.values(), *pictures]
    crops = PartCrops(training, patch=recipe.patch, batch=context.crops_per_batch, inside=inside)
    provenance = {
        "recipe": asdict(recipe),
        "data": description,
        "inspection": {"scale": recipe.scale} | parts.view.as_mapping(),
    } | (addition.provenance() if addition else {})
    batches, objective = (
        _defect_lesson(network, crops)
        if isinstance(network, Draem)
        else _reproduction_lesson(network, crops)
    )
    return Lesson(
        network=network,
        batches=batches,
        objective=objective,
        judge=DefectJudge(
            parts.judging,
            patch=recipe.patch,
            seed=recipe.seed,
            device=context.device,
            inside=parts.judging_inside,
        ),
        provenance=provenance,
        pictures=parts.paths,
        task=TASK,
        finish=Finish(
            parts=parts,
            pictures=pictures,
            stage=stage,
            device=context.device,
            # A continuation has no folds.
            may_use_folds=not (stage.fold or addition),
            warn=warn,
            calibrated=calibrated,
            should_stop=should_stop,
        ),
        figure=AUROC,
        memory_advice=addition.memory_advice if addition else None,
    )


def _defect_lesson(
    network: Draem, crops: PartCrops
) -> tuple[Callable[[Randomness], _DefectBatch], Callable[[Forward, _DefectBatch], Tensor]]:
    is_part = bool(crops.inside)

    def batches(rng: Randomness) -> _DefectBatch:
        good = crops(rng)
        defective = with_defects(
            good.pictures, Dice(rng.host, rng.local), inside=good.inside if is_part else None
        )
        return _DefectBatch(defective.pictures, good.pictures, defective.masks, good.inside)

    def objective(forward: Forward, batch: _DefectBatch) -> Tensor:
        inside = batch.inside if is_part else None
        return draem_loss(network, forward(batch.pictures), batch.good, batch.masks, inside)

    return batches, objective


def _reproduction_lesson(
    network: Autoencoder, crops: PartCrops
) -> tuple[
    Callable[[Randomness], _ReproductionBatch], Callable[[Forward, _ReproductionBatch], Tensor]
]:
    def batches(rng: Randomness) -> _ReproductionBatch:
        good = crops(rng)
        shape = (len(good.pictures), network.config.latent)
        noise = torch.randn(shape, generator=rng.local, device=rng.device)
        return _ReproductionBatch(good.pictures, noise, good.inside)

    def objective(forward: Forward, batch: _ReproductionBatch) -> Tensor:
        result = forward(batch.pictures, batch.noise)
        cost = network.cost(batch.pictures, result)
        return (cost * batch.inside).sum() / batch.inside.sum().clamp_min(1)

    return batches, objective


def _description(folder: Path, parts: Parts) -> dict[str, str | int]:
    return {
        "folder": folder.resolve().name,
        "pictures": len(parts.training) + len(parts.judging) + len(parts.calibrating),
        "trained_on": len(parts.training),
        "channels": parts.channels,
        "bit_depth": parts.bit_depth,
    }
