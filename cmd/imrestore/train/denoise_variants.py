"""Trainings of `imrestore train denoise` whose network and loss are fixed.

They are those on noisy pictures alone, for the mosaics of RAW files, and of error maps.
"""

from collections.abc import Mapping
from pathlib import Path

from imrestore.train.options import TrainingOptions, layer_widths, number_range
from imrestore.train.supervision import train_supervised

__all__ = ["train_error", "train_noisy", "train_raw"]


def train_noisy(
    noisy: list[Path],
    training: TrainingOptions,
    given: Mapping[str, bool],
    method: str,
    width: str | None,
    patch: int | None,
    start_from: str | None,
    *,
    gray: bool | None,
    blind: bool,
) -> None:
    """Train on noisy pictures alone; ``given`` has the options that do not go with it."""
    from restore.denoise.noisy_recipe import NoisyRecipe
    from restore.denoise.noisy_train import train_on_noisy

    _refuse(given, "--noisy", "whose network and loss are fixed")
    recipe = NoisyRecipe(
        method=method,
        channels=0 if gray is None else 1 if gray else 3,
        widths=layer_widths(width, "32,64,128,128"),
        blind=blind,
        patch=NoisyRecipe.patch if patch is None else patch,
        **training.schedule_values(),
    )
    train_supervised(
        training,
        recipe,
        lambda **supervision: train_on_noisy(
            recipe,
            training.output,
            noisy=noisy,
            start_from=start_from,
            **supervision,
        ),
    )


def train_error(
    folders: list[Path],
    training: TrainingOptions,
    given: Mapping[str, bool],
    denoisers: list[str],
    noise: list[str] | None,
    sigma: str | None,
    width: str | None,
    patch: int | None,
    start_from: str | None,
) -> None:
    """Train the network of error maps; ``given`` has the options that do not go with it."""
    from restore.denoise.error_recipe import ErrorRecipe
    from restore.denoise.error_train import train_error_net
    from restore.errors import UsageError
    from restore.weights.file import read_weight_file

    _refuse(given, "--error-of", "whose network and loss are fixed")
    if not folders:
        raise UsageError("--error-of needs folders of clean pictures")
    widths = layer_widths(width, "32")
    if len(widths) > 1:
        raise UsageError("the network of --error-of has one width for all layers")
    given_settings = {
        "noise": None if noise is None else tuple(noise),
        "width": widths[0] if widths else None,
        "patch": patch,
    }
    recipe = ErrorRecipe.filled(
        {
            "denoisers": tuple(denoisers),
            "sigma": number_range("--sigma", "0:55" if sigma is None else sigma, "0:55"),
            **{name: value for name, value in given_settings.items() if value is not None},
            **training.schedule_values(),
        },
        None if start_from is None else read_weight_file(start_from),
    )
    train_supervised(
        training,
        recipe,
        lambda **supervision: train_error_net(
            recipe,
            training.output,
            clean=folders,
            start_from=start_from,
            **supervision,
        ),
    )


def train_raw(
    folders: list[Path],
    training: TrainingOptions,
    given: Mapping[str, bool],
    width: str | None,
    patch: int | None,
    start_from: str | None,
    camera: Path | None,
) -> None:
    """Train a denoiser of mosaics; ``given`` has the options that do not go with it."""
    from restore.errors import UsageError
    from restore.mosaic.recipe import MosaicRecipe
    from restore.mosaic.train import train_mosaic_denoiser
    from restore.noise.measured_camera import read_camera

    _refuse(given, "--raw", "whose noise, network and loss are fixed")
    if not folders:
        raise UsageError("--raw needs folders of clean pictures")
    recipe = MosaicRecipe(
        widths=layer_widths(width, "32,64,128,128"),
        patch=MosaicRecipe.patch if patch is None else patch,
        **training.schedule_values(),
    )
    train_supervised(
        training,
        recipe,
        lambda **supervision: train_mosaic_denoiser(
            recipe,
            training.output,
            clean=folders,
            start_from=start_from,
            camera=None if camera is None else read_camera(camera),
            **supervision,
        ),
    )


def _refuse(given: Mapping[str, bool], kind: str, reason: str) -> None:
    from restore.errors import UsageError

    for option in (option for option, is_given in given.items() if is_given):
        raise UsageError(f"{option} is not for {kind}, {reason}")
