"""What a denoiser does with one tile of a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.engine.runner import Run

__all__ = ["Tile"]

Pixels = NDArray[np.float32]

# No sample of Gaussian noise in ten thousand lies further out.
_MARGIN_SIGMAS = 4.0
# For blind networks, whose noise may be stronger than we were told.
_LEAST_MARGIN = 0.25


@dataclass(frozen=True)
class Tile:
    """Denoises a tile ``[C, h, w]``, gray or RGB, with a network for either; see ``PerTile``.

    A gray network takes the channels of a colour picture one by one, and a colour network sees a
    gray picture as three equal channels. Noise may reach beyond [0, 1]; what lies further out
    (highlights of float pictures) is clipped for the network, whose correction is then added to the
    value as it came.

    Attributes:
        sigma: noise level in [0, 1], used by networks that take it.
        channels: of the network.
    """

    sigma: float
    channels: int

    def __call__(self, run: Run, patch: Pixels) -> Pixels:
        """Return the restored tile, not clipped."""
        if len(patch) == self.channels:
            return self._restored(run, patch)
        if self.channels == 1:
            return np.concatenate([self._restored(run, channel[None]) for channel in patch])
        equal = self._restored(run, np.repeat(patch, self.channels, axis=0))
        gray: Pixels = equal.mean(axis=0, keepdims=True, dtype=np.float32)
        return gray

    def _restored(self, run: Run, patch: Pixels) -> Pixels:
        margin = max(_LEAST_MARGIN, _MARGIN_SIGMAS * self.sigma)
        level = np.full(1, self.sigma, np.float32)
        # Mostly there is nothing to clip, and each pass over a picture takes as long as a GPU.
        if patch.min() >= -margin and patch.max() <= 1 + margin:
            restored: Pixels = run(patch[None], level)[0]
            return restored
        noisy = np.clip(patch, -margin, 1 + margin)
        correction: Pixels = run(noisy[None], level)[0] - noisy
        return patch + correction
