"""Training a network that estimates the errors of denoisers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.arguments import argument
from restore.batch.inputs import names_of, pictures_in
from restore.denoise.degradations import Degraded
from restore.denoise.error_calibration import MOST_PICTURES, calibrated
from restore.denoise.error_data import (
    USES,
    ErrorBatch,
    ErrorBatches,
    Restorer,
    noise_known_to,
)
from restore.denoise.error_recipe import ErrorRecipe
from restore.denoise.task import ERRORS, TASK
from restore.errors import TrainingError, UsageError
from restore.models.error_net import ESTIMATES
from restore.training.crops import RandomCrops, load_pictures
from restore.training.loop import Forward
from restore.training.picture_store import Samples
from restore.training.schedule import Figure, Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import continued, origin
from restore.weights.measure import measured
from restore.weights.store import Weights

__all__ = ["FIGURE", "train_error_net"]

FIGURE = Figure(key="validation_score", name="score", unit="")

_HELD_SHARE = 12
"""One picture in so many is kept for validation and calibration."""
_VALIDATION_BATCHES = 6
_QUANTILE = 0.9
_LEAST = 0.02 / 255
_MOST_RATIO, _MOST_RATIO_OF_SQUARES = 8.0, 30.0
_MOST_ROWS = 4
_SHOWN_AS_WHITE = 20 / 255


def train_error_net(
    recipe: ErrorRecipe,
    output: Path,
    *,
    clean: Sequence[Path],
    start_from: str | Path | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train an ErrorNet, calibrate it and write its weight file; see ``train`` for other files.

    One picture in twelve is held out: it validates, and at the end its errors calibrate the
    estimates, see ``calibrated``; of very many, ``MOST_PICTURES`` do.

    Args:
        recipe: what to train and how.
        output: the weight file.
        clean: folders (trees) of clean colour pictures.
        start_from: weights of an ErrorNet to begin with.
        settings: where and how to run.
        report: called after every step.
        warn: called with one line about everything left out.
        should_stop: called after every step and while it is calibrated; True stops the training.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: a recipe or denoisers that do not fit each other; no steps, and no weights to
            calibrate.
        WeightsError: a denoiser's weights are missing, damaged or for another task.
    """

    def prepare(context: Context) -> Lesson[ErrorBatch]:
        network = recipe.network()
        if start_from is None and recipe.steps == 0:
            raise UsageError(
                f"{argument('steps', 0)} calibrates weights that are there: name them as "
                f"{argument('from')}"
            )
        if start_from is not None:
            known = ERRORS.load(start_from)
            network = continued(network, known.tensors, known.name, warn)
        weights = [TASK.load(name) for name in recipe.denoisers]
        noise = [noise_known_to(each, recipe.noise) for each in weights]
        restorers = [
            Restorer(each, patch=recipe.patch, precision=context.precision) for each in weights
        ]
        paths = [
            path for folder in clean for path in pictures_in(folder, recursive=True, warn=warn)
        ]
        pictures = load_pictures(
            paths, channels=3, least_size=recipe.patch, store=context.store, warn=warn
        )
        training, held = _split(list(pictures.values()))
        kinds = dict(zip(recipe.noise, recipe.degradations(), strict=True))

        def batches(of: Sequence[Samples], count: int, *, uses: int = USES) -> ErrorBatches:
            crops = RandomCrops(of, patch=recipe.patch, batch=count)
            sources = [
                (Degraded(crops, [kinds[kind] for kind in known]), restorer)
                for known, restorer in zip(noise, restorers, strict=True)
            ]
            return ErrorBatches(sources, recipe.gray_share, uses=uses)

        calibrating = held[:: math.ceil(len(held) / MOST_PICTURES)]
        rng = Randomness(recipe.seed, torch.device("cpu"))
        drawn = batches(held, recipe.batch, uses=1)
        provenance: dict[str, Any] = {
            "recipe": {**asdict(recipe), "denoisers": [each.name for each in weights]},
            "data": {
                "folder": names_of(clean),
                "pictures": len(pictures),
                "calibrated_on": len(calibrating),
            },
        }
        provenance |= origin(start_from)

        def finish(weights: Weights) -> Weights:
            stored = measured(weights, ERRORS, stored=torch.float16)
            warn(f"calibrating on {len(calibrating)} of the pictures that were held out")
            factors = calibrated(stored, recipe, calibrating, should_stop)
            return replace(stored, provenance={**stored.provenance, "calibration": factors.stored})

        return Lesson(
            network=network,
            batches=batches(training, context.crops_per_batch),
            objective=objective,
            judge=ErrorValidation([drawn(rng) for _ in range(_VALIDATION_BATCHES)], context.device),
            provenance=provenance,
            pictures=list(pictures),
            task=ERRORS,
            finish=finish,
            figure=FIGURE,
        )

    return train(
        prepare, recipe, output, settings or Settings(), report=report, should_stop=should_stop
    )


def _split(pictures: Sequence[Samples]) -> tuple[list[Samples], list[Samples]]:
    """Return pictures for training, and those held out.

    Raises:
        TrainingError: there is only one.
    """
    if len(pictures) < 2:
        raise TrainingError("an error network needs two pictures at least: one to calibrate it on")
    step = min(_HELD_SHARE, len(pictures))
    held = pictures[step - 1 :: step]
    return [each for index, each in enumerate(pictures) if index % step != step - 1], list(held)


def objective(forward: Forward, batch: ErrorBatch) -> Tensor:
    """Return the loss of the three estimates; each is least where its estimate is right.

    The expected error e gets ln e + |error| / e, the deviance of a gamma distribution; the mean
    square likewise; and the quantile the pinball loss (Koenker and Bassett, 1978) of logarithms, so
    that weak noise counts as much as strong.
    """
    expected, bound, deviation = forward(batch.planes).chunk(ESTIMATES, dim=1)
    errors = batch.errors
    absolute = errors.mean(dim=1, keepdim=True)
    squared = errors.square().mean(dim=1, keepdim=True)
    excess = (absolute.clamp_min(_LEAST) / bound).log()
    pinball = torch.maximum(_QUANTILE * excess, (_QUANTILE - 1) * excess)
    mean = expected.log() + _tamed(absolute / expected, _MOST_RATIO)
    power = deviation.log() + _tamed(squared / deviation.square(), _MOST_RATIO_OF_SQUARES) / 2
    return (mean + power + pinball).mean()


def _tamed(ratio: Tensor, most: float) -> Tensor:
    """Return a ratio that grows like its logarithm where it is large.

    A result that is nearly perfect but for a few pixels would else undo what others taught.
    """
    return torch.where(ratio < most, ratio, most * (1 + (ratio / most).clamp_min(1).log()))


class ErrorValidation:
    """The negative loss on held-out crops, so that more is better.

    Args:
        held_out: batches, drawn once.
        device: device of the network.
    """

    def __init__(self, held_out: Sequence[ErrorBatch], device: torch.device) -> None:
        self.held_out = list(held_out)
        self.device = device
        self._expected: list[Tensor] = []

    def __call__(self, network: nn.Module) -> float:
        """Return the score of ``network``, which is left in evaluation mode."""
        network.eval()
        self._expected = []
        with torch.inference_mode():
            losses = [objective(partial(self._estimated, network), each) for each in self.held_out]
        return -float(torch.stack(losses).mean())

    def _estimated(self, network: nn.Module, planes: Tensor) -> Tensor:
        estimates: Tensor = network(planes.to(self.device)).cpu()
        self._expected.append(estimates[:1, :1])
        return estimates

    def sheet(self) -> Tensor | None:
        """Return noisy, result, error and expected error side by side, or None before a call."""
        rows = []
        for batch, expected in zip(self.held_out[:_MOST_ROWS], self._expected, strict=False):
            errors = batch.errors[:1].mean(dim=1, keepdim=True)
            maps = [(each / _SHOWN_AS_WHITE).expand(-1, 3, -1, -1) for each in (errors, expected)]
            noisy = batch.planes[:1, :3]
            rows.append(torch.cat([noisy, batch.result[:1], *maps], dim=3)[0].clamp(0, 1))
        if not rows:
            return None
        widest = max(row.shape[2] for row in rows)
        return torch.cat([F.pad(row, (0, widest - row.shape[2])) for row in rows], dim=1)
