"""From radiance to the numbers that a sensor stores, and from photographs to radiance."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from restore.errors import UsageError
from restore.image.colour import SRGB_EXPONENT, SRGB_KNEE, SRGB_OFFSET, SRGB_SLOPE

__all__ = [
    "LARGEST_RADIANCE",
    "LEAST_RADIANCE",
    "Sensor",
    "blurred",
    "brightened",
    "expose",
    "uniform",
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
        psf: ``(C, P, Q)``, both odd; its centre is where a point is imaged.
        margin: pixels along the edges that are left out of the result.

    Raises:
        ValueError: other shapes.
    """
    if radiance.ndim != 4 or psf.ndim != 3 or radiance.shape[1] != psf.shape[0]:
        raise ValueError(
            f"a scene {list(radiance.shape)} does not go through a PSF {list(psf.shape)}"
        )
    height, width = radiance.shape[2:]
    rows, columns = psf.shape[1:]
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
        """Return samples in [0, 1].

        Rounding passes gradients unchanged (straight-through); saturation passes none.

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
        samples: Tensor = signal.clamp(0, 1)
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


_LARGEST_PEAK = 32.0
_MOST_LIGHTS = 5
_LIGHT_STOPS = (0.0, 7.0)
_LIGHT_RADIUS = (0.004, 0.06)


def brightened(photograph: Tensor, rng: torch.Generator) -> Tensor:
    """Return radiance: the photograph linearised, its whites expanded, and a few lights added.

    The inverse tone curve ``x / (1 - a v^b)``, with v the brightest channel, leaves shadows and
    middle tones as they are and raises white to a random peak of up to 32 (a family that holds
    the inverse of Reinhard's operator, SIGGRAPH 2002, at b = 1). Lights are ellipses with soft or
    hard edges of up to seven stops above white, nearly white or coloured.

    Args:
        photograph: sRGB ``(3, H, W)`` in [0, 1].
        rng: on the host.

    Returns:
        ``(3, H, W)``, white of the photograph at about 1.
    """
    low = photograph / SRGB_SLOPE
    curve = ((photograph + SRGB_OFFSET) / (1 + SRGB_OFFSET)).pow(SRGB_EXPONENT)
    linear = torch.where(photograph <= SRGB_SLOPE * SRGB_KNEE, low, curve)
    peak = math.exp(uniform(rng, 0.0, math.log(_LARGEST_PEAK)))
    power = uniform(rng, 1.0, 8.0)
    value = linear.amax(dim=0, keepdim=True)
    radiance = linear / (1 - (1 - 1 / peak) * value.pow(power))
    for _ in range(int(torch.randint(_MOST_LIGHTS + 1, (), generator=rng))):
        radiance = radiance + _light(radiance.shape[1], radiance.shape[2], rng)
    return radiance


def _light(height: int, width: int, rng: torch.Generator) -> Tensor:
    side = min(height, width)
    y, x = uniform(rng) * height, uniform(rng) * width
    low, high = (math.log(radius * side) for radius in _LIGHT_RADIUS)
    radii = [math.exp(uniform(rng, low, high)) for _ in range(2)]
    angle = uniform(rng, 0, math.pi)
    rows = torch.arange(height, dtype=torch.float32)[:, None] - y
    columns = torch.arange(width, dtype=torch.float32) - x
    along = (rows * math.cos(angle) + columns * math.sin(angle)) / radii[0]
    across = (columns * math.cos(angle) - rows * math.sin(angle)) / radii[1]
    distance = along.square() + across.square()
    hardness = math.exp(uniform(rng, 0.0, math.log(8.0)))
    shape = torch.exp(-distance.pow(hardness))
    colour = 1 - uniform(rng, 0.0, 0.7) * torch.rand((3, 1, 1), generator=rng)
    return 2 ** uniform(rng, *_LIGHT_STOPS) * colour * shape


def uniform(rng: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """Return a random number from ``low`` to ``high``."""
    return low + (high - low) * float(torch.rand((), generator=rng))
