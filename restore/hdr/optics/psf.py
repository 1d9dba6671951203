"""From the heights of an optical element to the spot that a distant point of light becomes."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from restore.hdr.optics.lens import Camera

__all__ = ["PointSpread", "aperture", "point_spread"]

_COVERAGE_SAMPLES = 8
_OVERSAMPLING = 3
"""Light varies within pixels as fine as f-number times wavelength: taken at their centres alone,
a fifth of what the default camera sees is put elsewhere, and with 3 points a fortieth."""


@dataclass(frozen=True, kw_only=True)
class PointSpread:
    """The image of a point.

    Attributes:
        psf: ``(C, P, P)``, a channel per wavelength, each with the sum 1.
        inside: ``(C,)``, the share of the light that falls within these P x P pixels.
    """

    psf: Tensor
    inside: Tensor


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def aperture(cells: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return how much of each of ``cells`` x ``cells`` square cells lies within the circle.

    The result is kept for the next call and must not be changed.
    """
    fine = cells * _COVERAGE_SAMPLES
    along = (torch.arange(fine, dtype=dtype) + 0.5) * (2 / fine) - 1
    is_inside = (along[:, None].square() + along.square() <= 1).to(dtype)
    shape = (cells, _COVERAGE_SAMPLES, cells, _COVERAGE_SAMPLES)
    return is_inside.view(shape).mean(dim=(1, 3))


def point_spread(
    height_m: Tensor, camera: Camera, size: int, *, oversampling: int = _OVERSAMPLING
) -> PointSpread:
    """Return the point spread function of ``camera`` with an element of these heights.

    For focus at infinity the field on the sensor is the Fourier transform of the field in the
    aperture, scaled by wavelength and focal length (Goodman, "Introduction to Fourier Optics",
    sec. 5.2). It is computed for the sensor's own pixels by two matrix products (Soummer et al.,
    "Fast computation of Lyot-style coronagraph propagation", Optics Express 2007), so that the
    steep phase of the lens never has to be sampled. Cells are squares of one height each: their
    diffraction is included, the energy of all orders is accounted for.

    Args:
        height_m: ``(N, N)`` heights over the square around the aperture, in metres.
        camera: lens, pixels, wavelengths, material.
        size: side P of the result in pixels, odd to have a centre.
        oversampling: points per pixel and direction over which its light is summed; 1 samples
            the centres of pixels, where ``inside`` is not exact.

    Raises:
        ValueError: ``height_m`` is not square, or ``size`` not odd.
    """
    if height_m.ndim != 2 or height_m.shape[0] != height_m.shape[1]:
        raise ValueError(f"heights must be (N, N), got {list(height_m.shape)}")
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the size of a PSF must be odd, got {size}")
    cells = height_m.shape[0]
    opening = aperture(cells, dtype=height_m.dtype).to(height_m.device)
    cell_m = camera.aperture_m / cells
    energy = opening.square().sum() * cell_m**2
    spots = []
    for wavelength, index in zip(camera.wavelengths_m, camera.refractive_indices, strict=True):
        phase = height_m * (2 * torch.pi * (index - 1) / wavelength)
        field = torch.polar(opening, phase)
        transform = _transform(
            camera, cells, size, oversampling, wavelength, height_m.dtype, height_m.device
        )
        spots.append((transform @ field @ transform.T).abs().square())
    light = torch.stack(spots)
    side = size * oversampling
    light = light.view(-1, size, side // size, size, side // size).sum(dim=(2, 4))
    total = light.sum(dim=(1, 2), keepdim=True)
    return PointSpread(psf=light / total, inside=total.flatten() / energy)


@lru_cache(maxsize=12)
@torch.inference_mode(False)
def _transform(
    camera: Camera,
    cells: int,
    size: int,
    oversampling: int,
    wavelength: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Return the matrix from the cells of one direction to the points on the sensor.

    A training asks for it twice a step, and may first have done so while validating.
    """
    # In double precision on the processor: not every GPU has it.
    cell_m, step_m = camera.aperture_m / cells, camera.pixel_pitch_m / oversampling
    points = size * oversampling
    # Frequencies in cycles per metre of aperture.
    frequency = _centred(points) * (step_m / (wavelength * camera.focal_length_m))
    place = _centred(cells) * cell_m
    envelope = torch.sinc(frequency * cell_m) * cell_m
    scale = (step_m / (wavelength * camera.focal_length_m)) ** 0.5
    angle = -2 * torch.pi * frequency[:, None] * place
    kernel = torch.polar((envelope * scale)[:, None].expand_as(angle), angle)
    return kernel.to(torch.complex128 if dtype == torch.float64 else torch.complex64).to(device)


def _centred(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64) - (count - 1) / 2
