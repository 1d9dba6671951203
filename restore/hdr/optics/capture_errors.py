"""What a real lens and camera do that their model does not know, drawn at random for training."""

import math
from dataclasses import astuple, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.errors import UsageError

__all__ = ["ERROR_NUMBERS", "CaptureErrors"]

_COLOURS = 3
# Of each colour a displacement (x, y) and a scale; scale, rotation, blur, veil, black offset,
# knee, demosaicking and the two phases of the colour filter of all.
_PER_COLOUR, _SHARED = 3, 9
ERROR_NUMBERS = _COLOURS * _PER_COLOUR + _SHARED
"""Number of random numbers that describe the errors of one exposure."""

_BLUR_REACH_PX = 4
_LEAST_BLUR_PX = 0.05


@dataclass(frozen=True, kw_only=True)
class CaptureErrors:
    """Largest errors of captures; every exposure draws its own, so that the PSF varies in a field.

    The defaults are what remains after a careful measurement of the PSF: a percent of focal
    length, a degree of mounting, a focus that differs between centre and corners of the picture.

    Attributes:
        shift_px: Displacement of a colour against the others, in either direction.
        scale: Change of the PSF's size, as a share.
        rotation_deg: Rotation of the PSF.
        blur_px: Standard deviation of additional blur.
        chromatic: Change of the PSF's size of single colours, as a share.
        veil: Share of all light that is scattered beyond the PSF, evenly over the picture.
        black_offset: Error of the black level to either side, where white is 1.
        knee: Share of the range below white over which the response bends into saturation.
        demosaicking: How much of the samples is interpolated from a Bayer mosaic.
    """

    shift_px: float = 0.4
    scale: float = 0.01
    rotation_deg: float = 1.0
    blur_px: float = 1.0
    chromatic: float = 0.005
    veil: float = 0.04
    black_offset: float = 0.003
    knee: float = 0.05
    demosaicking: float = 0.7

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if min(astuple(self)) < 0 or not all(map(math.isfinite, astuple(self))):
            raise UsageError("errors of captures cannot be negative")
        if max(self.scale, self.chromatic, self.veil, self.knee) >= 0.5 or self.demosaicking > 1:
            raise UsageError("errors of captures given as shares must be small")

    def spread(self, psf: Tensor, draws: Tensor) -> Tensor:
        """Return the PSFs ``(B, 3, P, P)`` of exposures, each colour with the sum that it had.

        Args:
            psf: as designed or measured, ``(3, P, P)``.
            draws: random numbers in [-1, 1], ``(B, ERROR_NUMBERS)``.
        """
        count, (colours, rows, columns) = len(draws), psf.shape
        own, shared = _split(draws)
        angle = math.radians(self.rotation_deg) * shared[:, 1]
        size = (1 + self.scale * shared[:, :1]) * (1 + self.chromatic * own[:, :, 2])
        cosine, sine = (each[:, None] / size for each in (angle.cos(), angle.sin()))
        half = psf.new_tensor([columns / 2, rows / 2])
        shift = self.shift_px * own[:, :, :2]
        # In the coordinates of ``grid_sample``, which run from -1 to 1 over either side.
        inverse = torch.stack(
            [
                torch.stack([cosine, sine * (rows / columns), -shift[..., 0] / half[0]], dim=-1),
                torch.stack([-sine * (columns / rows), cosine, -shift[..., 1] / half[1]], dim=-1),
            ],
            dim=-2,
        ).flatten(0, 1)
        grid = F.affine_grid(inverse, [count * colours, 1, rows, columns], align_corners=False)
        planes = psf[None].expand(count, -1, -1, -1).reshape(-1, 1, rows, columns)
        moved = F.grid_sample(planes, grid, mode="bilinear", align_corners=False)
        blurred = _blurred(moved.view(count, colours, rows, columns), self._blur(shared))
        total = psf.sum(dim=(1, 2), keepdim=True)
        kept: Tensor = blurred * (total / blurred.sum(dim=(2, 3), keepdim=True).clamp(min=1e-12))
        return kept

    def light(self, light: Tensor, draws: Tensor) -> Tensor:
        """Return what the sensor makes of light ``(B, 3, H, W)``: veil, knee and black offset."""
        _, shared = _split(draws)
        veil, offset, knee = (
            strength[:, None, None, None]
            for strength in (
                self.veil * shared[:, 3].abs(),
                self.black_offset * shared[:, 4],
                (self.knee * shared[:, 5].abs()).clamp(min=1e-4),
            )
        )
        veiled = (1 - veil) * light + veil * light.mean(dim=(2, 3), keepdim=True)
        beyond = (veiled - (1 - knee)).clamp(min=0)
        return torch.minimum(veiled, 1 - knee) + knee * (1 - torch.exp(-beyond / knee)) + offset

    def interpolated(self, samples: Tensor, draws: Tensor) -> Tensor:
        """Return samples ``(B, 3, H, W)`` that are in part bilinear means of a Bayer mosaic."""
        _, shared = _split(draws)
        share = (self.demosaicking * shared[:, 6].abs())[:, None, None, None]
        return torch.lerp(samples, _demosaicked(samples, shared[:, 7:9] > 0), share)

    def _blur(self, shared: Tensor) -> Tensor:
        return (self.blur_px * shared[:, 2].abs()).clamp(min=_LEAST_BLUR_PX)


def _split(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers of each colour ``(B, 3, 3)``, and those of all."""
    count = _COLOURS * _PER_COLOUR
    return draws[:, :count].reshape(-1, _COLOURS, _PER_COLOUR), draws[:, count:]


def _blurred(planes: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur planes ``(B, C, H, W)`` by Gaussians of the deviations ``(B,)``."""
    offsets = torch.arange(-_BLUR_REACH_PX, _BLUR_REACH_PX + 1, device=planes.device)
    weights = torch.exp(-0.5 * (offsets / sigma_px[:, None]).square())
    kernel = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(planes.shape[1], dim=0)
    flat = planes.reshape(1, -1, *planes.shape[2:])
    for shape in ((-1, 1, kernel.shape[1], 1), (-1, 1, 1, kernel.shape[1])):
        flat = F.conv2d(flat, kernel.view(shape), padding="same", groups=flat.shape[1])
    return flat.view_as(planes)


def _demosaicked(samples: Tensor, phase: Tensor) -> Tensor:
    """Sample ``(B, 3, H, W)`` through Bayer filters, and interpolate bilinearly.

    Args:
        samples: red, green and blue.
        phase: bool ``(B, 2)``, whether the first row and column hold no red.
    """
    height, width = samples.shape[2:]
    rows = torch.arange(height, device=samples.device)[:, None] + phase[:, :1, None]
    columns = torch.arange(width, device=samples.device) + phase[:, 1:, None]
    is_red, is_blue = ((rows % 2 == parity) & (columns % 2 == parity) for parity in (0, 1))
    seen = torch.stack([is_red, ~(is_red | is_blue), is_blue], dim=1).to(samples.dtype)
    cross = samples.new_tensor([[0, 1, 0], [1, 4, 1], [0, 1, 0]])
    square = samples.new_tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    kernels = torch.stack([square, cross, square])[:, None]
    summed, weight = (
        F.conv2d(each, kernels, padding=1, groups=_COLOURS) for each in (samples * seen, seen)
    )
    return summed / weight
