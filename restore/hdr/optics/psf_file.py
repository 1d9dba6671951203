"""Point spread functions in files."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.errors import InputError
from restore.image.decode import decode

__all__ = ["load_psf", "resized"]

_MEASURED = "psf_val"
_LARGEST_SIDE = 2047


def load_psf(path: Path) -> Tensor:
    """Read a point spread function.

    Args:
        path: ``.npz`` as Metzler et al. publish it (``psf_val``, ``(P, P, 1, 3)``), ``.npy``
            with ``(P, P)``, ``(P, P, 3)`` or ``(3, P, P)``, or a linear picture (EXR, float TIFF).

    Returns:
        float32 ``(3, P, Q)``, odd sides, each channel with the sum 1. An even side loses a row or
        column, the first where the brightest point is then in the middle, else the last.

    Raises:
        InputError: no such file, or nothing in it that is a point spread function.
    """
    try:
        planes = _planes(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a point spread function ({error})") from error
    height, width = planes.shape[1:]
    if max(height, width) > _LARGEST_SIDE:
        raise InputError(f"{path}: a point spread function of {width}x{height} is too large")
    if not planes.size or not np.isfinite(planes).all() or planes.min() < 0:
        raise InputError(f"{path}: a point spread function holds no negative or missing values")
    planes = planes[:, *_odd_part(planes.sum(axis=0))]
    total = planes.sum(axis=(1, 2), keepdims=True)
    if total.min() <= 0:
        raise InputError(f"{path}: a channel of the point spread function is dark")
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
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            values = archive[_MEASURED if _MEASURED in names else names[0]]
    elif path.suffix == ".npy":
        values = np.load(path, allow_pickle=False)
    else:
        values = decode(path).pixels
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
