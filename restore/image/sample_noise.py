"""How much the samples of a mosaic vary, measured on the mosaic itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.image.raw_picture import RawPicture

__all__ = ["SampleNoise"]

_CODES = 1 << 16
_LEAST_SIGMA_DN, _UNKNOWN_DN = 0.5, 1e5
_BLOCK = 6
_LEAST_SIGNAL, _NEAR_CLIPPING = 1e-3, 0.9
_MOST_BLOCKS, _BINS, _LEAST_IN_BIN = 200_000, 24, 40
# The smoothest tenth of the blocks shows noise alone, in most pictures; and the factor from the
# mean second difference of its roughest to the standard deviation of white noise, by simulation.
_SMOOTHEST, _TO_SIGMA = 0.1, 1.606


@dataclass(frozen=True, kw_only=True)
class SampleNoise:
    """Standard deviation of the samples of a mosaic by their brightness.

    It is measured on samples one period of the colour filter apart, in the smoothest blocks of
    each brightness: noise alone, unless a picture has fine texture everywhere.

    Attributes:
        sigmas: float32 ``[65536]``, standard deviation in digital numbers at each of them.
    """

    sigmas: NDArray[np.float32]

    @classmethod
    def of(cls, raw: RawPicture) -> "SampleNoise":
        """Measure it; where a mosaic is too small to tell, everything may be noise."""
        side = len(raw.cfa)
        planes = [raw.mosaic[y::side, x::side] for y in range(side) for x in range(side)]
        step = max(1, round((raw.mosaic.size / _BLOCK**2 / _MOST_BLOCKS) ** 0.5))
        measured = [_blocks(plane, step) for plane in planes]
        levels, roughness = (np.concatenate(each) for each in zip(*measured, strict=True))
        if not levels.size:
            return cls(sigmas=np.full(_CODES, _UNKNOWN_DN, np.float32))
        count = min(_BINS, max(1, levels.size // _LEAST_IN_BIN))
        parts = np.array_split(np.argsort(levels, kind="stable"), count)
        typical = np.array([np.quantile(roughness[part], _SMOOTHEST) for part in parts])
        sigmas = np.maximum(typical * _TO_SIGMA, _LEAST_SIGMA_DN)
        places = np.array([float(np.median(levels[part])) for part in parts])
        signal = np.maximum(places - min(raw.black_level), _LEAST_SIGNAL * raw.range_dn)
        is_free = signal < _NEAR_CLIPPING * raw.range_dn
        if is_free.any():
            places, sigmas = places[is_free], _bounded(sigmas[is_free], signal[is_free])
        return cls(sigmas=np.interp(np.arange(_CODES), places, sigmas).astype(np.float32))

    def at(self, level: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the standard deviation at each brightness in digital numbers."""
        codes = np.clip(level, 0, _CODES - 1).astype(np.int32)
        return self.sigmas[codes]


def _bounded(sigmas: NDArray[np.float64], signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower what texture raised, for the variance of a sensor is a straight line in its signal.

    It is therefore nowhere larger than at more light, nor larger in proportion to the light than at
    less light.
    """
    variance = sigmas**2
    from_above = np.minimum.accumulate(variance[::-1])[::-1]
    from_below = np.minimum.accumulate(from_above / signal) * signal
    return np.sqrt(np.minimum(from_above, from_below))


def _blocks(
    plane: NDArray[np.uint16], step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and mean absolute second difference of every ``step``-th block of a plane."""
    rows, columns = (size // _BLOCK for size in plane.shape)
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    cut = cut[::step, :, ::step].astype(np.float32)
    down = cut[:, 0::3] - 2 * cut[:, 1::3] + cut[:, 2::3]
    across = cut[..., 0::3] - 2 * cut[..., 1::3] + cut[..., 2::3]
    means = cut.mean(axis=(1, 3)).ravel()
    roughness = (np.abs(down).mean(axis=(1, 3)) + np.abs(across).mean(axis=(1, 3))).ravel()
    return means, roughness / np.float32(2 * 6**0.5)
