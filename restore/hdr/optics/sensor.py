"""From radiance to the numbers that a sensor stores."""

from dataclasses import dataclass

import torch
from torch import Tensor

from restore.errors import UsageError

__all__ = [
    "LARGEST_RADIANCE",
    "LEAST_RADIANCE",
    "Sensor",
    "blurred",
    "expose",
]

LEAST_RADIANCE, LARGEST_RADIANCE = 1e-5, 64.0
"""The range of a scene relative to the sensor's white: six stops above it."""

_BITS = (8, 10, 12)


def expose(radiance: Tensor, saturated: Tensor, *, margin: int = 0) -> Tensor:
    """Scale scenes so that a share of their pixels lies above white, and clip at six stops above.

    Args:
        radiance: ``(B, C, H, W)``, linear, in any unit.
        saturated: ``(B,)``, the share of the pixels with a channel above 1, in (0, 1).
        margin: pixels along the edges that are ignored.

    Returns:
        ``(B, C, H, W)`` in units of white, from ``LEAST_RADIANCE`` to ``LARGEST_RADIANCE``.
    """
    height, width = radiance.shape[2:]
    seen = radiance[..., margin : height - margin, margin : width - margin]
    brightest = seen.amax(dim=1).flatten(1)
    count = brightest.shape[1]
    white = [
        row.kthvalue(max(1, min(count, round(count * (1 - share))))).values
        for row, share in zip(brightest, saturated.tolist(), strict=True)
    ]
    scale = torch.stack(white).clamp(min=1e-12).view(-1, 1, 1, 1)
    exposed: Tensor = (radiance / scale).clamp(LEAST_RADIANCE, LARGEST_RADIANCE)
    return exposed


def blurred(radiance: Tensor, psf: Tensor, *, margin: int = 0) -> Tensor:
    """Return the light on the sensor: the scene convolved with the point spread function.

    The convolution is linear: beyond its edges the scene is dark. Always computed in at least
    float32.

    Args:
        radiance: ``(B, C, H, W)``.
        psf: ``(C, P, Q)``, or ``(B, C, P, Q)`` with one for each scene, both sides odd; its centre
            is where a point is imaged.
        margin: pixels along the edges that are left out of the result.

    Raises:
        ValueError: other shapes.
    """
    fits = psf.shape[:-2] in (radiance.shape[1:2], radiance.shape[:2])
    if radiance.ndim != 4 or psf.ndim not in (3, 4) or not fits:
        raise ValueError(
            f"a scene {list(radiance.shape)} does not go through a PSF {list(psf.shape)}"
        )
    height, width = radiance.shape[2:]
    rows, columns = psf.shape[-2:]
    if not rows % 2 or not columns % 2:
        raise ValueError(f"the sides of a PSF must be odd, got {rows} and {columns}")
    # Long enough that nothing wraps around into what is kept.
    sizes = ((height, rows), (width, columns))
    full = tuple(_fast_length(max(size + spread // 2 - margin, spread)) for size, spread in sizes)
    spectrum = torch.fft.rfft2(radiance, s=full) * torch.fft.rfft2(psf.to(radiance.dtype), s=full)
    light: Tensor = torch.fft.irfft2(spectrum, s=full)
    shifted = light.roll((-(rows // 2), -(columns // 2)), dims=(-2, -1))
    return shifted[..., margin : height - margin, margin : width - margin]


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """A sensor that saturates at 1.

    Attributes:
        bits: Bits per sample, 8, 10 or 12; 0 for samples that are not rounded.
        read_noise: Standard deviation of the read noise, relative to white.
        full_well: Electrons at white, for shot noise; 0 for none.
    """

    bits: int = 8
    read_noise: float = 0.0
    full_well: float = 0.0

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.bits not in (0, *_BITS):
            raise UsageError(f"a sensor of {self.bits} bits: use 8, 10 or 12")
        if min(self.read_noise, self.full_well) < 0:
            raise UsageError("noise and full well of a sensor cannot be negative")

    def __call__(
        self, light: Tensor, noise: Tensor | None = None, *, read_noise: Tensor | None = None
    ) -> Tensor:
        """Return samples in [0, 1]; arguments as ``exposed``.

        Rounding passes gradients unchanged (straight-through); saturation passes none.
        """
        return self.rounded(self.exposed(light, noise, read_noise=read_noise))

    def exposed(
        self, light: Tensor, noise: Tensor | None = None, *, read_noise: Tensor | None = None
    ) -> Tensor:
        """Return samples in [0, 1] before they are rounded.

        Args:
            light: of any shape, in units of white.
            noise: standard normal numbers of the same shape, drawn afresh for every exposure;
                None for a sensor without noise.
            read_noise: standard deviation of each exposure, broadcast over ``light``; None for the
                sensor's own.
        """
        signal = light
        if noise is not None:
            deviation = light.new_tensor(self.read_noise) if read_noise is None else read_noise
            if self.full_well:
                counted = light.clamp(min=0) / self.full_well
                # The gradient of a root is infinite at 0.
                deviation = (deviation.square() + counted).clamp(min=1e-12).sqrt()
            signal = light + noise * deviation
        return signal.clamp(0, 1)

    def rounded(self, samples: Tensor) -> Tensor:
        """Return samples in [0, 1] in the steps of the sensor's bits."""
        if not self.bits:
            return samples
        steps = float(2**self.bits - 1)
        rounded: Tensor = torch.round(samples.detach() * steps) / steps
        return samples + (rounded - samples.detach())


def _fast_length(least: int) -> int:
    """Return the next length whose factors are 2, 3 and 5, for which FFTs are fast."""
    length = least
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
