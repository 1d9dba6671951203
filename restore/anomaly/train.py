"""Training a detector of anomalies: from a folder of good parts to a calibrated weight file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.anomaly.addition import Addition
from restore.anomaly.calibration import Calibration, least_rate, least_sample
from restore.anomaly.crops import PartCrops
from restore.anomaly.data import Parts, load_parts
from restore.anomaly.defects import with_defects
from restore.anomaly.edges import EdgeProfile
from restore.anomaly.familiarity import UNFAMILIAR_FPR, Familiarity
from restore.anomaly.folds import Stage, train_in_folds
from restore.anomaly.judge import AUROC, DefectJudge
from restore.anomaly.looks import looks_of
from restore.anomaly.losses import draem_loss
from restore.anomaly.made_defects import try_made_defects
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.part import read_part
from restore.anomaly.perlin import Dice
from restore.anomaly.recipe import AnomalyRecipe
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.task import TASK
from restore.anomaly.texture import TextureMemory
from restore.anomaly.view import View
from restore.batch.inputs import pictures_in
from restore.engine.placement import Placement
from restore.errors import TrainingError, UsageError
from restore.models.autoencoder import Autoencoder
from restore.models.draem import Draem
from restore.training.loop import Forward
from restore.training.picture_store import Samples
from restore.training.schedule import Progress, raise_if_stopped
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import continued
from restore.weights.store import Weights

__all__ = ["train_detector"]

_MAPS = 100


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
        should_stop: called after every step, and for every picture that is read or calibrated on.

    Raises:
        TrainingError: too few pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: an invalid recipe or folder.
    """

    def run(stage: Stage, settings: Settings) -> Weights:
        def prepare(context: Context) -> Lesson[Any]:
            return _lesson(stage, good, roi, addition, context, warn, should_stop)

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
        finish=lambda weights: _calibrated(
            weights,
            parts,
            pictures,
            stage,
            context.device,
            warn,
            should_stop,
            # A continuation has no folds.
            advice="" if stage.fold or addition else _advice(parts, recipe),
        ),
        figure=AUROC,
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


def _calibrated(
    weights: Weights,
    parts: Parts,
    pictures: Sequence[Samples],
    stage: Stage,
    device: torch.device,
    warn: Callable[[str], None],
    should_stop: Callable[[], bool],
    *,
    advice: str,
) -> Weights:
    """Return ``weights`` in half precision with the scores of good parts not trained on."""
    rounded = {key: tensor.half().float() for key, tensor in weights.tensors.items()}
    if all(torch.isfinite(tensor).all() for tensor in rounded.values()):
        weights = replace(weights, tensors=rounded, stored_dtype=torch.float16)
    maps = _training_maps(weights, parts, device, should_stop)
    edges = EdgeProfile.of(maps)
    for each in maps:
        edges.relieve(each)
    texture = TextureMemory.of(
        pictures,
        [float(each.max()) for each in maps],
        box=_box_at_scale(parts, stage),
        seed=stage.recipe.seed,
        should_stop=should_stop,
    )
    placement = Placement(device=str(device), precision="fp32")
    network = InspectionNetwork(
        weights,
        placement,
        scale=stage.recipe.scale,
        edges=edges,
        texture=texture,
        view=parts.view,
    )
    if parts.calibrating:
        warn(f"calibrating on {len(parts.calibrating)} parts")
    scores: dict[Path, float] = {}
    for path in parts.calibrating:
        raise_if_stopped(should_stop)
        scores[path] = network(read_part(path).pixels).score
    try:
        calibration = Calibration(
            scores=(*stage.scores, *scores.values()), target_fpr=stage.recipe.target_fpr
        )
    except ValueError as error:
        raise TrainingError(f"the trained network cannot be calibrated: {error}") from error
    if stage.is_last and (shortfall := calibration.shortfall()):
        warn(f"{shortfall}; {advice}" if advice else shortfall)
    if above := calibration.told_highest(scores):
        warn(above)
    provenance = weights.provenance | {
        "inspection": weights.provenance["inspection"]
        | {"edge_factors": list(edges.factors)}
        | ({"texture": texture.as_mapping()} if texture else {}),
        "calibration": calibration.as_mapping(),
    }
    if stage.is_last:
        looks = looks_of(weights, stage.recipe.scale, parts.paths, should_stop)
        familiarity = Familiarity.of(looks)
        if shortfall := familiarity.shortfall(UNFAMILIAR_FPR):
            warn(shortfall)
        trial = try_made_defects(
            InspectionNetwork(weights, placement, edges=edges, texture=texture),
            parts.judging,
            parts.judging_inside,
            calibration.threshold(),
            patch=stage.recipe.patch,
            seed=stage.recipe.seed,
            should_stop=should_stop,
        )
        warn(trial.sentence())
        steps = int(provenance["steps"])
        if advice := trial.warning(stage.recipe, steps=steps, parts=len(parts.training)):
            warn(advice)
        provenance |= {
            "familiarity": familiarity.as_mapping(),
            "made_defects": trial.as_mapping(),
        }
    return replace(weights, provenance=provenance)


def _training_maps(
    weights: Weights, parts: Parts, device: torch.device, should_stop: Callable[[], bool]
) -> list[NDArray[np.float32]]:
    """Return score maps of training parts, by which scores are adjusted.

    Parts that were not trained on stay unseen: they calibrate the adjusted scores.
    """
    network = InspectionNetwork(weights, Placement(device=str(device), precision="fp32"))
    maps = []
    for index, part in enumerate(parts.training[:_MAPS]):
        raise_if_stopped(should_stop)
        scores = network.raw(part[:].numpy()).scores
        if parts.training_inside:
            scores = scores * parts.training_inside[index][:].numpy()
        maps.append(scores)
    return maps


def _box_at_scale(parts: Parts, stage: Stage) -> tuple[int, int, int, int] | None:
    """Return the box around the region of interest, in pixels of the scaled pictures."""
    if parts.view.roi is None:
        return None
    left, top, width, height = (side // stage.recipe.scale for side in parts.view.roi.box)
    return left, top, max(1, width), max(1, height)


def _advice(parts: Parts, recipe: AnomalyRecipe) -> str:
    """Return what false-alarm rate could be guaranteed if all parts calibrated."""
    promised = (
        "which is enough"
        if parts.usable >= least_sample(recipe.target_fpr)
        else f"which would guarantee {least_rate(parts.usable):.2g}"
    )
    return f"with --folds all {parts.usable} parts count, {promised}"
