"""A convolution with the ReLU behind it, in one pass over memory where a GPU can."""

from contextlib import suppress
from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["conv_relu"]


def conv_relu(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    """Return ``relu(convolution(features))``.

    PyTorch lets cuDNN convolve, and adds the bias and cuts off below zero in passes of their own,
    which take a GPU longer than the convolution. cuDNN can do all at once, with nothing to
    differentiate, and rounds to half precision once instead of three times.

    Args:
        convolution: padded with zeros, by numbers of pixels.
        features: ``(B, C, H, W)``.
    """
    weight = convolution.weight
    is_half = weight.dtype in (torch.float16, torch.bfloat16)
    if is_half and features.is_cuda and torch.version.hip is None and not torch.is_grad_enabled():
        # Where cuDNN cannot, or memory is short, the other way does it or says why.
        with suppress(RuntimeError):
            result: Tensor = torch.cudnn_convolution_relu(
                features,
                weight,
                convolution.bias,
                convolution.stride,
                cast(tuple[int, ...], convolution.padding),
                convolution.dilation,
                convolution.groups,
            )
            return result
    return torch.relu_(convolution(features))
