"""What JPEG and cameras treat apart: how bright a pixel is, and its colour."""

from torch import Tensor

from restore.image.primaries import REC601_LUMA

__all__ = ["luma_and_chroma"]


def luma_and_chroma(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Return luma ``(B, 1, H, W)`` and what each channel of ``(B, 3, H, W)`` differs from it by."""
    weights = colours.new_tensor(REC601_LUMA)[None, :, None, None]
    luma = (colours * weights).sum(dim=1, keepdim=True)
    return luma, colours - luma
