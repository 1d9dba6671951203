"""Initialising a learned image signal processor with existing weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from restore.dark.task import TASK
from restore.models.isp_resunet import IspResUNet
from restore.models.isp_unet import IspUNet
from restore.models.resunet import ResUNet
from restore.training.transfer import check_same_architecture, continued
from restore.weights.file import read_weight_file
from restore.weights.store import Weights

__all__ = ["started_from"]

_DENOISERS = replace(TASK, name="denoise", networks=("restore.models.resunet:ResUNet",))

_SIGMA = 0.1
"""Noise level that a denoiser is told, which is not told what the noise is."""


def started_from(
    network: IspUNet | IspResUNet, name_or_path: str | Path, warn: Callable[[str], None]
) -> IspUNet | IspResUNet:
    """Return ``network`` with the tensors of existing weights, as far as they fit.

    An IspUNet gets biases where the weights have them. An IspResUNet can also start from a
    denoiser, a ResUNet for colour with a noise map: at first it denoises the interpolated mosaic.

    Args:
        network: network with its initial weights.
        name_or_path: shipped name, or path of a weight file.
        warn: called with the numbers of tensors that start afresh and that are left out.

    Raises:
        WeightsError: the weights cannot be read, or are for another task.
        UsageError: the architectures differ.
    """
    is_denoiser = read_weight_file(name_or_path).task == _DENOISERS.name
    if is_denoiser and isinstance(network, IspResUNet):
        return _on_denoiser(network, _DENOISERS.load(name_or_path), warn)
    weights = TASK.load(name_or_path)
    check_same_architecture(network, weights)
    if isinstance(network, IspUNet) and weights.config.up_bias is not network.config.up_bias:
        network = IspUNet(replace(network.config, up_bias=weights.config.up_bias))
    return continued(network, weights.build().state_dict(), weights.name, warn)


def _on_denoiser(network: IspResUNet, weights: Weights, warn: Callable[[str], None]) -> IspResUNet:
    if not (weights.takes_sigma and weights.channels == 3 and weights.is_residual):
        check_same_architecture(network, weights)
    denoiser = weights.build()
    assert isinstance(denoiser, ResUNet)
    known = denoiser.state_dict()
    picture, level = known["head.weight"].split([3, 1], dim=1)
    # The three masks sum to a constant plane.
    masks = (_SIGMA * level).expand_as(picture)
    known["head.weight"] = torch.cat([picture, masks, torch.zeros_like(picture)], dim=1)
    return continued(network, known, weights.name, warn)
