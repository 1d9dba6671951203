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
    from restore.image.part import Part, read_part
    from restore.image.picture import ImageFormat, Picture, Transfer
    from restore.metrics import psnr, ssim
    from restore.noise.estimate import estimate_sigma
    from restore.tasks.anomaly import Detector, Inspection
    from restore.tasks.arrays import denoise
    from restore.tasks.denoise import Denoised, Denoiser
    from restore.weights import Weights, build, load, shipped

__all__ = [
    "Denoised",
    "Denoiser",
    "Detector",
    "ImageFormat",
    "Inspection",
    "Part",
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
    "read_part",
    "shipped",
    "ssim",
]

__version__ = version("imrestore")

_HOMES = {
    "Denoised": "restore.tasks.denoise",
    "Denoiser": "restore.tasks.denoise",
    "Detector": "restore.tasks.anomaly",
    "ImageFormat": "restore.image.picture",
    "Inspection": "restore.tasks.anomaly",
    "Part": "restore.image.part",
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
    "read_part": "restore.image.part",
    "shipped": "restore.weights",
    "ssim": "restore.metrics",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'restore' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
