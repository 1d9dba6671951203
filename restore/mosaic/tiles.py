"""One tile of a mosaic: prepared for a network, run through it, and its noise taken out."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from restore.engine.runner import Run
from restore.mosaic.planes import normalised_planes
from restore.noise.poisson_gaussian import NoiseProfile

__all__ = ["ALL_COLOURS", "SAMPLES", "KSigmaTile", "NormalisedTile"]

Pixels = NDArray[np.float32]

SAMPLES = 4
"""Samples of a block, two by two; in a patch, the codes of their colours follow."""

ALL_COLOURS = 3
"""Code of samples that see all colours; 0, 1 and 2 are red, green and blue."""

_SMOOTHING = 5


class NormalisedTile:
    """Runs a MosaicResUNet on one tile; a ``restore.engine.runner.PerTile``.

    Args:
        profile: noise of the sensor.
        strength: as for calling a ``MosaicDenoiser``.
        least_read: variance that read noise has at least.
    """

    def __init__(self, profile: NoiseProfile, strength: float, *, least_read: float) -> None:
        expected = max(1.0, strength) ** 2
        shot, read = (np.asarray(each, np.float32) for each in (profile.a, profile.b))
        self._shot = (expected * shot)[:, None, None]
        self._read = (expected * np.maximum(read, least_read))[:, None, None]
        self._share = np.float32(min(1.0, strength))

    def __call__(self, run: Run, patch: Pixels) -> Pixels:
        """Return the samples ``[4, h, w]`` of ``patch`` without noise."""
        samples, codes = patch[:SAMPLES], patch[SAMPLES:]
        masks = np.stack([(codes == colour) | (codes == ALL_COLOURS) for colour in range(3)])
        normalised = normalised_planes(
            samples,
            masks.astype(np.float32),
            self._shot,
            self._read,
            smoothed=_smoothed,
            joined=lambda planes: np.concatenate(planes, axis=-3),
        )
        noise = run(normalised.planes[None])[0]
        result: Pixels = samples - self._share * normalised.scale * noise
        return result


def _smoothed(planes: Pixels) -> Pixels:
    for axis in (-2, -1, -2, -1):
        planes = uniform_filter1d(planes, _SMOOTHING, axis=axis, mode="constant")
    return planes


class KSigmaTile:
    """Runs a PMRID on one tile; a ``restore.engine.runner.PerTile``.

    The k-sigma transform of Wang et al. (ECCV 2020) turns the noise of any sensor into that of the
    phone at ISO 1600 for which the network was trained.

    Args:
        profile: noise of the sensor.
        strength: as for calling a ``MosaicDenoiser``.
    """

    def __init__(self, profile: NoiseProfile, strength: float) -> None:
        expected = max(1.0, strength) ** 2
        a, b = (expected * sum(each) / len(each) for each in (profile.a, profile.b))
        a = max(a, _LEAST_K, _LEAST_SHARE * b**0.5)
        self._gain = np.float32(_PHONE_A / a)
        self._shift = np.float32((b / a**2 - _PHONE_B / _PHONE_A**2) * _PHONE_A)
        self._share = np.float32(min(1.0, strength))

    def __call__(self, run: Run, patch: Pixels) -> Pixels:
        """Return the samples ``[4, h, w]`` of ``patch`` without noise."""
        samples = patch[:SAMPLES]
        alike = samples.clip(0, 1) * self._gain + self._shift
        denoised = run(_PHONE_SCALE * alike[None])[0] / _PHONE_SCALE
        result: Pixels = samples + self._share * ((denoised - self._shift) / self._gain - samples)
        return result


_PHONE_ISO, _PHONE_RANGE_DN = 1600.0, 959.0
_PHONE_A = (0.0005995267 * _PHONE_ISO + 0.00868861) / _PHONE_RANGE_DN
_PHONE_B = (7.11772e-7 * _PHONE_ISO**2 + 6.514934e-4 * _PHONE_ISO + 0.11492713) / _PHONE_RANGE_DN**2
"""The phone's noise at ISO 1600, as its authors measured it (MegEngine/PMRID, Apache-2.0)."""

_PHONE_SCALE = np.float32(256)
_LEAST_K, _LEAST_SHARE = 1e-9, 1e-5
"""Without shot noise, the transform would move samples so far that they are rounded."""
