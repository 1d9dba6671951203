"""The training loss of DRAEM: reconstruction, localisation and detection of defects."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.models.draem import Draem
from restore.models.layers import ssim_map

__all__ = ["draem_loss"]

_PICTURE_WEIGHT = 0.5


_FOCUS = 2.0


_LEAST_FOCUS = 0.05
_NO_EVIDENCE = -30.0
"""Log-odds of a defect where nothing counts."""


def draem_loss(
    network: Draem, result: Tensor, good: Tensor, masks: Tensor, inside: Tensor | None = None
) -> Tensor:
    """Return the loss of reconstruction, localisation and detection.

    Squared difference and 1 - SSIM of the reconstruction; focal cross-entropy of the pixels (Lin et
    al., ICCV 2017); and cross-entropy of whole crops by their highest averaged evidence, by which
    a part is judged. Within a crop the defect weighs as much as its surroundings: a pore is one
    pixel in a thousand, and a plain mean would hardly depend on whether it is repaired and found.

    Args:
        network: network, whose config says how evidence is averaged.
        result: ``(B, C + 1, P, P)``, output of the network.
        good: ``(B, C, P, P)`` without defects.
        masks: ``(B, 1, P, P)``, 1 where a defect was made.
        inside: ``(B, 1, P, P)``, 0 where nothing counts; None for everywhere.
    """
    repair, evidence = result[:, :-1], result[:, -1:]
    balance = _balance(masks) if inside is None else _balance(masks) * inside
    difference = (repair - good).square() + 1 - ssim_map(repair, good)
    repaired = _weighted_mean(difference.mean(dim=1, keepdim=True), balance)
    entropy = F.binary_cross_entropy_with_logits(evidence, masks, reduction="none")
    focus = (1 - torch.exp(-entropy.detach())) ** _FOCUS + _LEAST_FOCUS
    pointed = _weighted_mean(entropy, focus * balance)
    side = network.config.smoothing
    averaged = partial(F.avg_pool2d, kernel_size=side, stride=max(1, side // 3))
    if inside is None:
        highest = averaged(evidence).flatten(1).amax(dim=1)
    else:
        share = averaged(inside)
        mean = averaged(evidence * inside) / share.clamp_min(1e-6)
        highest = torch.where(share > 0, mean, _NO_EVIDENCE).flatten(1).amax(dim=1)
    judged = F.binary_cross_entropy_with_logits(highest, masks.flatten(1).amax(dim=1))
    return repaired + pointed + _PICTURE_WEIGHT * judged


def _balance(masks: Tensor) -> Tensor:
    """Return weights ``(B, 1, P, P)`` that give defect and surroundings half of a crop each."""
    share = masks.mean(dim=(1, 2, 3), keepdim=True)
    around = (1 - masks) / (1 - share).clamp_min(1e-6)
    return torch.where(share > 0, masks / share.clamp_min(1e-6) + around, 2 * around)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)
