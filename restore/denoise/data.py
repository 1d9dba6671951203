"""Training examples: clean pictures with synthetic noise, or pairs of noisy and clean pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from restore.batch.inputs import by_stem, counterpart, names_of, pictures_in
from restore.denoise.crops import Batch, PairedCrops
from restore.denoise.degradations import Degradation, Degraded, Gaussian
from restore.denoise.recipe import DenoiseRecipe
from restore.errors import InputError, TrainingError, UsageError
from restore.training.crops import (
    MOST_BYTES,
    LumaCrops,
    RandomCrops,
    centre,
    hold_out,
    load_pictures,
)
from restore.training.state import Randomness

__all__ = ["TrainingData", "open_training_data"]

_VALIDATION_SIGMA = 25 / 255


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Training and validation examples.

    Attributes:
        batches: Function that draws a training batch.
        held_out: Validation batches, each the centre of one held-out picture.
        description: Description of the data for the weight file.
    """

    batches: Callable[[Randomness], Batch]
    held_out: list[Batch]
    description: dict[str, str | int]


def open_training_data(
    recipe: DenoiseRecipe,
    *,
    clean: Sequence[Path],
    pairs: tuple[Path, Path] | None,
    batch: int,
    multiple: int,
    warn: Callable[[str], None],
) -> TrainingData:
    """Read clean pictures from folders, or pairs from a noisy and a clean folder.

    Args:
        recipe: recipe of the training.
        clean: folders (trees) of clean pictures, or none with ``pairs``.
        pairs: folders of noisy and of clean pictures.
        batch: crops per call of ``batches``.
        multiple: what the sides of the network's inputs must be multiples of.
        warn: called with one line about everything left out.

    Raises:
        UsageError: not exactly one of ``clean`` and ``pairs`` is given, or no folder of pictures.
        TrainingError: there are no usable pictures, or those of a pair differ in size.
    """
    if clean and pairs is None:
        return _from_clean(recipe, clean, batch, multiple, warn)
    if pairs is not None and not clean:
        return _from_pairs(recipe, *pairs, batch, multiple, warn)
    raise UsageError("give folders of clean pictures, or --pairs with two folders, not both")


def _from_clean(
    recipe: DenoiseRecipe,
    folders: Sequence[Path],
    batch: int,
    multiple: int,
    warn: Callable[[str], None],
) -> TrainingData:
    paths = [path for folder in folders for path in pictures_in(folder, recursive=True)]
    # Camera noise is simulated in colour, for gray networks too.
    in_luma = recipe.channels == 1 and "camera" in recipe.noise
    pictures = list(
        load_pictures(
            paths,
            channels=3 if in_luma else recipe.channels,
            least_size=recipe.patch,
            max_bytes=MOST_BYTES,
            warn=warn,
        ).values()
    )
    training, kept = hold_out(pictures)
    kinds = recipe.degradations()

    def cropping(of: Sequence[Tensor], patch: int, count: int) -> RandomCrops:
        crops = RandomCrops(of, patch=patch, batch=count)
        return LumaCrops(crops) if in_luma else crops

    rng = Randomness(recipe.seed, torch.device("cpu"))
    held_out = [
        _for_validation(kind)(cropping([crop], crop.shape[1], 1), 1, rng)
        for crop in (centre(picture, multiple) for picture in kept)
        for kind in dict.fromkeys(kinds)
    ]
    crops = cropping(training, recipe.patch, batch)
    return TrainingData(
        batches=Degraded(crops, kinds),
        held_out=held_out,
        description={
            "folder": names_of(folders),
            "pictures": len(pictures),
        },
    )


def _for_validation(kind: Degradation) -> Degradation:
    """Return Gaussian noise at sigma 25, the level that papers compare; other noise as it is."""
    if not isinstance(kind, Gaussian):
        return kind
    sigma = min(max(_VALIDATION_SIGMA, kind.low), kind.high)
    return Gaussian(sigma, sigma)


def _from_pairs(
    recipe: DenoiseRecipe,
    noisy_folder: Path,
    clean_folder: Path,
    batch: int,
    multiple: int,
    warn: Callable[[str], None],
) -> TrainingData:
    matched = _matched(noisy_folder, clean_folder, warn)
    noisy = _read(recipe, [path for path, _ in matched], MOST_BYTES // 2, warn)
    clean = _read(recipe, [path for _, path in matched], MOST_BYTES // 2, warn)
    pairs = []
    for noisy_path, clean_path in matched:
        if noisy_path not in noisy or clean_path not in clean:
            continue
        if noisy[noisy_path].shape != clean[clean_path].shape:
            raise TrainingError(f"{noisy_path} and {clean_path} differ in size")
        pairs.append((noisy[noisy_path], clean[clean_path]))
    if not pairs:
        raise TrainingError("no usable pair to train on")
    training, kept = hold_out(pairs)
    held_out = []
    for pair in kept:
        noisy_crop, clean_crop = (centre(picture, multiple)[None].float() / 255 for picture in pair)
        sigma = (noisy_crop - clean_crop).flatten(1).std(dim=1)
        held_out.append(Batch(noisy=noisy_crop, clean=clean_crop, sigma=sigma))
    return TrainingData(
        batches=PairedCrops(training, patch=recipe.patch, batch=batch),
        held_out=held_out,
        description={"folder": clean_folder.resolve().name, "pairs": len(pairs)},
    )


def _matched(noisy: Path, clean: Path, warn: Callable[[str], None]) -> list[tuple[Path, Path]]:
    """Pair the pictures of two trees by relative path, as for evaluation."""
    candidates = by_stem(clean, pictures_in(clean, recursive=True))
    matched = []
    for stem, paths in by_stem(noisy, pictures_in(noisy, recursive=True)).items():
        for path in paths:
            try:
                matched.append((path, counterpart(path, candidates.get(stem, ()))))
            except InputError as error:
                warn(f"{error}; left out")
    return matched


def _read(
    recipe: DenoiseRecipe, paths: Sequence[Path], most_bytes: int, warn: Callable[[str], None]
) -> dict[Path, Tensor]:
    return load_pictures(
        paths, channels=recipe.channels, least_size=recipe.patch, max_bytes=most_bytes, warn=warn
    )
