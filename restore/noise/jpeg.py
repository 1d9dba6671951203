"""JPEG compression as a degradation."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from restore.image.colour import REC601_LUMA
from restore.image.pillow import memory_file

__all__ = ["chroma_halved", "compressed", "luma_and_chroma"]


def compressed(
    pictures: Tensor, qualities: Sequence[int], *, subsample: Sequence[bool] | None = None
) -> Tensor:
    """Return ``pictures`` after a round trip through 8-bit JPEG files.

    Args:
        pictures: ``(B, C, H, W)`` with 1 or 3 channels; clipped to [0, 1].
        qualities: 1 to 100 for each picture, on libjpeg's scale.
        subsample: whether chroma is stored at half the resolution (4:2:0), for each picture; None
            for no picture.

    Returns:
        float32 ``(B, C, H, W)`` in [0, 1], on the device of ``pictures``.
    """
    samples = (pictures.clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    halved = subsample or [False] * len(samples)
    crops = zip(samples, qualities, halved, strict=True)
    # libjpeg runs in parallel threads; beside a GPU these cores would be idle.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        decoded = list(pool.map(lambda crop: _round_trip(*crop), crops))
    return torch.stack(decoded).to(pictures.device).float().div_(255)


def chroma_halved(pictures: Tensor) -> Tensor:
    """Return ``pictures`` with chroma subsampled as in 4:2:0, but without compression.

    Means of 2x2 pixels, and linear interpolation between them, as libjpeg does it.

    Args:
        pictures: ``(B, 3, H, W)``.
    """
    height, width = pictures.shape[-2:]
    luma, chroma = luma_and_chroma(pictures)
    stored = F.avg_pool2d(F.pad(chroma, (0, width % 2, 0, height % 2), mode="replicate"), 2)
    return luma + F.interpolate(stored, scale_factor=2, mode="bilinear")[..., :height, :width]


def _round_trip(picture: Tensor, quality: int, subsample: bool) -> Tensor:
    """Return uint8 ``(C, H, W)`` after compression."""
    rows = picture.permute(1, 2, 0).contiguous().numpy()
    with memory_file() as file:
        Image.fromarray(rows[..., 0] if rows.shape[2] == 1 else rows).save(
            file, "JPEG", quality=quality, subsampling="4:2:0" if subsample else "4:4:4"
        )
        file.seek(0)
        with Image.open(file) as image:
            restored = np.asarray(image).reshape(rows.shape)
    return torch.from_numpy(restored.copy()).permute(2, 0, 1)


def luma_and_chroma(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Return luma ``(B, 1, H, W)`` and each channel's difference from it, ``(B, 3, H, W)``."""
    weights = colours.new_tensor(REC601_LUMA)[None, :, None, None]
    luma = (colours * weights).sum(dim=1, keepdim=True)
    return luma, colours - luma
