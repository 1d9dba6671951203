"""Learning to denoise without clean pictures: inputs and targets from the noisy pictures alone.

The targets are noisy, but their noise is independent of that of the inputs and zero on average.
Squared differences from them therefore have the same minimum as from clean targets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.training.crops import areas_of, cut, draw_places, oriented
from restore.training.loop import Forward
from restore.training.picture_store import Samples
from restore.training.schedule import Figure
from restore.training.state import Randomness

__all__ = [
    "AGREEMENT",
    "BlindSpots",
    "Bursts",
    "Example",
    "Neighbours",
    "NoisyCrops",
    "NoisyLoss",
    "NoisyValidation",
    "Pairs",
]

AGREEMENT = Figure(key="validation_agreement_db", name="PSNR to noisy targets", unit="dB")

_CONSISTENCY, _UNREGULARISED = 2.0, 0.2
"""Weight of the regularisation at the end, 2 for Gaussian noise by Huang et al.; and the share of
the training before it begins to rise."""

# Pairs of neighbours in a block of two by two pixels, in both orders.
_PAIRS = torch.tensor([(0, 1), (0, 2), (1, 3), (2, 3), (1, 0), (2, 0), (3, 1), (3, 2)])

_FARTHER = 3
"""Pixels beyond the least distance from which masked pixels are taken."""
_LEAST_SPACING = 4


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Two pictures of half the size that were sampled from one.

    Attributes:
        whole: the picture, ``(B, C, P, P)``.
        first: index in each block of two by two pixels of the first sample, ``(B, 1, P/2, P/2)``.
        second: index of the second one, its neighbour.
    """

    whole: Tensor
    first: Tensor
    second: Tensor

    def sampled(self, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and the second picture of ``(B, C, P, P)``."""
        count, channels, height, width = whole.shape
        blocks = F.pixel_unshuffle(whole, 2).view(count, channels, 4, height // 2, width // 2)

        def picked(index: Tensor) -> Tensor:
            return blocks.gather(2, index[:, :, None].expand(-1, channels, 1, -1, -1)).squeeze(2)

        return picked(self.first), picked(self.second)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A batch of inputs and noisy targets.

    Attributes:
        noisy: inputs, ``(B, C, P, P)``.
        target: noisy targets of the same shape.
        sigma: noise level of each input, ``(B,)``.
        counts: where the loss counts, 0 or 1, ``(B, 1, P, P)``; None for everywhere.
        pairs: what inputs and targets were sampled from, if they were.
        shown: the noisy crops as pictures.
    """

    noisy: Tensor
    target: Tensor
    sigma: Tensor
    shown: Tensor
    counts: Tensor | None = None
    pairs: Pairs | None = None

    def error(self, result: Tensor) -> Tensor:
        """Return the mean squared difference of a result from the target."""
        squared = (result - self.target).square()
        if self.counts is None:
            return squared.mean()
        return (squared * self.counts).sum() / (self.counts.sum() * squared.shape[1])


class NoisyLoss:
    """The squared error, for ``pairs`` with the regularisation of Neighbor2Neighbor.

    The pictures that are sampled from one differ not in noise alone. The network's result for the
    whole tells what their true difference is (Huang et al., "Neighbor2Neighbor", CVPR 2021, eq. 6).
    As there, its weight rises during training: at first the network does little, and the
    regularisation would hold it there.
    """

    def __init__(self) -> None:
        self._consistency = 0.0

    def pace(self, progress: float) -> Iterable[nn.Parameter]:
        """Set the weight of the regularisation by the share of the training that is done."""
        share = (progress - _UNREGULARISED) / (1 - _UNREGULARISED)
        self._consistency = _CONSISTENCY * max(0.0, share)
        return ()

    def __call__(self, forward: Forward, batch: Example) -> Tensor:
        """Return the loss of the network ``forward`` on a batch."""
        if batch.pairs is None or not self._consistency:
            return batch.error(forward(batch.noisy, batch.sigma))
        with torch.no_grad():
            first, second = batch.pairs.sampled(forward(batch.pairs.whole, batch.sigma))
        difference = forward(batch.noisy, batch.sigma) - batch.target
        consistency = (difference - (first - second)).square().mean()
        return difference.square().mean() + self._consistency * consistency


class NoisyCrops:
    """Random crops of frames of one scene each, in the orientations that keep the noise as it is.

    Args:
        scenes: frames of each scene, uint8 or float32 ``(C, H, W)``.
        levels: noise level of each scene in [0, 1].
        patch: side of the square crops in pixels.
        batch: crops per call.
        turns: whether crops may be turned by a right angle: not where noise differs by direction.
    """

    def __init__(
        self,
        scenes: Sequence[Sequence[Samples]],
        levels: Sequence[float],
        *,
        patch: int,
        batch: int,
        turns: bool,
    ) -> None:
        self.scenes = [list(frames) for frames in scenes]
        self.levels = torch.tensor(levels, dtype=torch.float32)
        self.patch, self.batch, self.turns = patch, batch, turns
        self._areas = areas_of([frames[0] for frames in self.scenes])

    def __call__(self, rng: Randomness, frames: int) -> tuple[list[Tensor], Tensor]:
        """Return crops ``(B, C, P, P)`` of so many frames each, and their noise levels ``(B,)``."""
        crops, scenes = self.drawn(rng, frames)
        return crops, self.levels_of(scenes, rng)

    def levels_of(self, scenes: Tensor, rng: Randomness) -> Tensor:
        """Return the noise levels of scenes by their indices, ``(B,)``, on the run's device."""
        return rng.moved(self.levels[scenes])

    def drawn(self, rng: Randomness, frames: int) -> tuple[list[Tensor], Tensor]:
        """Return crops ``(B, C, P, P)`` of so many frames each, and their scenes ``(B,)``."""
        crops: list[list[Tensor]] = [[] for _ in range(frames)]
        indices = []
        for index, place, orientation in draw_places(rng.host, self._areas, self.batch):
            indices.append(index)
            own = self.scenes[index]
            order = torch.randperm(len(own), generator=rng.host)[:frames].tolist()
            for part, frame in zip(crops, order, strict=True):
                crop = cut(own[frame], place, self.patch)
                part.append(oriented(crop, orientation if self.turns else orientation // 2 * 2))
        return [_moved(part, rng) for part in crops], torch.tensor(indices)


def _moved(crops: list[Tensor], rng: Randomness) -> Tensor:
    moved = rng.moved(torch.stack(crops))
    return moved.float().div_(255) if moved.dtype == torch.uint8 else moved


class Bursts:
    """Two frames of one scene: one is the target of the other.

    Lehtinen et al., "Noise2Noise: Learning Image Restoration without Clean Data", ICML 2018.
    """

    def __init__(self, crops: NoisyCrops) -> None:
        self.crops = crops

    def __call__(self, rng: Randomness) -> Example:
        """Draw one batch."""
        (noisy, target), sigma = self.crops(rng, 2)
        return Example(noisy=noisy, target=target, sigma=sigma, shown=noisy)


class Neighbours:
    """Two pictures of half the size from one: neighbours, of which one is the other's target.

    Huang et al., "Neighbor2Neighbor: Self-Supervised Denoising from Single Noisy Images", CVPR
    2021. It needs noise that is independent from pixel to pixel.
    """

    def __init__(self, crops: NoisyCrops) -> None:
        self.crops = crops

    def __call__(self, rng: Randomness) -> Example:
        """Draw one batch."""
        (whole,), sigma = self.crops(rng, 1)
        count, side = len(whole), whole.shape[-1] // 2
        chosen = torch.randint(
            len(_PAIRS), (count, 1, side, side), generator=rng.local, device=rng.device
        )
        first, second = _PAIRS.to(rng.device)[chosen].unbind(dim=-1)
        pairs = Pairs(whole=whole, first=first, second=second)
        noisy, target = pairs.sampled(whole)
        return Example(noisy=noisy, target=target, sigma=sigma, pairs=pairs, shown=whole)


class BlindSpots:
    """Crops with masked spots, whose centres are the targets.

    A spot takes the pixels of another place nearby, so that it looks like the rest. It is as wide
    as noise is correlated, so that nothing in the input tells of the noise at its centre (Krull et
    al., "Noise2Void", CVPR 2019; Broaddus et al., "Removing Structured Noise with Self-Supervised
    Blind-Spot Networks", ISBI 2020).

    Args:
        crops: draws the crops.
        reach: how many pixels noise is correlated down and across.
    """

    def __init__(self, crops: NoisyCrops, reach: tuple[int, int]) -> None:
        self.crops = crops
        self.reach = reach

    def __call__(self, rng: Randomness) -> Example:
        """Draw one batch."""
        (whole,), sigma = self.crops(rng, 1)
        centres = self._centres(whole, rng)
        down, across = self.reach
        spots = F.max_pool2d(
            centres, (2 * down + 1, 2 * across + 1), stride=1, padding=(down, across)
        )
        noisy = torch.where(spots.bool(), self._moved(whole, rng), whole)
        return Example(noisy=noisy, target=whole, sigma=sigma, counts=centres, shown=whole)

    def _centres(self, whole: Tensor, rng: Randomness) -> Tensor:
        """Return ``(B, 1, P, P)``: 1 at one random place of every cell of a grid."""
        count, _, height, width = whole.shape
        tall, wide = (max(_LEAST_SPACING, 2 * (2 * reach + 1)) for reach in self.reach)
        rows, columns = height // tall, width // wide
        shape = (count, 1, rows, columns)
        place = torch.randint(tall * wide, shape, generator=rng.local, device=rng.device)
        cells = F.one_hot(place, tall * wide).permute(0, 1, 4, 2, 3).flatten(1, 2)
        centres = cells.view(count, tall, wide, rows, columns).permute(0, 3, 1, 4, 2)
        centres = centres.reshape(count, 1, rows * tall, columns * wide).float()
        return F.pad(centres, (0, width - columns * wide, 0, height - rows * tall))

    def _moved(self, whole: Tensor, rng: Randomness) -> Tensor:
        """Return each crop moved so far that its noise tells nothing of that below it."""
        moved = []
        down, across = self.reach
        draws = torch.randint(1 << 16, (len(whole), 4), generator=rng.host).tolist()
        for crop, (axis, sign, far, beside) in zip(whole, draws, strict=True):
            reach, other = (down, across) if axis % 2 else (across, down)
            farther = (2 * reach + 1 + far % _FARTHER) * (1 if sign % 2 else -1)
            aside = beside % (2 * other + 3) - other - 1
            shift = (farther, aside) if axis % 2 else (aside, farther)
            moved.append(torch.roll(crop, shift, dims=(1, 2)))
        return torch.stack(moved)


class NoisyValidation:
    """Mean PSNR in dB to the noisy targets of held-out pictures: higher is better, to their noise.

    Args:
        held_out: batches, drawn once.
        device: device of the network.
    """

    def __init__(self, held_out: Sequence[Example], device: torch.device) -> None:
        self.held_out = list(held_out)
        self.device = device
        self._results: list[Tensor] = []

    def __call__(self, network: nn.Module) -> float:
        """Return the mean PSNR of ``network``, which is left in evaluation mode."""
        network.eval()
        errors = []
        self._results = []
        with torch.inference_mode():
            for batch in self.held_out:
                sigma = batch.sigma.to(self.device)
                result = network(batch.noisy.to(self.device), sigma).cpu()
                errors.append(batch.error(result).clamp_min(1e-12))
                self._results.append(network(batch.shown[:1].to(self.device), sigma[:1]).cpu())
        return float(-10 * torch.stack(errors).log10().mean())

    def sheet(self) -> Tensor | None:
        """Return noisy and restored side by side, ``(3, H, W)``, or None before a call."""
        rows = [
            torch.cat([batch.shown[:1], result], dim=3)[0].clamp(0, 1).expand(3, -1, -1)
            for batch, result in zip(self.held_out, self._results, strict=False)
        ]
        return torch.cat(rows, dim=1) if rows else None
