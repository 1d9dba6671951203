"""Optical elements as differentiable height maps over the aperture."""

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from restore.hdr.optics.psf import LensDesign, aperture

__all__ = [
    "HEIGHT_MAPS",
    "FreeForm",
    "Grating",
    "HeightMap",
    "RankOne",
    "ZernikeForm",
    "fabricated",
    "zernike",
]

_MICROMETRE = 1e-6
_GAIN = 4.0
"""Factor by which parameters are smaller than the values they stand for: Adam's steps, equally
large for all, then cross the range of heights in a thousand steps instead of ten thousand."""
_START = 0.7
_GRATING_START = 0.75
_PERIODS = 32
_ZERNIKE_TERMS = 36


class HeightMap(nn.Module):
    """Heights of an element, ``(N, N)`` in metres, from 0 to the camera's limit.

    Args:
        camera: Camera that gives the limit.
        cells: Side N in cells.
    """

    def __init__(self, camera: LensDesign, cells: int) -> None:
        super().__init__()
        self.limit_um = camera.height_limit_m / _MICROMETRE
        self.cells = cells

    def forward(self) -> Tensor:
        """Return the heights."""
        return self.height_um().clamp(0, self.limit_um) * _MICROMETRE

    def height_um(self) -> Tensor:
        """Return heights in micrometres, which may lie beyond the limits."""
        raise NotImplementedError

    def begin_with(self, height_m: Tensor) -> None:
        """Set the parameters whose heights come nearest to ``height_m`` ``(N, N)``."""
        raise NotImplementedError


class FreeForm(HeightMap):
    """``h = s^2`` for every cell, from ``s`` uniform in [0, 0.0007] (metres^(1/2)).

    The paper starts with up to 0.001, which leaves a tenth of the light in the core of the PSF, so
    that a short training is spent on recovering the picture; here about half is left.
    """

    def __init__(self, camera: LensDesign, cells: int) -> None:
        super().__init__(camera, cells)
        self.roots = nn.Parameter(_START * torch.rand(cells, cells) / _GAIN)

    def height_um(self) -> Tensor:
        """Return the squares."""
        heights: Tensor = (_GAIN * self.roots).square()
        return heights

    @torch.no_grad()
    def begin_with(self, height_m: Tensor) -> None:
        """Take the roots."""
        self.roots.copy_((height_m / _MICROMETRE).clamp(min=0).sqrt() / _GAIN)


class Grating(HeightMap):
    """A unit cell of ``h = s^2``, repeated 32 times in both directions, from ``s`` up to 0.00075.

    A grating sends light into orders that are as sharp as the image of the lens alone: there are
    copies to decode from the first step, and training learns how much light each one gets. Every
    parameter moves a thousand cells, so that its steps need no gain.
    """

    def __init__(self, camera: LensDesign, cells: int) -> None:
        super().__init__(camera, cells)
        period = max(2, cells // _PERIODS)
        self.roots = nn.Parameter(_GRATING_START * torch.rand(period, period))

    def height_um(self) -> Tensor:
        """Return the squares, repeated."""
        unit = self.roots.square()
        times = -(-self.cells // len(unit))
        heights: Tensor = unit.repeat(times, times)[: self.cells, : self.cells]
        return heights

    @torch.no_grad()
    def begin_with(self, height_m: Tensor) -> None:
        """Take the roots of the means over all periods."""
        period = len(self.roots)
        times = self.cells // period
        whole = height_m[: times * period, : times * period] / _MICROMETRE
        mean = whole.reshape(times, period, times, period).mean(dim=(0, 2))
        self.roots.copy_(mean.clamp(min=0).sqrt())


class RankOne(HeightMap):
    """``h = (a b^T)^2``: two vectors, after Sun et al., "Learning Rank-1 Diffractive Optics"."""

    def __init__(self, camera: LensDesign, cells: int) -> None:
        super().__init__(camera, cells)
        self.rows = nn.Parameter(torch.rand(cells) / _GAIN)
        self.columns = nn.Parameter(torch.rand(cells) / _GAIN)

    def height_um(self) -> Tensor:
        """Return the squared outer product."""
        return (_GAIN**2 * torch.outer(self.rows, self.columns)).square()

    @torch.no_grad()
    def begin_with(self, height_m: Tensor) -> None:
        """Take the best approximation of the roots by an outer product."""
        left, values, right = torch.linalg.svd((height_m / _MICROMETRE).clamp(min=0).sqrt())
        # The leading vectors of a matrix that is nowhere negative have one sign.
        scale = values[0].sqrt() / _GAIN
        self.rows.copy_(left[:, 0].abs() * scale)
        self.columns.copy_(right[0].abs() * scale)


class ZernikeForm(HeightMap):
    """Half the limit plus a sum of Zernike polynomials 2 to 36 (Noll's order)."""

    modes: Tensor

    def __init__(self, camera: LensDesign, cells: int) -> None:
        super().__init__(camera, cells)
        modes = [zernike(term, cells) for term in range(2, _ZERNIKE_TERMS + 1)]
        self.register_buffer("modes", torch.stack(modes), persistent=False)
        self.coefficients = nn.Parameter(0.1 * torch.randn(len(modes)) / _GAIN)

    def height_um(self) -> Tensor:
        """Return the sum."""
        coefficients = _GAIN * self.coefficients
        heights: Tensor = torch.tensordot(coefficients, self.modes, dims=1)
        return heights + self.limit_um / 2

    @torch.no_grad()
    def begin_with(self, height_m: Tensor) -> None:
        """Take the least-squares fit over the aperture, where the polynomials are orthonormal."""
        relief = height_m / _MICROMETRE - self.limit_um / 2
        area = (self.modes[0] != 0).sum()
        self.coefficients.copy_((self.modes * relief).sum(dim=(1, 2)) / area / _GAIN)


HEIGHT_MAPS: Mapping[str, Callable[[LensDesign, int], HeightMap]] = {
    "free": FreeForm,
    "grating": Grating,
    "rank1": RankOne,
    "zernike": ZernikeForm,
}
"""Parametrisations of height maps by name."""


def fabricated(height_m: Tensor, camera: LensDesign, error: Tensor | None = None) -> Tensor:
    """Return heights as fabricated: quantised to steps, and with errors.

    Gradients pass the steps unchanged (straight-through).

    Args:
        height_m: ``(N, N)``.
        camera: camera that gives step, error and limit.
        error: ``(N, N)`` in [-1, 1], relative to the camera's height error; None for no error
            beyond the steps.
    """
    made = height_m
    if camera.height_step_m > 0:
        stepped = torch.round(height_m / camera.height_step_m) * camera.height_step_m
        made = height_m + (stepped.clamp(max=camera.height_limit_m) - height_m).detach()
    return made if error is None else made + camera.height_error_m * error


def zernike(term: int, cells: int) -> Tensor:
    """Return Zernike polynomial ``term`` (from 1; Noll, JOSA 1976) over ``cells`` x ``cells``.

    Its root mean square over the unit disc is 1; it is 0 outside.
    """
    degree = math.ceil((math.sqrt(8 * term + 1) - 3) / 2)
    rest = term - degree * (degree + 1) // 2 - 1
    order = 2 * ((rest + 1) // 2) if degree % 2 == 0 else 2 * (rest // 2) + 1
    along = (torch.arange(cells, dtype=torch.float64) + 0.5) * (2 / cells) - 1
    radius = (along[:, None].square() + along.square()).sqrt()
    angle = torch.atan2(along[:, None].expand_as(radius), along.expand_as(radius))
    radial = sum(
        (
            (-1) ** k
            * math.comb(degree - k, k)
            * math.comb(degree - 2 * k, (degree - order) // 2 - k)
            * radius ** (degree - 2 * k)
            for k in range((degree - order) // 2 + 1)
        ),
        start=torch.zeros_like(radius),
    )
    if order == 0:
        wave = math.sqrt(degree + 1) * radial
    else:
        turn = torch.cos if term % 2 == 0 else torch.sin
        wave = math.sqrt(2 * (degree + 1)) * radial * turn(order * angle)
    return cast(Tensor, (wave * (aperture(cells) > 0)).float())
