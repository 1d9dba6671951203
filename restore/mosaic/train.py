"""Training a denoiser of RAW mosaics on clean pictures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.batch.inputs import names_of, pictures_in
from restore.image.colour import linear_to_srgb
from restore.image.metrics import psnr_chw
from restore.mosaic.data import FILTERS, Mosaics, captured
from restore.mosaic.planes import UNIT
from restore.mosaic.recipe import MosaicRecipe
from restore.mosaic.task import TASK
from restore.noise.iso import usual_read
from restore.noise.measured_camera import MeasuredCamera
from restore.training.crops import RandomCrops, centre, load_pictures
from restore.training.holding_out import hold_out
from restore.training.loop import Forward
from restore.training.schedule import Progress
from restore.training.session import Context, Lesson, Settings, train
from restore.training.state import Randomness
from restore.training.transfer import continued, origin
from restore.weights.file import read_weight_file
from restore.weights.measure import check_measurable, measured
from restore.weights.store import Weights

__all__ = ["train_mosaic_denoiser"]

_LEAST_ERROR = 0.01
"""Squared error, in units of the noise's variance, below which gains count less and less."""

_HALVED_SHARE = 0.5
_VALIDATION_A = (3e-6, 3e-5, 3e-4)
_MOST_ROWS = 4


def train_mosaic_denoiser(
    recipe: MosaicRecipe,
    output: Path,
    *,
    clean: Sequence[Path],
    start_from: str | Path | None = None,
    camera: MeasuredCamera | None = None,
    settings: Settings | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Weights:
    """Train a MosaicResUNet and write its weight file; see ``train`` for the files beside it.

    Args:
        recipe: what to train and how.
        output: the weight file.
        clean: folders (trees) of clean pictures.
        start_from: weights to begin with, of a MosaicResUNet or of a ResUNet for finished pictures,
            whose levels are taken.
        camera: whose noise is added; None for that of cameras of all kinds.
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

    def prepare(context: Context) -> Lesson[Mosaics]:
        network = recipe.network()
        if start_from is not None:
            known = _donor(start_from)
            network = continued(network, known.tensors, known.name, warn)
        paths = [
            path for folder in clean for path in pictures_in(folder, recursive=True, warn=warn)
        ]
        pictures = load_pictures(
            paths, channels=3, least_size=recipe.patch, store=context.store, warn=warn
        )
        training, kept = hold_out(list(pictures.values()), warn)
        provenance: dict[str, Any] = {
            "recipe": asdict(recipe),
            "data": {"folder": names_of(clean), "pictures": len(pictures)},
        }
        provenance |= origin(start_from)
        if camera is not None:
            provenance["camera"] = camera.provenance
        return Lesson(
            network=network,
            batches=_Batches(
                RandomCrops(training, patch=recipe.patch, batch=context.crops_per_batch), camera
            ),
            objective=_objective,
            judge=MosaicValidation(
                [centre(picture, 2 * network.multiple) for picture in kept],
                context.device,
                recipe.seed,
                _validation_levels(camera),
            ),
            provenance=provenance,
            pictures=list(pictures),
            task=TASK,
            finish=partial(measured, task=TASK),
            check=partial(check_measurable, task=TASK),
        )

    return train(
        prepare, recipe, output, settings or Settings(), report=report, should_stop=should_stop
    )


_FINISHED = replace(TASK, name="denoise", networks=("restore.models.resunet:ResUNet",))


def _donor(name_or_path: str | Path) -> Weights:
    """Return weights of this task, or those for finished pictures that have the same levels."""
    is_finished = read_weight_file(name_or_path).task == _FINISHED.name
    return (_FINISHED if is_finished else TASK).load(name_or_path)


class _Batches:
    """Draws batches; half of them of pictures at half size, which are sharper and less noisy."""

    def __init__(self, crops: RandomCrops, camera: MeasuredCamera | None) -> None:
        self.crops, self.camera = crops, camera

    def __call__(self, rng: Randomness) -> Mosaics:
        """Draw one batch, of one kind of sensor."""
        kind, size = torch.rand(2, generator=rng.host).tolist()
        is_halved = size < _HALVED_SHARE and self.crops.largest >= 2 * self.crops.patch
        clean = self.crops(rng, side=2 * self.crops.patch if is_halved else None)
        if is_halved:
            clean = F.avg_pool2d(clean, 2)
        chosen = FILTERS[int(kind * len(FILTERS))]
        return captured(clean, rng.local, filter_kind=chosen, sensor=self.camera)


def _validation_levels(camera: MeasuredCamera | None) -> list[tuple[float, float]]:
    """Return a and b of the held-out pictures: three ISO speeds of the camera, or of usual ones."""
    if camera is None:
        return [(a, usual_read(a)) for a in _VALIDATION_A]
    low, high = camera.isos
    profiles = [camera.profile(iso) for iso in (low, (low * high) ** 0.5, high)]
    return [(sum(each.a) / 3, sum(each.b) / 3) for each in profiles]


def _objective(forward: Forward, batch: Mosaics) -> Tensor:
    """Return the mean log of the crops' squared errors, in units of the expected noise.

    So a change of the error by one percent counts the same at every ISO and in every light, much as
    in the PSNR of developed pictures, whose curve lifts the shadows.
    """
    error = UNIT * (forward(*batch.inputs) - batch.noise)
    return torch.log(error.square().flatten(1).mean(dim=1) + _LEAST_ERROR).mean()


class MosaicValidation:
    """Mean PSNR in dB of held-out mosaics at three levels of noise, with sRGB's curve.

    Args:
        pictures: uint8 ``(3, H, W)`` each.
        device: device of the network.
        seed: seed of cameras and noise.
        levels: a and b of the three levels.
    """

    def __init__(
        self,
        pictures: Sequence[Tensor],
        device: torch.device,
        seed: int,
        levels: Sequence[tuple[float, float]],
    ) -> None:
        self.device = device
        generator = torch.Generator().manual_seed(seed)
        self.held_out = []
        for index, ((a, b), picture) in enumerate(product(levels, pictures)):
            self.held_out.append(
                captured(
                    picture[None].float() / 255,
                    generator,
                    filter_kind=FILTERS[index % len(FILTERS)],
                    profiles=(torch.tensor([a]), torch.tensor([b])),
                    exact=True,
                )
            )
        self._results: list[Tensor] = []

    def __call__(self, network: nn.Module) -> float:
        """Return the mean PSNR of ``network``, which is left in evaluation mode."""
        network.eval()
        self._results = []
        scores = []
        with torch.inference_mode():
            for batch in self.held_out:
                noise = network(*(each.to(self.device) for each in batch.inputs)).cpu()
                result = seen(batch.samples - noise * batch.normalised.scale)
                scores.append(psnr_chw(result[0].numpy(), seen(batch.target)[0].numpy()))
                self._results.append(result)
        return sum(scores) / len(scores)

    def sheet(self) -> Tensor | None:
        """Return noisy, restored and clean side by side, ``(3, H, W)``, or None before a call."""
        rows = [
            torch.cat([seen(batch.samples), result, seen(batch.target)], dim=3)[0, :1]
            for batch, result in zip(
                self.held_out[-_MOST_ROWS:], self._results[-_MOST_ROWS:], strict=False
            )
        ]
        if not rows:
            return None
        widest = max(row.shape[2] for row in rows)
        padded = [F.pad(row, (0, widest - row.shape[2])) for row in rows]
        return torch.cat(padded, dim=1).expand(3, -1, -1)


def seen(light: Tensor) -> Tensor:
    """Return light with sRGB's curve, clamped to [0, 1]."""
    return torch.from_numpy(linear_to_srgb(light.clamp(0, 1).numpy()))
