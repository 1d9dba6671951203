"""The function ``restore.denoise``: any kind of image in, the same kind out."""

from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, overload

from restore.denoise.runner import Denoiser
from restore.denoise.settings import Sigma
from restore.image.coerce import ImageLike, as_pictures, like
from restore.image.picture import Picture

__all__ = ["denoise"]

_Image = TypeVar("_Image", bound="ImageLike")


@overload
def denoise(
    image: str | PathLike[str],
    model: str | Path = "auto",
    *,
    sigma: Sigma = "auto",
    strength: float = 1.0,
    chroma: float | None = None,
    detail: float = 0.0,
    keep_stripes: bool = False,
    device: str = "auto",
    precision: str = "auto",
    tile: str | int = "auto",
) -> Picture: ...


@overload
def denoise(
    image: _Image,
    model: str | Path = "auto",
    *,
    sigma: Sigma = "auto",
    strength: float = 1.0,
    chroma: float | None = None,
    detail: float = 0.0,
    keep_stripes: bool = False,
    device: str = "auto",
    precision: str = "auto",
    tile: str | int = "auto",
) -> _Image: ...


def denoise(
    image: ImageLike,
    model: str | Path = "auto",
    *,
    sigma: Sigma = "auto",
    strength: float = 1.0,
    chroma: float | None = None,
    detail: float = 0.0,
    keep_stripes: bool = False,
    device: str = "auto",
    precision: str = "auto",
    tile: str | int = "auto",
) -> Any:
    """Denoise one image, or a batch, and return the same kind of object.

    The values are those that the command writes.

    Args:
        image: ``Picture``; path of a file, which gives a ``Picture``; PIL image; array ``[H, W]``,
            ``[H, W, 1]`` or ``[H, W, 3]`` of uint8, uint16 or floats in [0, 1]; or float tensor
            ``(1 or 3, H, W)`` or ``(B, 1 or 3, H, W)`` in [0, 1]. Integer samples come back
            rounded, floats unrounded and clipped; NaN stays where it was.
        model: as for ``Denoiser``, which is kept for the next call.
        sigma: noise level in 0..255, or auto.
        strength: share of the denoised result, 0 to 1.
        chroma: the same for colour noise; None for ``strength``.
        detail: share of the finest luminance texture that is put back, 0 to 1.
        keep_stripes: whether to leave offsets of whole rows and columns.
        device: as for ``Denoiser``.
        precision: as for ``Denoiser``.
        tile: as for ``Denoiser``.

    Raises:
        UnsupportedImage: the image is empty, of no such kind, shape or dtype, or not in [0, 1].
        InputError: the file cannot be read.
        UsageError, WeightsError, DeviceError: as for ``Denoiser``.

    >>> import numpy as np
    >>> import restore
    >>> noisy = np.random.default_rng(0).normal(128, 25, (48, 64)).clip(0, 255).astype(np.uint8)
    >>> clean = restore.denoise(noisy)
    >>> clean.shape, clean.dtype, bool(clean.std() < noisy.std() / 5)
    ((48, 64), dtype('uint8'), True)
    """
    pictures = as_pictures(image)
    # As strings: a list is not hashable, and should be refused with a clear message.
    denoiser = _denoiser(
        str(model), str(device), str(precision), str(tile), is_told=not isinstance(sigma, str)
    )
    return like(
        image,
        [
            denoiser(
                picture,
                sigma=sigma,
                strength=strength,
                chroma=chroma,
                detail=detail,
                keep_stripes=keep_stripes,
            ).picture
            for picture in pictures
        ],
    )


@lru_cache(maxsize=2)
def _denoiser(model: str, device: str, precision: str, tile: str, *, is_told: bool) -> Denoiser:
    sigma: Sigma = 0.0 if is_told else "auto"
    return Denoiser(model, device=device, precision=precision, tile=tile, sigma=sigma)
