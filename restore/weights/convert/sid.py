"""The U-Net of Learning to See in the Dark, as PyTorch ports of it name its layers."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from restore.errors import WeightsError
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.weights.convert.networks import Recognised

__all__ = ["is_sid", "sid"]

_LEVELS = 5
_WRAPPER = re.compile(r"^(?:module\.|netG\.|model\.)+")
_COLOURS = 3


def is_sid(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of the paper's network, under whatever wrapper."""
    names = {_WRAPPER.sub("", key) for key in tensors}
    return {"conv1_1.weight", "conv5_2.weight", "conv9_2.weight"} <= names


def sid(tensors: Mapping[str, Tensor]) -> Recognised:
    """Return the IspUNet behind a state dict with ``conv1_1`` ... ``conv9_2``, ``upv6`` ....

    The last layer is ``conv10`` or ``conv10_1``, the steps up are ``up6`` or ``upv6``. Ports of the
    authors' TensorFlow weights order its channels as ``depth_to_space`` does (colour last), those
    trained in PyTorch as ``PixelShuffle`` does (colour first); which of both, the weights show:
    the pixels of one colour are made of the same features.

    Raises:
        WeightsError: a variant that is not read.
    """
    theirs = {_WRAPPER.sub("", key): tensor for key, tensor in tensors.items()}
    names = _names(theirs)
    odd = sorted(set(names) ^ set(theirs))
    if odd:
        raise WeightsError(f"a U-Net of an unknown form: {odd[0][:60]} is missing or too much")
    ours = {names[key]: tensor.contiguous() for key, tensor in theirs.items()}
    if any(ours[key].ndim != 4 for key in ours if key.endswith("weight")):
        raise WeightsError("a U-Net whose tensors are no convolutions")
    width, planes = ours["encoder.0.0.weight"].shape[:2]
    outputs = len(ours["tail.weight"])
    if (planes, outputs) not in ((4, 12), (9, 27)):
        raise WeightsError(f"a U-Net from {planes} to {outputs} channels is none for RAW files")
    is_colour_last = _is_colour_last(ours["tail.weight"].flatten(1))
    if is_colour_last:
        order = torch.arange(outputs).view(-1, _COLOURS).T.flatten()
        ours |= {key: ours[key][order] for key in ("tail.weight", "tail.bias")}
    kind = "Bayer" if planes == 4 else "X-Trans"
    return Recognised(
        network=IspUNet,
        config=IspUNetConfig(planes=planes, width=width, head="srgb", up_bias="up.0.bias" in ours),
        tensors=ours,
        layout=f"Learning to See in the Dark, {kind}, width {width}, "
        + ("TensorFlow's channel order" if is_colour_last else "PyTorch's channel order"),
        task="dark-enhance",
    )


def _is_colour_last(rows: Tensor) -> bool:
    """Whether output channels count through the colours first, told from their weights."""
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    likeness = unit @ unit.T
    channels = torch.arange(len(rows))
    pixels = len(rows) // _COLOURS
    last, first = channels % _COLOURS, channels // pixels
    means = [float(likeness[colour[:, None] == colour[None]].mean()) for colour in (last, first)]
    return means[0] > means[1]


def _names(theirs: Mapping[str, Tensor]) -> dict[str, str]:
    """Return their key -> ours."""
    up = "upv" if "upv6.weight" in theirs else "up"
    tail = "conv10_1" if "conv10_1.weight" in theirs else "conv10"
    layers = {tail: "tail"}
    for level in range(_LEVELS):
        for layer, place in ((1, 0), (2, 2)):
            layers[f"conv{level + 1}_{layer}"] = f"encoder.{level}.{place}"
    for level in range(_LEVELS - 1):
        number = 2 * _LEVELS - 1 - level
        for layer, place in ((1, 0), (2, 2)):
            layers[f"conv{number}_{layer}"] = f"decoder.{level}.{place}"
    names = {
        f"{key}.{part}": f"{ours}.{part}"
        for key, ours in layers.items() for part in ("weight", "bias")
    }  # fmt: skip
    for level in range(_LEVELS - 1):
        number = 2 * _LEVELS - 1 - level
        for part in ("weight", "bias"):
            if f"{up}{number}.{part}" in theirs or part == "weight":
                names[f"{up}{number}.{part}"] = f"up.{level}.{part}"
    return names
