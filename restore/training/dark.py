"""Training a learned image signal processor on pictures that are made dark and noisy."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restore.engine.inputs import pictures_in
from restore.engine.precision import measured
from restore.noise.dark import Darkened, darkened
from restore.training.data import RandomCrops, load_pictures
from restore.training.loop import Forward
from restore.training.losses import LOSSES
from restore.training.randomness import Randomness
from restore.training.recipes import DarkRecipe
from restore.training.schedule import Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.sources import MOST_BYTES, centre, hold_out
from restore.training.transfer import started_from
from restore.training.validation import Validation
from restore.weights import Weights, load

__all__ = ["train_dark_enhancer"]


def train_dark_enhancer(
    recipe: DarkRecipe,
    output: Path,
    *,
    clean: Sequence[Path],
    start_from: str | Path | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train an IspUNet and write its weight file; see ``train`` for the files beside it.

    Args:
        recipe: what to train and how.
        output: the weight file.
        clean: folders (trees) of clean pictures; pictures in linear light serve too.
        start_from: weights to begin with.
        settings: where and how to run.
        report: called after every step.
        warn: told one line about everything left out.
        should_stop: asked after every step.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` said so.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: a recipe, folders or weights that do not fit each other.
    """
    loss = LOSSES[recipe.loss]

    def objective(forward: Forward, batch: Darkened) -> Tensor:
        return loss(forward(*batch.inputs), batch.clean)

    def prepare(context: Context) -> Lesson[Darkened]:
        network = recipe.network()
        if start_from is not None:
            network = started_from(network, load(start_from), warn)
        paths = [path for folder in clean for path in pictures_in(folder, recursive=True)]
        pictures = load_pictures(
            paths, channels=3, least_size=recipe.patch, max_bytes=MOST_BYTES, warn=warn
        )
        training, kept = hold_out(list(pictures.values()))
        crops = RandomCrops(training, patch=recipe.patch, batch=context.crops_per_batch)
        provenance: dict[str, Any] = {
            "recipe": asdict(recipe),
            "data": {
                "folder": ", ".join(folder.resolve().name for folder in clean),
                "pictures": len(pictures),
            },
        }
        if start_from is not None:
            provenance["started_from"] = Path(start_from).stem
        return Lesson(
            network=network,
            batches=lambda rng: _darkened(recipe, crops(rng), rng.local),
            objective=objective,
            judge=Validation(_held_out(recipe, kept), context.device),
            provenance=provenance,
            as_weights=_as_weights,
            finish=measured,
        )

    return train(
        prepare, recipe, output, settings or Settings(), report=report, should_stop=should_stop
    )


def _darkened(recipe: DarkRecipe, clean: Tensor, generator: torch.Generator) -> Darkened:
    side = 6 if recipe.xtrans else 2
    return darkened(clean, recipe.cameras, recipe.ratio, generator, side=side)


def _held_out(recipe: DarkRecipe, pictures: Sequence[Tensor]) -> list[Darkened]:
    rng = Randomness(recipe.seed, torch.device("cpu"))
    crops = [centre(picture, recipe.step)[None].float() / 255 for picture in pictures]
    return [_darkened(recipe, crop, rng.local) for crop in crops]


def _as_weights(network: nn.Module, name: str, provenance: dict[str, Any]) -> Weights:
    return Weights(
        name=name,
        architecture=type(network).__name__,
        config=network.config,
        task="dark-enhance",
        tensors={key: tensor.float() for key, tensor in network.state_dict().items()},
        provenance=provenance,
    )
