"""DRUNet as KAIR and deepinv write it."""

import re
from collections.abc import Mapping

from torch import Tensor

from restore.convert.networks import Recognised, kind
from restore.errors import WeightsError
from restore.models.drunet import DRUNetConfig

__all__ = ["drunet"]


def drunet(tensors: Mapping[str, Tensor]) -> Recognised:
    """Return the DRUNet behind a state dict with ``m_head``, ``m_down1`` ... ``m_tail``.

    Raises:
        WeightsError: a variant (biases, other ways to change the resolution) that is not read.
    """
    if any(key.endswith(".bias") for key in tensors):
        raise WeightsError("a DRUNet with biases; only the published form, without, is read")
    levels = _count(r"m_down\d+\.0\.res\.0\.weight", tensors)
    blocks = _count(r"m_body\.\d+\.res\.0\.weight", tensors)
    names = _names(levels, blocks)
    odd = sorted(set(names) ^ set(tensors))
    if odd:
        raise WeightsError(f"a DRUNet of an unknown form: {odd[0][:60]} is missing or too much")
    if any(tensor.ndim != 4 for tensor in tensors.values()):
        raise WeightsError("a DRUNet whose tensors are no convolutions")
    downs = [tensors[f"m_down{level}.{blocks}.weight"] for level in range(1, levels + 1)]
    head, tail = tensors["m_head.weight"], tensors["m_tail.weight"]
    widths = (head.shape[0], *(down.shape[0] for down in downs))
    channels = tail.shape[0]
    if head.shape[1] != channels + 1:
        raise WeightsError(f"a U-Net from {head.shape[1]} to {channels} channels is no DRUNet")
    return Recognised(
        architecture="DRUNet",
        config=DRUNetConfig(channels=channels, widths=widths, blocks=blocks),
        tensors={names[key]: tensor.contiguous() for key, tensor in tensors.items()},
        layout=f"KAIR DRUNet, widths {'-'.join(map(str, widths))}, {blocks} blocks a level, "
        f"{kind(channels)}, noise-level map",
    )


def _count(pattern: str, names: Mapping[str, Tensor]) -> int:
    return sum(re.fullmatch(pattern, name, re.ASCII) is not None for name in names)


def _names(levels: int, blocks: int) -> dict[str, str]:
    """Return their key -> ours."""
    names = {"m_head.weight": "head.weight", "m_tail.weight": "tail.weight"}
    chains = [("m_body", f"encoder.{levels}", 0)]
    for level in range(levels):
        chains.append((f"m_down{level + 1}", f"encoder.{level}", 0))
        chains.append((f"m_up{level + 1}", f"decoder.{level}", 1))  # entry 0 is the step up
        names[f"m_down{level + 1}.{blocks}.weight"] = f"down.{level}.weight"
        names[f"m_up{level + 1}.0.weight"] = f"up.{level}.weight"
    for theirs, ours, first in chains:
        for block in range(blocks):
            for place, conv in ((0, "conv1"), (2, "conv2")):
                key = f"{theirs}.{first + block}.res.{place}.weight"
                names[key] = f"{ours}.{block}.{conv}.weight"
    return names
