"""The camera that an optical element is designed for, and its point spread function."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.archives import checked_size, open_archive, read_array
from restore.errors import InputError, UsageError, one_line
from restore.image.decode import decode
from restore.image.limits import max_pixels_of_process

__all__ = ["LensDesign", "PointSpread", "aperture", "load_psf", "point_spread", "resized"]


@dataclass(frozen=True, kw_only=True)
class LensDesign:
    """Lens, sensor and material; the defaults are those of Metzler et al., CVPR 2020.

    The lens is focused at infinity and the element lies in its aperture.

    Attributes:
        focal_length_m: Focal length of the lens in metres.
        aperture_m: Diameter of the round aperture in metres.
        pixel_pitch_m: Distance between the centres of neighbouring pixels in metres.
        wavelengths_m: Wavelengths of red, green and blue in metres.
        refractive_indices: Refractive indices of the element's material at these wavelengths.
        height_limit_m: Largest height of the element in metres.
        height_step_m: Step between heights that can be fabricated; 0 for any height.
        height_error_m: Largest fabrication error of a height, to either side.
    """

    focal_length_m: float = 35e-3
    aperture_m: float = 5e-3
    pixel_pitch_m: float = 4.29e-6
    wavelengths_m: tuple[float, ...] = (635e-9, 530e-9, 450e-9)
    refractive_indices: tuple[float, ...] = (1.4295, 1.4349, 1.4421)
    height_limit_m: float = 1.55e-6
    height_step_m: float = 21.16e-9
    height_error_m: float = 20e-9

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        lengths = (
            self.focal_length_m,
            self.aperture_m,
            self.pixel_pitch_m,
            self.height_limit_m,
            *self.wavelengths_m,
        )
        if min(lengths) <= 0 or min(self.height_step_m, self.height_error_m) < 0:
            raise UsageError("the lengths of a camera are positive")
        if len(self.wavelengths_m) != len(self.refractive_indices):
            raise UsageError("every wavelength needs a refractive index, and the other way round")

    @property
    def f_number(self) -> float:
        """Focal length over aperture."""
        return self.focal_length_m / self.aperture_m


_COVERAGE_SAMPLES = 8
_OVERSAMPLING = 3
"""Light varies within pixels at the scale of f-number times wavelength: sampled at their centres
alone, a fifth of the default camera's light is misplaced, and with 3 points a fortieth."""


@dataclass(frozen=True, kw_only=True)
class PointSpread:
    """A point spread function, and the share of the light in it.

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
    height_m: Tensor, camera: LensDesign, size: int, *, oversampling: int = _OVERSAMPLING
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
    camera: LensDesign,
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


_MEASURED = "psf_val"
_LARGEST_SIDE = 2047
_BRIGHTEST = 1e30
_MOST_BYTES = 3 * 8 * _LARGEST_SIDE**2 + 4096


def load_psf(path: Path) -> Tensor:
    """Read a point spread function.

    Args:
        path: ``.npz`` as Metzler et al. publish it (``psf_val``, ``(P, P, 1, 3)``), ``.npy``
            with ``(P, P)``, ``(P, P, 3)`` or ``(3, P, P)``, or a linear picture (EXR, float TIFF).

    Returns:
        float32 ``(3, P, Q)``, odd sides, each channel with the sum 1. An even side loses a row or
        column: the first if that centres the brightest point, else the last.

    Raises:
        UsageError: no such file, or nothing in it that is a point spread function.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        planes = _planes(path)
    except InputError as error:
        raise UsageError(str(error)) from error
    except Exception as error:  # a damaged file can raise anything
        reason = one_line(str(error) or type(error).__name__, 120)
        raise UsageError(f"{path}: not a point spread function ({reason})") from error
    height, width = planes.shape[1:]
    if max(height, width) > _LARGEST_SIDE:
        raise UsageError(f"{path}: a point spread function of {width}x{height} is too large")
    if not planes.size or not np.isfinite(planes).all() or planes.min() < 0:
        raise UsageError(f"{path}: the point spread function has negative or missing values")
    if planes.max() > _BRIGHTEST:
        raise UsageError(f"{path}: the point spread function has values above {_BRIGHTEST:g}")
    planes = planes[:, *_odd_part(planes.sum(axis=0))]
    total = planes.sum(axis=(1, 2), keepdims=True)
    if not planes.size or total.min() <= 0:
        raise UsageError(f"{path}: a channel of the point spread function is dark")
    return torch.from_numpy((planes / total).astype(np.float32))


def _odd_part(light: NDArray[np.float64]) -> tuple[slice, slice]:
    """Return the rows and columns to keep, an odd number of each."""
    brightest = np.unravel_index(int(light.argmax()), light.shape)
    row, column = (
        slice(side) if side % 2 else slice(1, side) if peak == side // 2 else slice(side - 1)
        for side, peak in zip(light.shape, brightest, strict=True)
    )
    return row, column


def _planes(path: Path) -> NDArray[np.float64]:
    if path.suffix == ".npz":
        with open_archive(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if not members:
                raise ValueError("an empty archive")
            member = members.get(f"{_MEASURED}.npy") or next(iter(members.values()))
            size = checked_size(member, most_bytes=_MOST_BYTES)
            with archive.open(member) as file:
                values = read_array(file, size)
    elif path.suffix == ".npy":
        with path.open("rb") as file:
            values = read_array(file, min(path.stat().st_size, _MOST_BYTES))
    else:
        most = min(_LARGEST_SIDE**2, max_pixels_of_process())
        values = decode(path, max_pixels=most).pixels
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 4 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim == 2:
        values = values[None]
    elif values.ndim == 3 and values.shape[2] == 3 and values.shape[0] != 3:
        values = values.transpose(2, 0, 1)
    if values.ndim != 3 or values.shape[0] not in (1, 3):
        raise ValueError(f"it has the shape {list(values.shape)}")
    return np.broadcast_to(values, (3, *values.shape[1:]))


def resized(psf: Tensor, size: int) -> Tensor:
    """Crop or pad ``psf`` ``(C, P, Q)`` around its centre to ``size`` x ``size``, sum kept at 1."""
    for axis in (1, 2):
        extra = psf.shape[axis] - size
        if extra > 0:
            psf = psf.narrow(axis, extra // 2, size)
        elif extra < 0:
            shape = list(psf.shape)
            shape[axis] = -extra // 2
            psf = torch.cat([psf.new_zeros(shape), psf, psf.new_zeros(shape)], dim=axis)
    return psf / psf.sum(dim=(1, 2), keepdim=True)
