"""Training examples: clean pictures with synthetic noise, or pairs of noisy and clean pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from restore.arguments import argument
from restore.batch.inputs import names_of, pictures_in
from restore.denoise.crops import Batch, PairedCrops, in_unit_range
from restore.denoise.degradations import Degradation, Degraded, Gaussian
from restore.denoise.pairs import PairNames, matched_pairs, misaligned, read_pairs
from restore.denoise.recipe import DenoiseRecipe
from restore.errors import UsageError
from restore.training.crops import LumaCrops, RandomCrops, centre, load_pictures
from restore.training.holding_out import Held, hold_out, hold_out_folders, spread
from restore.training.picture_store import PictureStore, Samples
from restore.training.state import Randomness
from restore.words import counted

__all__ = ["TrainingData", "open_training_data"]

_VALIDATION_SIGMA = 25 / 255

_T = TypeVar("_T")
_Pair = tuple[Samples, Samples]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Training and validation examples.

    Attributes:
        batches: Function that draws a training batch.
        held_out: Validation batches, each the centre of one held-out picture.
        description: Description of the data for the weight file.
        paths: Files that are trained and validated on.
    """

    batches: Callable[[Randomness], Batch]
    held_out: list[Batch]
    description: dict[str, str | int]
    paths: list[Path]


def open_training_data(
    recipe: DenoiseRecipe,
    *,
    clean: Sequence[Path],
    pairs: tuple[Path, Path] | None,
    pair_names: PairNames | None = None,
    held: Held | None = None,
    batch: int,
    multiple: int,
    store: PictureStore,
    warn: Callable[[str], None],
) -> TrainingData:
    """Read clean pictures from folders, or pairs from a noisy and a clean folder.

    Args:
        recipe: recipe of the training.
        clean: folders (trees) of clean pictures, or none with ``pairs``.
        pairs: folders of noisy and of clean pictures.
        pair_names: how the names of pairs differ; None where they do not.
        held: what validates; None for some of the pictures.
        batch: crops per call of ``batches``.
        multiple: what the sides of the network's inputs must be multiples of.
        store: where pictures are kept.
        warn: called with one line about everything left out.

    Raises:
        UsageError: not exactly one of ``clean`` and ``pairs`` is given, or no folder of pictures.
        TrainingError: there are no usable pictures.
    """
    if clean and pairs is None:
        return _from_clean(recipe, clean, held or Held(), batch, multiple, store, warn)
    if pairs is not None and not clean:
        names = pair_names or PairNames()
        return _from_pairs(recipe, pairs, names, held or Held(), batch, multiple, store, warn)
    raise UsageError(
        f"give folders of clean pictures, or {argument('pairs')} with two folders, not both"
    )


def _from_clean(
    recipe: DenoiseRecipe,
    folders: Sequence[Path],
    held: Held,
    batch: int,
    multiple: int,
    store: PictureStore,
    warn: Callable[[str], None],
) -> TrainingData:
    paths = [path for folder in folders for path in pictures_in(folder, recursive=True, warn=warn)]
    # Camera noise is simulated in colour, for gray networks too.
    in_luma = recipe.channels == 1 and "camera" in recipe.noise

    def loaded(paths: Sequence[Path]) -> dict[Path, Samples]:
        return load_pictures(
            paths,
            channels=3 if in_luma else recipe.channels,
            least_size=recipe.patch,
            store=store,
            warn=warn,
        )

    if held.folder is not None:
        judging = pictures_in(held.folder, recursive=True, warn=warn)
        judged = loaded(spread(judging))  # first, while there is room
        pictures = loaded(_without(paths, judging, warn))
        training, kept = list(pictures.values()), list(judged.values())
    else:
        pictures, judged = loaded(paths), {}
        training, kept = _split(pictures, held, warn)
    kinds = recipe.degradations()

    def cropping(of: Sequence[Samples], patch: int, count: int) -> RandomCrops:
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
            **held.description,
        },
        paths=[*pictures, *judged],
    )


def _split(
    items: Mapping[Path, _T], held: Held, warn: Callable[[str], None], *, what: str = "picture"
) -> tuple[list[_T], list[_T]]:
    if held.by_folder:
        return hold_out_folders(items)
    return hold_out(list(items.values()), warn, what=what)


def _without(
    paths: Sequence[Path], judging: Sequence[Path], warn: Callable[[str], None]
) -> list[Path]:
    """Return the paths that are not for validation, with a line about the others."""
    taken = {path.resolve() for path in judging}
    kept = [path for path in paths if path.resolve() not in taken]
    if len(kept) < len(paths):
        warn(
            f"of {argument('validation')} and among those to train on, left out there: "
            f"{counted(len(paths) - len(kept), 'picture')}"
        )
    return kept


def _for_validation(kind: Degradation) -> Degradation:
    """Return Gaussian noise at sigma 25, the level that papers compare; other noise as it is."""
    if not isinstance(kind, Gaussian):
        return kind
    sigma = min(max(_VALIDATION_SIGMA, kind.low), kind.high)
    return Gaussian(sigma, sigma)


def _from_pairs(
    recipe: DenoiseRecipe,
    folders: tuple[Path, Path],
    names: PairNames,
    held: Held,
    batch: int,
    multiple: int,
    store: PictureStore,
    warn: Callable[[str], None],
) -> TrainingData:
    def read(matched: Sequence[tuple[Path, Path]]) -> dict[tuple[Path, Path], _Pair]:
        return read_pairs(
            matched, channels=recipe.channels, least_size=recipe.patch, store=store, warn=warn
        )

    matched = matched_pairs(*folders, names, warn)
    if held.folder is not None:
        # Folders of their own where the names do not tell noisy from clean.
        inside = ("noisy", "clean") if names == PairNames() else (".", ".")
        own_noisy, own_clean = (held.folder / name for name in inside)
        judging = matched_pairs(own_noisy, own_clean, names, warn)
        allowed = set(_without([clean for _, clean in matched], [c for _, c in judging], warn))
        judged = read(spread(judging))  # first, while there is room
        pairs = read([pair for pair in matched if pair[1] in allowed])
        training, kept = list(pairs.values()), list(judged.values())
    else:
        pairs, judged = read(matched), {}
        by_noisy = {noisy: pair for (noisy, _), pair in pairs.items()}
        training, kept = _split(by_noisy, held, warn, what="pair")
    _warn_of_shifts(list(pairs), list(pairs.values()), warn)
    held_out = [
        Batch.of(*(in_unit_range(centre(picture, multiple))[None] for picture in pair))
        for pair in kept
    ]
    return TrainingData(
        batches=PairedCrops(training, patch=recipe.patch, batch=batch),
        held_out=held_out,
        description={
            "folder": folders[1].resolve().name,
            "pairs": len(pairs),
            **held.description,
        },
        paths=[path for pair in (*pairs, *judged) for path in pair],
    )


def _warn_of_shifts(
    paths: Sequence[tuple[Path, Path]],
    pairs: Sequence[_Pair],
    warn: Callable[[str], None],
) -> None:
    shifts = misaligned(pairs)
    if shifts:
        index, down, right = max(shifts, key=lambda shift: abs(shift[1]) + abs(shift[2]))
        warn(
            f"{len(shifts)} of the pairs that were compared are misaligned: {paths[index][0]} lies "
            f"{down:+.1f} pixels lower and {right:+.1f} further right than {paths[index][1]}; the "
            "network will learn to blur: align them, or leave them out"
        )
