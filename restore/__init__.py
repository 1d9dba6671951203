"""imrestore as a library: denoise and restore pictures in Python.

Names are imported when first used, so that ``import restore`` costs nothing. Every function and
class that works on an image takes a ``Picture``, a path, a PIL image, a numpy array or a torch
tensor; see ``restore.image.coerce.ImageLike``. Noise levels are in 0..255.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.anomaly.part import Part, read_part
    from restore.anomaly.runner import Detector, Inspection
    from restore.api.evaluate import evaluate
    from restore.api.evaluation import Evaluation
    from restore.api.images import decode, encode, estimate_sigma, psnr, ssim
    from restore.api.train import train
    from restore.api.weight_files import convert, export_onnx
    from restore.dark.enhanced import Enhanced
    from restore.dark.runner import DarkEnhancer
    from restore.denoise.function import denoise
    from restore.denoise.runner import Denoised, Denoiser
    from restore.errors import RestoreError
    from restore.hdr.radiance import Radiance
    from restore.hdr.runner import HdrReconstructor
    from restore.image.codecs import ImageFormat
    from restore.image.picture import Picture, Transfer
    from restore.image.raw import read_raw
    from restore.image.raw_picture import RawPicture
    from restore.mosaic.runner import DenoisedMosaic, MosaicDenoiser
    from restore.noise.poisson_gaussian import NoiseProfile, estimate_profile
    from restore.tasks import load
    from restore.weights.file import shipped
    from restore.weights.store import Weights

    __version__: str

__all__ = [
    "DarkEnhancer",
    "Denoised",
    "DenoisedMosaic",
    "Denoiser",
    "Detector",
    "Enhanced",
    "Evaluation",
    "HdrReconstructor",
    "ImageFormat",
    "Inspection",
    "MosaicDenoiser",
    "NoiseProfile",
    "Part",
    "Picture",
    "Radiance",
    "RawPicture",
    "RestoreError",
    "Transfer",
    "Weights",
    "convert",
    "decode",
    "denoise",
    "encode",
    "estimate_profile",
    "estimate_sigma",
    "evaluate",
    "export_onnx",
    "load",
    "psnr",
    "read_part",
    "read_raw",
    "shipped",
    "ssim",
    "train",
]

_HOMES = {
    "DarkEnhancer": "restore.dark.runner",
    "Denoised": "restore.denoise.runner",
    "DenoisedMosaic": "restore.mosaic.runner",
    "Denoiser": "restore.denoise.runner",
    "Detector": "restore.anomaly.runner",
    "ImageFormat": "restore.image.codecs",
    "Evaluation": "restore.api.evaluation",
    "Enhanced": "restore.dark.enhanced",
    "HdrReconstructor": "restore.hdr.runner",
    "Inspection": "restore.anomaly.runner",
    "MosaicDenoiser": "restore.mosaic.runner",
    "NoiseProfile": "restore.noise.poisson_gaussian",
    "Part": "restore.anomaly.part",
    "Picture": "restore.image.picture",
    "Radiance": "restore.hdr.radiance",
    "RawPicture": "restore.image.raw_picture",
    "RestoreError": "restore.errors",
    "Transfer": "restore.image.picture",
    "Weights": "restore.weights.store",
    "load": "restore.tasks",
    "shipped": "restore.weights.file",
    "convert": "restore.api.weight_files",
    "decode": "restore.api.images",
    "denoise": "restore.denoise.function",
    "encode": "restore.api.images",
    "estimate_profile": "restore.noise.poisson_gaussian",
    "estimate_sigma": "restore.api.images",
    "evaluate": "restore.api.evaluate",
    "export_onnx": "restore.api.weight_files",
    "psnr": "restore.api.images",
    "read_part": "restore.anomaly.part",
    "read_raw": "restore.image.raw",
    "ssim": "restore.api.images",
    "train": "restore.api.train",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("imrestore")
    if name not in _HOMES:
        raise AttributeError(f"module 'restore' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
