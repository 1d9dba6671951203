"""Training a learned image signal processor on simulated dark pictures, or on real pairs."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.arguments import argument
from restore.batch.inputs import names_of, pictures_in
from restore.dark.darkening import Darkened, darkened
from restore.dark.data import PairCrops, Scene, open_scenes, read_pairs
from restore.dark.recipe import DarkRecipe
from restore.dark.task import TASK
from restore.dark.transfer import started_from
from restore.errors import TrainingError, UsageError
from restore.models.isp_resunet import IspResUNet
from restore.models.isp_unet import IspUNet
from restore.noise.drawings import drawings
from restore.noise.measured_camera import MeasuredCamera
from restore.training.crops import RandomCrops, centre, load_pictures
from restore.training.holding_out import hold_out
from restore.training.loop import Forward
from restore.training.losses import LOSSES
from restore.training.picture_store import PictureStore
from restore.training.schedule import Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import origin
from restore.training.validation import Validation
from restore.weights.measure import check_measurable, measured
from restore.weights.store import Weights

__all__ = ["train_dark_enhancer"]

_DRAWN_SHARE = 0.08


def train_dark_enhancer(
    recipe: DarkRecipe,
    output: Path,
    *,
    clean: Sequence[Path] = (),
    pairs: Path | None = None,
    start_from: str | Path | None = None,
    camera: MeasuredCamera | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train a learned ISP and write its weight file; see ``train`` for the files beside it.

    Args:
        recipe: what to train and how.
        output: the weight file.
        clean: folders (trees) of clean pictures; pictures in linear light serve too.
        pairs: instead, a list of short and long exposures (see ``read_pairs``). During training,
            decoded files are kept in the folder ``NAME.pairs`` beside the output, unless
            ``settings`` name a cache.
        start_from: weights to begin with; see ``started_from``.
        camera: whose noise is added; None for that of the recipe's cameras. Pairs have their own.
        settings: where and how to run.
        report: called after every step.
        warn: called with one line about everything left out.
        should_stop: called after every step; True stops the training.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: a recipe, folders or weights that do not fit each other.
    """
    if bool(clean) == (pairs is not None):
        raise UsageError(
            f"give folders of clean pictures, or {argument('pairs')} with a list, not both"
        )
    if pairs is None and recipe.head == "srgb":
        raise UsageError(
            f"the head srgb learns a camera's own look, which needs {argument('pairs')}"
        )
    loss = LOSSES[recipe.loss]
    own: PictureStore | None = None

    def objective(forward: Forward, batch: Darkened) -> Tensor:
        return loss(forward(*batch.inputs), batch.clean)

    def prepare(context: Context) -> Lesson[Darkened]:
        nonlocal own
        network = recipe.network()
        if start_from is not None:
            network = started_from(network, start_from, warn)
        batch, store = context.crops_per_batch, context.store
        if pairs is None:
            noise = camera or recipe.cameras
            examples = _from_clean(recipe, network, clean, batch, noise, store, warn)
        else:
            if store.cache is None:  # RAW files are large: not even some are kept in memory
                store = own = PictureStore(output.with_name(f"{output.stem}.pairs"))
            examples = _from_pairs(recipe, network, pairs, batch, store, warn)
        provenance: dict[str, Any] = {"recipe": asdict(recipe), "data": examples.description}
        provenance |= origin(start_from)
        if camera is not None:
            provenance["camera"] = camera.provenance
        return Lesson(
            network=network,
            batches=examples.batches,
            objective=objective,
            judge=Validation(examples.held_out, context.device),
            provenance=provenance,
            pictures=examples.paths,
            task=TASK,
            finish=partial(measured, task=TASK),
            check=partial(check_measurable, task=TASK),
        )

    weights = train(
        prepare, recipe, output, settings or Settings(), report=report, should_stop=should_stop
    )
    if own is not None:
        own.remove()
    return weights


@dataclass(frozen=True, kw_only=True)
class _TrainingData:
    """Training batches, validation examples, a description of the data, and its files."""

    batches: Callable[[Randomness], Darkened]
    held_out: list[Darkened]
    description: dict[str, str | int]
    paths: list[Path]


def _from_clean(
    recipe: DarkRecipe,
    network: IspUNet | IspResUNet,
    folders: Sequence[Path],
    batch: int,
    cameras: Sequence[str] | MeasuredCamera,
    store: PictureStore,
    warn: Callable[[str], None],
) -> _TrainingData:
    paths = [path for folder in folders for path in pictures_in(folder, recursive=True, warn=warn)]
    pictures = load_pictures(paths, channels=3, least_size=recipe.patch, store=store, warn=warn)
    training, kept = hold_out(list(pictures.values()), warn)
    draw = RandomCrops(training, patch=recipe.patch, batch=batch)
    config = network.config
    sides = config.periods

    def dark(clean: Tensor, generator: torch.Generator, side: int) -> Darkened:
        return darkened(
            clean,
            cameras,
            recipe.ratio,
            generator,
            side=side,
            packs=config.packs,
            highest=config.highest,
            varied=True,
        )

    def batches(rng: Randomness) -> Darkened:
        crops = draw(rng)
        if config.packs:
            return dark(crops, rng.local, sides[0])
        _draw_some(crops, rng)
        side = sides[int(torch.randint(len(sides), (), generator=rng.host))]
        return dark(crops, rng.local, side)

    judging = Randomness(recipe.seed, torch.device("cpu"))
    multiple = network.multiple * config.scale
    held_out = [
        dark(
            centre(picture, multiple)[None].float() / 255, judging.local, sides[index % len(sides)]
        )
        for index, picture in enumerate(kept)
    ]
    return _TrainingData(
        batches=batches,
        held_out=held_out,
        description={
            "folder": names_of(folders),
            "pictures": len(pictures),
        },
        paths=list(pictures),
    )


def _draw_some(crops: Tensor, rng: Randomness) -> None:
    """Replace some crops by drawings: photographs have few thin lines and flat colours."""
    drawn = torch.rand(len(crops), generator=rng.host) < _DRAWN_SHARE
    if count := int(drawn.sum()):
        crops[drawn] = rng.moved(drawings(count, crops.shape[2], 3, rng.host))


def _from_pairs(
    recipe: DarkRecipe,
    network: IspUNet | IspResUNet,
    pairs: Path,
    batch: int,
    store: PictureStore,
    warn: Callable[[str], None],
) -> _TrainingData:
    scenes = open_scenes(
        read_pairs(pairs), store, head=recipe.head, xtrans=recipe.xtrans, warn=warn
    )
    small = [s for s in scenes if min(s.mosaic.shape) < recipe.patch + len(s.cfa)]
    if small:
        raise TrainingError(
            f"RAW files are smaller than the crops of {recipe.patch} pixels ({argument('patch')})"
        )
    by_target: dict[Path, list[Scene]] = {}
    for scene in scenes:
        by_target.setdefault(scene.long, []).append(scene)
    learned, judged = hold_out(list(by_target.values()), warn, what="scene")

    def crops(scenes: Sequence[Scene]) -> PairCrops:
        return PairCrops(
            scenes,
            patch=recipe.patch,
            batch=batch,
            head=recipe.head,
            packs=network.config.packs,
        )

    return _TrainingData(
        batches=crops([scene for group in learned for scene in group]),
        held_out=crops([group[0] for group in judged]).middles(),
        description={"list": pairs.name, "pairs": len(scenes)},
        paths=[path for scene in scenes for path in (scene.short, scene.long)],
    )
