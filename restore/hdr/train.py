"""Training for high dynamic range: from folders of scenes to a network and an optical element."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from restore.arguments import argument
from restore.batch.inputs import names_of
from restore.errors import UsageError
from restore.hdr.camera import (
    Coded,
    HdrBatch,
    HdrValidation,
    make_height_map,
    saturated_pixels,
)
from restore.hdr.data import SURFACE_SHARES, Library, Scenes, open_library
from restore.hdr.element_files import write_element
from restore.hdr.losses import hdr_loss
from restore.hdr.optics.capture_errors import ERROR_NUMBERS
from restore.hdr.optics.psf import load_psf, resized
from restore.hdr.optics.sensor import expose
from restore.hdr.recipe import HdrRecipe
from restore.hdr.task import TASK
from restore.models.optical_element import height_map_of
from restore.training.loop import Forward
from restore.training.schedule import Figure, Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import origin
from restore.weights.measure import check_measurable, measured
from restore.weights.store import Weights

__all__ = ["train_hdr"]

_FIGURE = Figure(
    key="validation_psnr_mu_saturated_db", name="PSNR-mu on saturated pixels", unit="dB"
)
_ELEMENT = frozenset({"psf_roots", "height_map_um", "gathering.kernel", "scattering.kernel"})
_TRANSPORTS = ("gathering.", "scattering.")
_WIDEST_MARGIN = 64
_VALIDATION_SCENES = 12


def train_hdr(
    recipe: HdrRecipe,
    output: Path,
    *,
    folders: Path | Sequence[Path],
    psf: Path | None = None,
    start_from: str | Path | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train a network, and with ``optics="learn"`` an optical element, and write the weight file.

    Beside a network with a learned element lie the element's files; see ``write_element``.

    Args:
        recipe: what to train and how.
        output: the weight file.
        folders: trees of HDR pictures, panoramas and photographs; see ``open_library``.
        psf: file with the PSF of the element, for ``optics="fixed"``.
        start_from: weights of the same network to begin with; a learned element begins with
            theirs, if they have one.
        settings: where and how to run.
        report: called after every step.
        warn: called with one line about everything left out.
        should_stop: called after every step; True stops the training.

    Raises:
        TrainingError: no usable pictures, a loss that is not finite, a checkpoint of another run.
        TrainingStopped: ``should_stop`` returned True.
        OutputExists: ``output`` or a checkpoint is there and may not be replaced.
        UsageError: a recipe, a PSF or weights that do not fit each other.
        InputError: a file that holds no PSF.
    """
    if (recipe.optics == "fixed") != (psf is not None):
        fixed, psf_name = argument("optics", "fixed"), argument("psf")
        raise UsageError(f"{fixed} needs {psf_name}, and {psf_name} needs {fixed}")
    places = [folders] if isinstance(folders, Path) else folders

    def prepare(context: Context) -> Lesson[HdrBatch]:
        coded = _coded(recipe, psf)
        if start_from is not None:
            _start(coded, TASK.load(start_from))
        side = recipe.patch + 2 * coded.margin
        library = open_library(places, least_size=side, store=context.store, warn=warn)
        training, held_out = library.split()
        if training is held_out:
            warn("too few pictures to hold one out: validations are on those that are trained on")
        provenance: dict[str, Any] = {
            "recipe": recipe.described(),
            "data": _description(places, library),
        }
        if psf is not None:
            provenance["psf"] = psf.name
        provenance |= origin(start_from)

        def objective(forward: Forward, batch: HdrBatch) -> Tensor:
            result = forward(
                batch.scene,
                batch.noise,
                batch.read_noise,
                batch.height_error,
                batch.capture_error,
            )
            truth = coded.cropped(batch.scene)
            loss = hdr_loss(
                recipe.loss,
                result,
                truth,
                saturated=saturated_pixels(truth),
                highlight_weight=recipe.highlight_weight,
            )
            if coded.height_map is not None and not coded.is_resting:
                loss = loss + recipe.smoothness * coded.roughness()
            return loss

        def finish(weights: Weights) -> Weights:
            weights = measured(weights, TASK)
            if recipe.optics == "learn":
                write_element(weights, output, recipe.camera)
            return weights

        scenes = _held_out_scenes(held_out, recipe, side, coded.margin)
        return Lesson(
            network=coded,
            batches=_Batches(training, recipe, coded.margin, context.crops_per_batch),
            objective=objective,
            judge=HdrValidation(scenes, context.device),
            figure=_FIGURE,
            provenance=provenance,
            pictures=library.paths,
            task=TASK,
            kept=_with_element,
            finish=finish,
            check=partial(check_measurable, task=TASK),
            pace=coded.pace,
        )

    return train(
        prepare, recipe, output, settings or Settings(), report=report, should_stop=should_stop
    )


class _Batches:
    """Draws scenes, exposes them, and draws the noise of the exposures."""

    def __init__(self, library: Library, recipe: HdrRecipe, margin: int, count: int) -> None:
        side = recipe.patch + 2 * margin
        self.scenes = Scenes(library, side=side, surfaces=recipe.surfaces)
        self.recipe, self.margin, self.count = recipe, margin, count

    def __call__(self, rng: Randomness) -> HdrBatch:
        recipe, count = self.recipe, self.count
        scene, is_surface = self.scenes(rng.host, count)
        share = torch.where(
            is_surface,
            _between(SURFACE_SHARES, torch.rand(count, generator=rng.host)),
            _between(recipe.saturated, torch.rand(count, generator=rng.host)),
        )
        scene = expose(scene, share, margin=self.margin)
        noise_shape = (count, scene.shape[1], recipe.patch, recipe.patch)
        cells = (recipe.cells, recipe.cells) if recipe.optics == "learn" else (1, 1)
        local, device = rng.local, rng.device
        return HdrBatch(
            scene=rng.moved(scene),
            noise=torch.randn(noise_shape, generator=local, device=device),
            read_noise=recipe.read_noise
            * torch.rand((count, 1, 1, 1), generator=local, device=device),
            height_error=2 * torch.rand(cells, generator=local, device=device) - 1,
            capture_error=2 * torch.rand((count, ERROR_NUMBERS), generator=local, device=device)
            - 1,
        )


def _between(limits: tuple[float, float], draws: Tensor) -> Tensor:
    """Return shares whose logarithms lie evenly between those of ``limits``."""
    low, high = limits
    return low * (high / low) ** draws


def _coded(recipe: HdrRecipe, psf_file: Path | None) -> Coded:
    """Return the untrained pair of camera and network."""
    if recipe.optics == "learn":
        network = recipe.network(recipe.psf_size, recipe.cells)
        margin = min(recipe.psf_size // 2, _WIDEST_MARGIN)
        return Coded(recipe, network, margin=margin, height_map=make_height_map(recipe))
    if psf_file is None:
        return Coded(recipe, recipe.network(0, 0), margin=0)
    psf = load_psf(psf_file)
    side = max(psf.shape[1:])
    network = recipe.network(side, 0)
    margin = min(side // 2, _WIDEST_MARGIN)
    return Coded(recipe, network, margin=margin, psf=resized(psf, side))


def _start(coded: Coded, weights: Weights) -> None:
    """Load ``weights`` into the network, and their heights into a learned element.

    Raises:
        UsageError: another architecture, or other widths.
    """
    own = coded.network.state_dict()
    theirs = {key: value for key, value in weights.tensors.items() if key not in _ELEMENT}
    transports = {key for key in own.keys() ^ theirs.keys() if key.startswith(_TRANSPORTS)}
    # A network without an element has no gathering and scattering layers.
    theirs = {key: value for key, value in theirs.items() if key not in transports}
    wanted = {key: own[key].shape for key in own.keys() - transports - _ELEMENT}
    if wanted != {key: value.shape for key, value in theirs.items()}:
        raise UsageError(f"{weights.name}: a network of another kind or size; see `weights show`")
    coded.network.load_state_dict(own | theirs)
    heights = height_map_of(weights.tensors)
    if coded.height_map is not None and heights is not None:
        coded.begin_with(heights)


def _held_out_scenes(library: Library, recipe: HdrRecipe, side: int, margin: int) -> list[Tensor]:
    """Return validation scenes, each ``(1, 3, H, W)``, reproducible from library and seed."""
    rng = torch.Generator().manual_seed(recipe.seed)
    scenes = Scenes(library, side=side)
    share = torch.full((1,), sum(recipe.saturated) / 2)
    return [expose(scenes(rng, 1)[0], share, margin=margin) for _ in range(_VALIDATION_SCENES)]


def _description(folders: Sequence[Path], library: Library) -> dict[str, str | int]:
    return {
        "folder": names_of(folders),
        "panoramas": len(library.panoramas),
        "pictures": len(library.pictures),
        "photographs": len(library.photographs),
    }


def _with_element(network: nn.Module) -> nn.Module:
    """Return the network of a trained pair, with its element."""
    return cast(Coded, network).finished()
