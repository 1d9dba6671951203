"""The network of Metzler et al., "Deep Optics for Single-shot High-dynamic-range Imaging"."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.errors import UsageError, WeightsError
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.optical_element import set_element
from restore.weights.convert.networks import Recognised

__all__ = ["metzler_unet", "with_psf"]

_LEVELS = 5


def metzler_unet(arrays: Sequence[NDArray[np.float32]]) -> Recognised:
    """Return the HdrUNet behind the 60 arrays that the authors publish.

    Convolutions are stored (height, width, in, out), transposed ones (height, width, out, in);
    batch normalisation is beta, gamma, mean and variance; fusions take the decoder first.

    Raises:
        WeightsError: another number of arrays, or other shapes.
    """
    names = _names()
    if len(arrays) != len(names) or arrays[0].ndim != 4:
        raise WeightsError(
            f"a list of {len(arrays)} arrays; the HDR network of Metzler et al. has {len(names)}"
        )
    config = HdrUNetConfig(width=arrays[0].shape[3])
    tensors = dict(HdrUNet(config).state_dict())
    for name, array in zip(names, arrays, strict=True):
        tensor = torch.from_numpy(array)
        if tensor.ndim == 4:
            tensor = tensor.permute(3, 2, 0, 1)
        if tensor.shape != tensors[name].shape:
            raise WeightsError(
                f"{name} of shape {list(tensor.shape)}, not {list(tensors[name].shape)}"
            )
        tensors[name] = tensor.contiguous()
    return Recognised(
        network=HdrUNet,
        config=config,
        tensors=tensors,
        layout=f"Metzler et al. HDR U-Net, {config.width} features",
        task="hdr",
    )


def with_psf(recognised: Recognised, psf: Tensor) -> Recognised:
    """Return the network with the PSF ``(3, P, P)`` that it was trained with.

    Raises:
        UsageError: it is no network for high dynamic range.
    """
    if recognised.task != "hdr":
        raise UsageError(f"{recognised.layout}: only networks for high dynamic range take a PSF")
    network = HdrUNet(replace(recognised.config, psf_size=psf.shape[1]))
    set_element(network, psf)
    tensors = dict(network.state_dict()) | recognised.tensors
    return replace(recognised, config=network.config, tensors=tensors)


def _names() -> list[str]:
    """Return our names of their arrays, in their order."""
    names = []
    for level in range(_LEVELS):
        for layer in (0, 2):
            names += [f"encoder.{level}.{layer}.{part}" for part in ("weight", "bias")]
    for step in range(_LEVELS - 1):
        names += [f"up.{step}.0.weight", f"up.{step}.0.bias", *_norm(f"up.{step}.1")]
        names += [f"fuse.{step}.weight", f"fuse.{step}.bias"]
    return [*names, "tail.0.weight", "tail.0.bias", *_norm("tail.1"), "last.weight", "last.bias"]


def _norm(name: str) -> list[str]:
    return [f"{name}.{part}" for part in ("bias", "weight", "running_mean", "running_var")]
