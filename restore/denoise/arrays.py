"""Denoising for notebooks and services: arrays and tensors in, the same kind out."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from restore.denoise.runner import Denoiser, Sigma
from restore.errors import UnsupportedImage
from restore.image.picture import Picture

__all__ = ["denoise"]

_MOST_MEAN = 1.5
"""Of floats in [0, 1] with noise; those in 0..255 have a higher one unless they are black."""

_Image = TypeVar("_Image", bound="Picture | NDArray[Any] | torch.Tensor")


def denoise(
    image: _Image,
    model: str | Path = "auto",
    *,
    sigma: Sigma = "auto",
    strength: float = 1.0,
    detail: float = 0.0,
    device: str = "auto",
    precision: str = "auto",
    tile: str | int = "auto",
) -> _Image:
    """Denoise one image and return the same kind of object: the values the command writes.

    Args:
        image: a ``Picture``; or an array ``[H, W]``, ``[H, W, 1]`` or ``[H, W, 3]`` of uint8,
            uint16 or floats in [0, 1]; or a float tensor ``(1 or 3, H, W)`` or
            ``(B, 1 or 3, H, W)`` in [0, 1]. Integer arrays come back rounded, floats unrounded
            and clipped; NaN stays where it was.
        model: as for ``Denoiser``, which is kept for the next call.
        sigma: noise level in 0..255, or auto.
        strength: 0 to 1.
        detail: 0 to 1.
        device: as for ``Denoiser``.
        precision: as for ``Denoiser``.
        tile: as for ``Denoiser``.

    Raises:
        UnsupportedImage: the image is empty, of no such shape or dtype, or far from [0, 1].
        UsageError, WeightsError, DeviceError: as for ``Denoiser``.
    """
    denoiser = _denoiser(str(model), device, precision, tile)

    def apply(picture: Picture) -> Picture:
        return denoiser(picture, sigma=sigma, strength=strength, detail=detail).picture

    result: Picture | NDArray[Any] | torch.Tensor
    if isinstance(image, Picture):
        result = apply(image)
    elif isinstance(image, torch.Tensor):
        result = _tensor(image, apply)
    else:
        result = _array(image, apply)
    return cast(_Image, result)


@lru_cache(maxsize=2)
def _denoiser(model: str, device: str, precision: str, tile: str | int) -> Denoiser:
    return Denoiser(model, device=device, precision=precision, tile=tile)


def _tensor(image: torch.Tensor, apply: Callable[[Picture], Picture]) -> torch.Tensor:
    if image.ndim == 4 and len(image):
        return torch.stack([_tensor(one, apply) for one in image])
    is_picture = image.ndim == 3 and image.shape[0] in (1, 3) and image.numel()
    if not is_picture or not image.is_floating_point():
        raise UnsupportedImage(
            f"a {image.dtype} tensor of shape {list(image.shape)}: "
            "give floats in [0, 1], (B, C, H, W) or (C, H, W) with 1 or 3 channels"
        )
    pixels = image.detach().to("cpu", torch.float32).numpy()
    _check_floats(pixels)
    restored = apply(Picture(pixels=pixels, is_float=True)).pixels
    return torch.from_numpy(restored.clip(0, 1)).to(image)


def _array(image: NDArray[Any], apply: Callable[[Picture], Picture]) -> NDArray[Any]:
    planes = image[..., None] if image.ndim == 2 else image
    if (
        planes.ndim != 3
        or planes.shape[2] not in (1, 3)
        or not _known(image.dtype)
        or not image.size
    ):
        raise UnsupportedImage(
            f"a {image.dtype} array of shape {list(image.shape)}: "
            "give uint8, uint16 or floats, [H, W] or [H, W, C] with 1 or 3 channels"
        )
    integer = image.dtype.kind == "u"
    if not integer:
        _check_floats(image)
    peak = np.float32(np.iinfo(image.dtype).max if integer else 1)
    pixels = np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float32) / peak
    depth = 8 * image.dtype.itemsize if integer else 8
    picture = Picture(pixels=pixels, bit_depth=depth, is_float=not integer)
    restored = apply(picture).pixels.transpose(1, 2, 0).clip(0, 1)
    if integer:
        restored = np.rint(restored * peak)
    return restored.reshape(image.shape).astype(image.dtype)


def _check_floats(values: NDArray[Any]) -> None:
    """Refuse what is not in [0, 1], which clipped would be white."""
    finite = values[np.isfinite(values)]
    mean = float(finite.mean(dtype=np.float64)) if finite.size else 0.0
    if mean > _MOST_MEAN:
        raise UnsupportedImage(f"floats with a mean of {mean:.3g}: give them in [0, 1]")


def _known(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype in (np.uint8, np.uint16)
