"""imrestore as a library: denoise and restore pictures in Python.

Names are imported when first used, so that ``import restore`` costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.errors import RestoreError
    from restore.image.decode import decode
    from restore.image.encode import encode
    from restore.image.picture import ImageFormat, Picture, Transfer
    from restore.metrics import psnr, ssim
    from restore.noise.estimate import estimate_sigma
    from restore.tasks.arrays import denoise
    from restore.tasks.denoise import Denoised, Denoiser
    from restore.weights import Weights, build, load, shipped

__all__ = [
    "Denoised",
    "Denoiser",
    "ImageFormat",
    "Picture",
    "RestoreError",
    "Transfer",
    "Weights",
    "build",
    "decode",
    "denoise",
    "encode",
    "estimate_sigma",
    "load",
    "psnr",
    "shipped",
    "ssim",
]

__version__ = version("imrestore")

_HOMES = {
    "Denoised": "restore.tasks.denoise",
    "Denoiser": "restore.tasks.denoise",
    "ImageFormat": "restore.image.picture",
    "Picture": "restore.image.picture",
    "RestoreError": "restore.errors",
    "Transfer": "restore.image.picture",
    "Weights": "restore.weights",
    "build": "restore.weights",
    "decode": "restore.image.decode",
    "denoise": "restore.tasks.arrays",
    "encode": "restore.image.encode",
    "estimate_sigma": "restore.noise.estimate",
    "load": "restore.weights",
    "psnr": "restore.metrics",
    "shipped": "restore.weights",
    "ssim": "restore.metrics",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'restore' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
