"""Optical elements as heights over the aperture that gradients can shape."""

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from restore.optics.camera import Camera
from restore.optics.psf import aperture

__all__ = [
    "HEIGHT_MAPS",
    "FreeForm",
    "HeightMap",
    "RankOne",
    "ZernikeForm",
    "fabricated",
    "zernike",
]

_MICROMETRE = 1e-6
_GAIN = 4.0
"""Parameters are this much smaller than what they stand for: Adam's steps, which are as large
for every parameter, then cross the range of heights in a thousand steps and not in ten thousand."""
_START = 0.7
_ZERNIKE_TERMS = 36


class HeightMap(nn.Module):
    """Heights of an element, ``(N, N)`` in metres, from 0 to the camera's limit.

    Args:
        camera: for the limit.
        cells: N.
    """

    def __init__(self, camera: Camera, cells: int) -> None:
        super().__init__()
        self.limit_um = camera.height_limit_m / _MICROMETRE
        self.cells = cells

    def forward(self) -> Tensor:
        """Return the heights."""
        return self.height_um().clamp(0, self.limit_um) * _MICROMETRE

    def height_um(self) -> Tensor:
        """Return heights in micrometres, which may lie beyond the limits."""
        raise NotImplementedError


class FreeForm(HeightMap):
    """``h = s^2`` for every cell, from ``s`` uniform in [0, 0.0007] (metres^(1/2)).

    In the paper it begins up to 0.001, where a tenth of the light is left in the core of the PSF,
    and a short training spends its time on finding the picture again; here it is about half.
    """

    def __init__(self, camera: Camera, cells: int) -> None:
        super().__init__(camera, cells)
        self.roots = nn.Parameter(_START * torch.rand(cells, cells) / _GAIN)

    def height_um(self) -> Tensor:
        """Return the squares."""
        heights: Tensor = (_GAIN * self.roots).square()
        return heights


class RankOne(HeightMap):
    """``h = (a b^T)^2``: two vectors, after Sun et al., "Learning Rank-1 Diffractive Optics"."""

    def __init__(self, camera: Camera, cells: int) -> None:
        super().__init__(camera, cells)
        self.rows = nn.Parameter(torch.rand(cells) / _GAIN)
        self.columns = nn.Parameter(torch.rand(cells) / _GAIN)

    def height_um(self) -> Tensor:
        """Return the squared outer product."""
        return (_GAIN**2 * torch.outer(self.rows, self.columns)).square()


class ZernikeForm(HeightMap):
    """Half the limit plus a sum of Zernike polynomials 2 to 36 (Noll's order)."""

    modes: Tensor

    def __init__(self, camera: Camera, cells: int) -> None:
        super().__init__(camera, cells)
        modes = [zernike(term, cells) for term in range(2, _ZERNIKE_TERMS + 1)]
        self.register_buffer("modes", torch.stack(modes), persistent=False)
        self.coefficients = nn.Parameter(0.1 * torch.randn(len(modes)) / _GAIN)

    def height_um(self) -> Tensor:
        """Return the sum."""
        coefficients = _GAIN * self.coefficients
        heights: Tensor = torch.tensordot(coefficients, self.modes, dims=1)
        return heights + self.limit_um / 2


HEIGHT_MAPS: Mapping[str, Callable[[Camera, int], HeightMap]] = {
    "free": FreeForm,
    "rank1": RankOne,
    "zernike": ZernikeForm,
}
"""Name to the way in which heights are described."""


def fabricated(height_m: Tensor, camera: Camera, error: Tensor | None = None) -> Tensor:
    """Return heights as they can be made: in steps, and with errors.

    Gradients pass the steps unchanged (straight-through).

    Args:
        height_m: ``(N, N)``.
        camera: for step, error and limit.
        error: ``(N, N)`` in [-1, 1], of the camera's height error; None for an element that is
            made as well as the steps allow.
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
