"""The network of a denoiser on pictures in memory, run as the command would run it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pictures import SIGMA
from restore.denoise.pixels import Tile
from restore.denoise.task import TASK
from restore.engine.placement import Placement
from restore.engine.runner import Runner

__all__ = ["network_alone"]

Pixels = NDArray[np.float32]


def network_alone(model: str, device: str = "auto") -> tuple[Runner, Callable[[Pixels], Pixels]]:
    """Return what runs a network, and a function that denoises ``[3, H, W]`` in [0, 1] by it.

    Args:
        model: a shipped name or a weight file.
        device: as for the command.
    """
    runner = Runner(TASK.open(model), Placement(device=device))
    tile = Tile(SIGMA / 255, runner.traits.channels)
    return runner, lambda pixels: runner.tiled(pixels, tile)
