"""Finding out how to read a converted denoiser, by running it on clean pictures plus noise."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor

from restore.errors import WeightsError
from restore.image.metrics import psnr_chw
from restore.models.dncnn import DnCNNConfig
from restore.noise.jpeg import compressed
from restore.weights.convert.interpretation import (
    IRCNN_DILATIONS,
    Interpretation,
    Role,
    as_read,
    interpreted,
)
from restore.weights.measurement import measuring_crops
from restore.weights.store import Network, Weights

__all__ = ["LEVELS", "Tried", "settled"]

LEVELS = (5.0, 15.0, 25.0, 50.0)
"""Noise levels, of 255."""
_QUALITIES = (10, 30)
_SIDE = 64
_LEAST_GAIN_DB = 0.25
_CLEAR_GAIN_DB = 1.0
"""A gain that no network reaches on another scale than its own."""
_MARGIN_DB = 0.1
"""What another way must gain over that of the layout."""
_ROLES: tuple[Role, ...] = ("noise", "negative noise", "picture")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What running a network on degraded pictures showed.

    Attributes:
        way: how its layers are read.
        of_layout: how they are read by the layout alone.
        noise: white; clipped, where it restores white noise better that is clipped to the range of
            pictures; or JPEG.
        psnr_db: level, as in ``sigma 25`` -> PSNR in dB of the degraded pictures, of the restored
            ones, and of those restored as ``of_layout`` reads the layers.
    """

    way: Interpretation
    of_layout: Interpretation
    noise: str
    psnr_db: dict[str, tuple[float, float, float]]

    @property
    def best(self) -> tuple[str, float, float, float]:
        """The level at which it gains most, and the entry of ``psnr_db`` for it."""
        level = max(self.psnr_db, key=lambda name: self.psnr_db[name][1] - self.psnr_db[name][0])
        return level, *self.psnr_db[level]

    def provenance(self) -> dict[str, Any]:
        """Return what a weight file stores of it."""
        restored = {level: figures[:2] for level, figures in self.psnr_db.items()}
        return {**asdict(self.way), "noise": self.noise, "psnr_db": restored}


def settled(weights: Weights, levels: Sequence[float] = LEVELS) -> tuple[Weights, Tried]:
    """Return a converted denoiser, its layers read in the way that restores best.

    The network runs on four clean pictures with white Gaussian noise, or, where no way removes
    that, compressed as JPEG. Tried are what it predicts, the scale of its values, the order of its
    colours, and, where it has as many layers as an IRCNN, their dilation.

    Args:
        weights: converted weights for which ``is_open`` holds.
        levels: noise levels, of 255.

    Raises:
        WeightsError: no way improves its input by a quarter of a dB at any level.
    """
    of_layout = as_read(weights)
    clean = _clean(weights)
    for examples in (_noisy(clean, levels), _compressed(clean)):
        scores = _searched(weights, of_layout, examples)
        best = _best(scores, examples, of_layout)
        gains = _gains(scores[best], examples)
        if max(gains) >= _LEAST_GAIN_DB:
            break
    else:
        raise WeightsError(
            "it improves no picture, with noise or as JPEG, whatever it may predict and on "
            "whatever scale"
        )
    clearest = gains.index(max(gains))
    example = examples[clearest]
    if best.order:
        # Each order works to some degree with a network for the other.
        orders = _restored(weights, [best, replace(best, order=best.order[::-1])], [example])
        best = _best(orders, [example], best)
    if best not in scores:
        scores |= _restored(weights, [best], examples)
    noise = example.noise
    if noise == "white":
        clipped = replace(example, noisy=example.noisy.clamp(0, 1))
        on_clipped = _restored(weights, [best], [clipped])[best][0]
        noise = "clipped" if on_clipped > scores[best][clearest] else noise
    figures = zip(examples, scores[best], scores[of_layout], strict=True)
    return interpreted(weights, best), Tried(
        way=best,
        of_layout=of_layout,
        noise=noise,
        psnr_db={
            each.name: (round(each.before, 2), round(restored, 2), round(as_laid_out, 2))
            for each, restored, as_laid_out in figures
        },
    )


@dataclass(frozen=True)
class _Example:
    """Pictures ``(B, C, H, W)`` with a degradation, and without."""

    noise: str
    name: str
    noisy: Tensor
    clean: Tensor

    @property
    def sigma(self) -> Tensor:
        return (self.noisy - self.clean).flatten(1).std(dim=1)

    @property
    def before(self) -> float:
        return self.psnr(self.noisy)

    def psnr(self, result: Tensor) -> float:
        """Return the mean PSNR in dB, with what is not finite as black."""
        finite = torch.nan_to_num(result, nan=0.0).clamp(0, 1).numpy()
        scores = [psnr_chw(*pair) for pair in zip(finite, self.clean.numpy(), strict=True)]
        return sum(scores) / len(scores)


_Scores = dict[Interpretation, list[float]]
"""PSNR in dB for each example."""


def _clean(weights: Weights) -> Tensor:
    """Return four pictures ``(4, C, H, W)`` of a size that the network takes.

    Raises:
        WeightsError: it takes only sizes that are larger than the pictures.
    """
    multiple = cast(Network, weights.build()).multiple
    crops = measuring_crops(weights.channels)
    largest = min(side for crop in crops for side in crop.shape[1:])
    side = -(-_SIDE // multiple) * multiple
    if side > largest:
        raise WeightsError(f"it takes sides of {multiple} pixels and their multiples, too large")
    start = (largest - side) // 2
    edge = slice(start, start + side)
    return torch.stack([crop[:, edge, edge] for crop in crops])


def _noisy(clean: Tensor, levels: Sequence[float]) -> list[_Example]:
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return [
        _Example("white", f"sigma {level:g}", clean + noise * level / 255, clean)
        for level in levels
    ]


def _compressed(clean: Tensor) -> list[_Example]:
    return [
        _Example("JPEG", f"quality {quality}", compressed(clean, [quality] * len(clean)), clean)
        for quality in _QUALITIES
    ]


def _searched(weights: Weights, of_layout: Interpretation, examples: Sequence[_Example]) -> _Scores:
    """Return how well ways restore the examples, until one does so clearly."""
    dilations = {of_layout.dilations}
    if isinstance(weights.config, DnCNNConfig) and weights.config.depth == len(IRCNN_DILATIONS):
        dilations = {(), IRCNN_DILATIONS}
    scores: _Scores = {}
    for order, scale in product(("RGB", "BGR") if of_layout.order else ("",), (1, 255)):
        ways = [
            replace(of_layout, role=role, scale=scale, order=order, dilations=each)
            for each, role in product(sorted(dilations), _ROLES)
        ]
        scores |= _restored(weights, ways, examples)
        if max(max(_gains(reached, examples)) for reached in scores.values()) > _CLEAR_GAIN_DB:
            break
    return scores


def _restored(
    weights: Weights, ways: Iterable[Interpretation], examples: Sequence[_Example]
) -> _Scores:
    """Return how well each way restores the examples."""
    scores: _Scores = {way: [] for way in ways}
    predictions: dict[Interpretation, list[Tensor]] = {}
    for way, reached in scores.items():
        layers = replace(way, role="picture")
        if layers not in predictions:
            network = interpreted(weights, layers).build()
            with torch.inference_mode():
                predictions[layers] = [network(each.noisy, each.sigma) for each in examples]
        sign = {"noise": -1, "negative noise": 1}.get(way.role, 0)
        for example, predicted in zip(examples, predictions[layers], strict=True):
            result = example.noisy + sign * predicted if sign else predicted
            reached.append(example.psnr(result))
    return scores


def _gains(reached: Sequence[float], examples: Sequence[_Example]) -> list[float]:
    return [psnr - example.before for psnr, example in zip(reached, examples, strict=True)]


def _best(ways: _Scores, examples: Sequence[_Example], preferred: Interpretation) -> Interpretation:
    """Return the way with the highest sum of gains where there are any, or the preferred one."""
    sums = {
        way: sum(max(gain, 0.0) for gain in _gains(reached, examples))
        for way, reached in ways.items()
    }
    best = max(sums, key=lambda way: sums[way])
    return best if sums[best] > sums[preferred] + _MARGIN_DB else preferred
