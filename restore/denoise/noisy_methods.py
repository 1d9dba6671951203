"""The methods of learning from noisy pictures alone, by their names."""

from collections.abc import Callable, Sequence

from restore.denoise.downscaled import Downscaled
from restore.denoise.noisy_pictures import NoisyPictures, as_floats
from restore.denoise.self_supervision import BlindSpots, Bursts, Example, Neighbours, NoisyCrops
from restore.training.state import Randomness

__all__ = ["Batches", "batches_of"]

Batches = Callable[[Randomness], Example]


def batches_of(
    found: NoisyPictures,
    scenes: Sequence[int],
    levels: Sequence[float],
    *,
    patch: int,
    batch: int,
) -> Batches:
    """Return what draws batches by the method that suits the pictures.

    Args:
        found: the pictures.
        scenes: indices of the scenes that are drawn from.
        levels: noise level of each of these, told to the network.
        patch: side of the crops in pixels.
        batch: crops per call.
    """
    down, across = found.correlation.reach
    frames = [found.scenes[index] for index in scenes]
    if found.method == "downscaled" and found.noise is not None:
        return Downscaled(
            frames,
            levels,
            noise=found.noise,
            correlation=found.correlation,
            factors=[found.noise.factor(as_floats(each[0])) for each in frames],
            side=patch // 2,
            batch=batch,
        )
    crops = NoisyCrops(frames, levels, patch=patch, batch=batch, turns=down == across)
    if found.method == "bursts":
        return Bursts(crops)
    return Neighbours(crops) if found.method == "neighbours" else BlindSpots(crops, (down, across))
