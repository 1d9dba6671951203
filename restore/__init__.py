"""imrestore as a library: denoise and restore pictures in Python.

Names are imported when first used, so that ``import restore`` costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.anomaly.part import Part, read_part
    from restore.anomaly.runner import Detector, Inspection
    from restore.denoise.arrays import denoise
    from restore.denoise.runner import Denoised, Denoiser
    from restore.errors import RestoreError
    from restore.image.codecs import ImageFormat
    from restore.image.decode import decode
    from restore.image.encode import encode
    from restore.image.metrics import psnr, ssim
    from restore.image.picture import Picture, Transfer
    from restore.noise.estimate import estimate_sigma
    from restore.tasks import load
    from restore.weights.file import shipped
    from restore.weights.store import Weights

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
    "Denoised": "restore.denoise.runner",
    "Denoiser": "restore.denoise.runner",
    "Detector": "restore.anomaly.runner",
    "ImageFormat": "restore.image.codecs",
    "Inspection": "restore.anomaly.runner",
    "Part": "restore.anomaly.part",
    "Picture": "restore.image.picture",
    "RestoreError": "restore.errors",
    "Transfer": "restore.image.picture",
    "Weights": "restore.weights.store",
    "decode": "restore.image.decode",
    "denoise": "restore.denoise.arrays",
    "encode": "restore.image.encode",
    "estimate_sigma": "restore.noise.estimate",
    "load": "restore.tasks",
    "psnr": "restore.image.metrics",
    "read_part": "restore.anomaly.part",
    "shipped": "restore.weights.file",
    "ssim": "restore.image.metrics",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'restore' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
