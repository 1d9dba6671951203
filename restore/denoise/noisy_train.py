"""Training a denoiser on noisy pictures alone."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import torch

from restore.batch.inputs import names_of
from restore.denoise.noisy_methods import Batches, batches_of
from restore.denoise.noisy_pictures import NoisyPictures, as_floats, open_noisy_pictures
from restore.denoise.noisy_recipe import NoisyRecipe
from restore.denoise.self_supervision import (
    AGREEMENT,
    Example,
    NoisyLoss,
    NoisyValidation,
)
from restore.denoise.task import TASK
from restore.denoise.transfer import started_from
from restore.models.resunet import ResUNet
from restore.noise.level import estimate_noise
from restore.training.holding_out import hold_out
from restore.training.picture_store import Samples
from restore.training.schedule import Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import origin
from restore.weights.measure import check_measurable, measured
from restore.weights.store import Weights

__all__ = ["train_on_noisy"]

_VALIDATION_CROPS = 16
_VALIDATION_BATCHES = 4


def train_on_noisy(
    recipe: NoisyRecipe,
    output: Path,
    *,
    noisy: Sequence[Path],
    start_from: str | Path | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train a ResUNet on noisy pictures and write its weight file; see ``train``.

    Args:
        recipe: what to train and how.
        output: the weight file.
        noisy: folders (trees) of noisy pictures of one kind, see ``open_noisy_pictures``.
        start_from: weights to begin with, see ``started_from``.
        settings: where and how to run.
        report: called after every step.
        warn: called with one line about the noise, and about everything left out.
        should_stop: called after every step; True stops the training.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: a recipe, folders or weights that do not fit each other.
    """

    def prepare(context: Context) -> Lesson[Example]:
        recipe.network()  # refused before the pictures are read, which may take minutes
        start = None if start_from is None else TASK.load(start_from)
        found = open_noisy_pictures(
            noisy,
            method=recipe.method,
            channels=recipe.channels or (1 if start is not None and start.channels == 1 else 0),
            patch=recipe.patch,
            store=context.store,
            warn=warn,
        )
        widths = recipe.widths or (start.config.widths if _is_resunet(start) else ())
        used = replace(recipe, method=found.method, channels=found.channels, widths=widths)
        takes_level = start is not None and start.takes_sigma and not recipe.blind
        network = used.network(takes_level=takes_level)
        if start is not None:
            network = started_from(network, start, warn)
        training, kept = hold_out(range(len(found.scenes)), warn, what="scene")

        def batches(scenes: Sequence[int], count: int) -> Batches:
            frames = [found.scenes[index] for index in scenes]
            levels = _levels(frames) if takes_level else [0.0] * len(scenes)
            return batches_of(found, scenes, levels, patch=used.patch, batch=count)

        loss = NoisyLoss()
        rng = Randomness(used.seed, torch.device("cpu"))
        drawn = batches(kept, _VALIDATION_CROPS)
        provenance: dict[str, Any] = {
            "recipe": asdict(used),
            "data": {"folder": names_of(noisy), **_described(found)},
            **found.samples.provenance,
        }
        provenance |= origin(start_from)
        return Lesson(
            network=network,
            batches=batches(training, context.crops_per_batch),
            objective=loss,
            judge=NoisyValidation([drawn(rng) for _ in range(_VALIDATION_BATCHES)], context.device),
            provenance=provenance,
            pictures=found.paths,
            task=TASK,
            finish=partial(measured, task=TASK),
            check=partial(check_measurable, task=TASK),
            figure=AGREEMENT,
            pace=loss.pace,
        )

    return train(
        prepare, recipe, output, settings or Settings(), report=report, should_stop=should_stop
    )


def _is_resunet(start: Weights | None) -> TypeGuard[Weights]:
    return start is not None and start.network is ResUNet


def _described(found: NoisyPictures) -> dict[str, Any]:
    down, across = found.correlation.reach
    measured_noise = {} if found.noise is None else {"sigma": round(found.noise.sigma, 6)}
    return {
        "noisy": found.pictures,
        "scenes": len(found.scenes),
        "correlated_down_px": down,
        "correlated_across_px": across,
        **measured_noise,
    }


def _levels(scenes: Sequence[Sequence[Samples]]) -> list[float]:
    """Return the level to tell the network of each scene, as ``Denoiser`` will."""
    return [min(estimate_noise(as_floats(frames[0])).told, 1.0) for frames in scenes]
