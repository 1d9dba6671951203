"""Calibration of error maps on pictures that were held out of training.

The factor on the bound is that of conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic
Learning in a Random World", 2005): the quantile of errors in units of the bound, in each group of
pixels. Groups must be known without the clean picture: denoiser, texture of the result, level of
what was removed.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from restore.denoise.error_data import noise_known_to
from restore.denoise.error_factors import (
    LEVELS,
    ErrorCalibration,
    ErrorFactors,
    level_of_removed,
)
from restore.denoise.error_map import Estimator
from restore.denoise.error_recipe import NOT_CALIBRATED, ErrorRecipe
from restore.denoise.error_trials import ErrorTrial, drawn_trials, white_trials
from restore.denoise.runner import Denoiser
from restore.denoise.settings import Sigma
from restore.denoise.task import TASK
from restore.denoise.texture import Texture, textures
from restore.engine.placement import Placement
from restore.image.picture import Picture
from restore.training import picture_store
from restore.training.schedule import raise_if_stopped
from restore.weights.store import Weights

__all__ = ["COVERAGE", "MOST_PICTURES", "calibrated", "factors_of"]

COVERAGE = 0.9
"""Share of pixels whose error is below the bound."""

MOST_PICTURES = 100
"""Pictures to calibrate on; each is denoised a dozen times."""

_SIGMAS = (2.0, 5.0, 10.0, 18.0, 30.0, 50.0)
_DRAWS = 5
_SIDE_OF_WHITE, _SIDE = 256, 192
"""Side in pixels of what is denoised. Of small pictures that are to be scaled down before they are
cut, as those for the web are, parts must be much smaller than the whole."""
_GRAY_EVERY = 5
_SPACING = 7
"""Neighbouring pixels tell little more than one of them."""
_LEAST_PIXELS = 200
_LEAST_PICTURES = 4
"""Pictures with so many pixels of a group and a kind of noise, or the kind does not count there."""

Samples = NDArray[np.float32]
Groups = dict[tuple[int, int, str], list[Samples]]
"""Pixels by texture, index of the level, and kind of noise."""


def calibrated(
    weights: Weights,
    recipe: ErrorRecipe,
    pictures: Sequence[picture_store.Samples],
    should_stop: Callable[[], bool] = lambda: False,
) -> ErrorCalibration:
    """Return the factors for the estimates of a network.

    Args:
        weights: of an ErrorNet.
        recipe: which denoisers and noise it is for.
        pictures: uint8 ``(3, H, W)``, not trained on.
        should_stop: called before every denoising.

    Raises:
        TrainingStopped: ``should_stop`` returned True.
    """
    estimator = Estimator(weights, Placement())
    names = recipe.denoisers
    sigmas = _SIGMAS if "awgn" in recipe.noise else ()
    kinds = [kind for kind in dict.fromkeys(recipe.noise) if kind not in ("awgn", *NOT_CALIBRATED)]
    opened = {name: Denoiser(name) for name in dict.fromkeys(names)}
    loaded = {name: TASK.load(name) for name in opened}
    known = {name: noise_known_to(each, recipe.noise) for name, each in loaded.items()}
    turn = count()
    own: dict[str, Groups] = {each.name: {} for each in loaded.values()}
    for index, picture in enumerate(pictures):
        clean = picture[:].numpy().astype(np.float32) / np.float32(255)
        seed = recipe.seed + index
        white = white_trials(_middle(clean), sigmas, seed=seed)
        drawn = drawn_trials(clean, kinds, draws=_DRAWS, side=_SIDE, seed=seed)
        for trial in chain(white, drawn):
            raise_if_stopped(should_stop)
            number = next(turn)
            kind = "awgn" if trial.sigma is not None else trial.kind
            able = [name for name in names if kind in known[name]]
            if not able:
                continue
            name = able[(number + index) % len(able)]  # each of them meets every level
            is_gray = loaded[name].channels == 1 or number % _GRAY_EVERY == 0
            used = trial.gray() if is_gray else trial
            _add(own[loaded[name].name], used, opened[name], estimator)
    return ErrorCalibration(
        {denoiser: factors_of(groups) for denoiser, groups in own.items() if groups},
        factors_of(_together(own.values())),
    )


def _together(every: Iterable[Groups]) -> Groups:
    together: Groups = {}
    for groups in every:
        for key, parts in groups.items():
            together.setdefault(key, []).extend(parts)
    return together


def _middle(picture: Samples) -> Samples:
    """Return the middle of a picture ``[C, H, W]``, which takes less time than all of it."""
    height, width = (min(_SIDE_OF_WHITE, side) for side in picture.shape[1:])
    top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
    return picture[:, top : top + height, left : left + width]


def _add(groups: Groups, trial: ErrorTrial, denoiser: Denoiser, estimator: Estimator) -> None:
    """Denoise, and sort errors and estimates of some pixels into groups."""
    picture = Picture(pixels=trial.noisy, is_float=True, bit_depth=32)
    told: Sigma = "auto" if trial.sigma is None else trial.level
    result = denoiser(picture, sigma=told).picture.pixels
    estimates = estimator(trial.noisy, result)
    errors = np.abs(result.clip(0, 1) - trial.clean)
    mean, square = errors.mean(axis=0), np.square(errors).mean(axis=0)
    level = level_of_removed(trial.noisy, result)
    place = int(np.argmin(np.abs(np.log(np.array(LEVELS) / max(level, 1e-3)))))
    found = textures(result)
    samples = np.stack([mean, square, *estimates]).reshape(5, -1)[:, ::_SPACING]
    kinds = found.ravel()[::_SPACING]
    for texture in Texture:
        group = groups.setdefault((texture, place, trial.kind), [])
        group.append(samples[:, kinds == texture])


def factors_of(groups: Groups) -> ErrorFactors:
    """Return the factors of groups of pixels.

    Args:
        groups: arrays ``[5, N]`` of absolute error, squared error and the three estimates.
    """
    known = {
        key: np.concatenate(parts, axis=1)
        for key, parts in groups.items()
        if sum(part.shape[1] >= _LEAST_PIXELS for part in parts) >= _LEAST_PICTURES
    }
    factors = ErrorFactors.none()
    for texture in Texture:
        fitted = {}
        for place in range(len(LEVELS)):
            kinds = [
                each for (kind, at, _), each in known.items() if (kind, at) == (texture, place)
            ]
            if kinds:
                fitted[place] = _fitted(kinds)
        for place in range(len(LEVELS)) if fitted else ():
            nearest = min(fitted, key=lambda each: abs(each - place))
            factors.put(texture, place, fitted[nearest])
    return factors


def _fitted(kinds: Sequence[Samples]) -> tuple[float, float, float]:
    """Return the three factors of a group; each kind of noise counts as much as the others."""
    error, square, expected, bound, deviation = np.concatenate(kinds, axis=1).astype(np.float64)
    weight = np.concatenate([np.full(each.shape[1], 1 / each.shape[1]) for each in kinds])
    ratios = error / bound
    order = np.argsort(ratios)
    passed = np.cumsum(weight[order]) / weight.sum()
    index = min(int(np.searchsorted(passed, COVERAGE)), len(order) - 1)
    mean = (weight * error).sum() / (weight * expected).sum()
    power = (weight * square).sum() / (weight * np.square(deviation)).sum()
    return float(mean), float(ratios[order[index]]), float(np.sqrt(power))
