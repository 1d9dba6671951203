"""Recognition of state dict layouts: KAIR, SaoYan, deepinv, DRUNet, PMRID, and ports of SID."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from restore.errors import WeightsError, one_line
from restore.models.drunet import DRUNet, DRUNetConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.pmrid import PMRID, PMRIDConfig
from restore.weights.convert.interpretation import IRCNN_DILATIONS
from restore.weights.convert.networks import (
    Layer,
    Norm,
    Recognised,
    dncnn,
    fdncnn,
    ffdnet,
    kind,
    stack_shape,
)

__all__ = ["UnknownLayout", "drunet", "is_sid", "recognise", "sid"]


class UnknownLayout(WeightsError):
    """Tensors whose names are those of no known network."""


_LEVELS = 5
_WRAPPER = re.compile(r"^(?:module\.|netG\.|model\.)+")
_COLOURS = 3


def is_sid(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of SID's U-Net, with or without wrapper prefixes."""
    names = {_WRAPPER.sub("", key) for key in tensors}
    return {"conv1_1.weight", "conv5_2.weight", "conv9_2.weight"} <= names


def sid(tensors: Mapping[str, Tensor]) -> Recognised:
    """Return the IspUNet behind a state dict with ``conv1_1`` ... ``conv9_2``, ``upv6`` ....

    The last layer is ``conv10`` or ``conv10_1``, the steps up are ``up6`` or ``upv6``. Ports of the
    authors' TensorFlow weights order its channels as ``depth_to_space`` does (colour last), those
    trained in PyTorch as ``PixelShuffle`` does (colour first); the weights show which: the pixels
    of one colour depend on the same features.

    Raises:
        WeightsError: an unsupported variant.
    """
    theirs = {_WRAPPER.sub("", key): tensor for key, tensor in tensors.items()}
    names = _sid_names(theirs)
    odd = sorted(set(names) ^ set(theirs))
    if odd:
        raise WeightsError(f"a U-Net of an unknown form: {odd[0][:60]} is missing or unexpected")
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
    """Whether colour varies fastest among the output channels, told from their weights."""
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    likeness = unit @ unit.T
    channels = torch.arange(len(rows))
    pixels = len(rows) // _COLOURS
    last, first = channels % _COLOURS, channels // pixels
    means = [float(likeness[colour[:, None] == colour[None]].mean()) for colour in (last, first)]
    return means[0] > means[1]


def _sid_names(theirs: Mapping[str, Tensor]) -> dict[str, str]:
    """Return a map from their keys to ours."""
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


_CSZN_EPS, _PYTORCH_EPS = 1e-4, 1e-5
"""Epsilon of batch normalisation in the code of KAIR and cszn, and by default in PyTorch."""

_STACK_KEY = re.compile(
    r"(?:(model|dncnn)\.)?\d{1,4}\.(weight|bias|running_mean|running_var)", re.ASCII
)
_DEEPINV_KEY = re.compile(r"(in_conv|conv_list\.\d{1,4}|out_conv)\.(weight|bias)", re.ASCII)
_NORM_FIELDS = {"weight", "bias", "running_mean", "running_var"}


def recognise(tensors: Mapping[str, Tensor]) -> Recognised:
    """Return the network that a state dict belongs to.

    Raises:
        UnknownLayout: no known layout.
        WeightsError: a known one with inconsistent shapes.
    """
    if "m_head.weight" in tensors:
        return drunet(tensors)
    if is_sid(tensors):
        return sid(tensors)
    if "enc1.0.conv1.depthwise.weight" in tensors:
        return _pmrid(tensors)
    if all(_DEEPINV_KEY.fullmatch(key) for key in tensors):
        return dncnn(_deepinv_layers(tensors), "deepinv", without_norm="no batch norm")
    families = {match[1] if (match := _STACK_KEY.fullmatch(key)) else "?" for key in tensors}
    if families == {"model"}:
        return _stack(_sequential_layers(tensors, eps=_CSZN_EPS), "KAIR")
    if families == {None}:  # a bare nn.Sequential
        return _stack(_sequential_layers(tensors, eps=_PYTORCH_EPS), "PyTorch")
    if families == {"dncnn"}:
        # cszn's PyTorch code gives the first convolution a bias, SaoYan's gives none to any.
        if "dncnn.0.bias" in tensors:
            return dncnn(_sequential_layers(tensors, eps=_CSZN_EPS), "cszn PyTorch")
        return dncnn(_sequential_layers(tensors, eps=_PYTORCH_EPS), "SaoYan")
    raise _unknown(tensors)


def _unknown(names: Iterable[str]) -> UnknownLayout:
    first = ", ".join(one_line(name, 30) for name in list(names)[:3])
    return UnknownLayout(
        f"an unknown layout; its first keys are {first}. Supported are DnCNN (KAIR, SaoYan, "
        "cszn, deepinv), FDnCNN and FFDNet (KAIR, cszn), DRUNet (KAIR, deepinv) and the U-Net of "
        "Learning to See in the Dark"
    )


def _stack(layers: Sequence[Layer], source: str) -> Recognised:
    inputs, width, outputs = stack_shape(layers)
    if (inputs, outputs) in ((5, 4), (13, 12)):
        return ffdnet(layers, source)
    if inputs == outputs + 1:
        return fdncnn(layers, source)
    if (len(layers), width) == (len(IRCNN_DILATIONS), 64):
        dilated = [
            replace(layer, dilation=dilation)
            for layer, dilation in zip(layers, IRCNN_DILATIONS, strict=True)
        ]
        return dncnn(dilated, source)
    return dncnn(layers, source)


def _sequential_layers(tensors: Mapping[str, Tensor], *, eps: float) -> list[Layer]:
    """Return the convolutions of an ``nn.Sequential``, each with the normalisation behind it."""
    entries: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        place, name = key.split(".")[-2:]
        entries.setdefault(int(place), {})[name] = tensor
    layers: list[Layer] = []
    last = -2
    for number, entry in sorted(entries.items()):
        if set(entry) == _NORM_FIELDS and number == last + 1 and layers[-1].norm is None:
            conv = layers[-1]
            layers[-1] = replace(conv, norm=_norm(entry, eps))
        elif _is_conv(entry) and number >= last + 2:  # the number between is the ReLU's
            layers.append(Layer(weight=entry["weight"], bias=entry.get("bias")))
        else:
            raise WeightsError(
                f"layer {number} of the stack, with {', '.join(sorted(entry))}, is neither a "
                "convolution behind a ReLU nor the batch normalisation of one"
            )
        last = number
    return layers


def _is_conv(entry: Mapping[str, Tensor]) -> bool:
    return set(entry) <= {"weight", "bias"} and "weight" in entry and entry["weight"].ndim == 4


def _norm(entry: Mapping[str, Tensor], eps: float) -> Norm:
    return Norm(
        scale=entry["weight"],
        shift=entry["bias"],
        mean=entry["running_mean"],
        deviation=torch.sqrt(entry["running_var"].double() + eps),
    )


def _deepinv_layers(tensors: Mapping[str, Tensor]) -> list[Layer]:
    hidden = {key.rpartition(".")[0] for key in tensors if key.startswith("conv_list.")}
    names = ["in_conv", *(f"conv_list.{number}" for number in range(len(hidden))), "out_conv"]
    weights = [tensors.get(f"{name}.weight") for name in names]
    layers = [
        Layer(weight=weight, bias=tensors.get(f"{name}.bias"))
        for name, weight in zip(names, weights, strict=True)
        if weight is not None and weight.ndim == 4
    ]
    if len(layers) != len(names):
        raise _unknown(tensors)
    # Its network adds the stack's output to the noisy picture, ours subtracts it.
    last = layers[-1]
    layers[-1] = Layer(weight=-last.weight, bias=None if last.bias is None else -last.bias)
    return layers


def drunet(tensors: Mapping[str, Tensor]) -> Recognised:
    """Return the DRUNet behind a state dict with ``m_head``, ``m_down1`` ... ``m_tail``.

    Raises:
        WeightsError: an unsupported variant (biases, other ways to change the resolution).
    """
    if any(key.endswith(".bias") for key in tensors):
        raise WeightsError("a DRUNet with biases; only the published form, without, is read")
    levels = _count(r"m_down\d+\.0\.res\.0\.weight", tensors)
    blocks = _count(r"m_body\.\d+\.res\.0\.weight", tensors)
    if 2 + 2 * levels + 2 * (2 * levels + 1) * blocks != len(tensors):
        raise WeightsError(
            f"a DRUNet of an unknown form: tensors of {levels} levels of {blocks} blocks are "
            "missing or unexpected"
        )
    names = _drunet_names(levels, blocks)
    odd = sorted(set(names) ^ set(tensors))
    if odd:
        raise WeightsError(f"a DRUNet of an unknown form: {odd[0][:60]} is missing or unexpected")
    if any(tensor.ndim != 4 for tensor in tensors.values()):
        raise WeightsError("a DRUNet whose tensors are no convolutions")
    downs = [tensors[f"m_down{level}.{blocks}.weight"] for level in range(1, levels + 1)]
    head, tail = tensors["m_head.weight"], tensors["m_tail.weight"]
    widths = (head.shape[0], *(down.shape[0] for down in downs))
    channels = tail.shape[0]
    if head.shape[1] != channels + 1:
        raise WeightsError(f"a U-Net from {head.shape[1]} to {channels} channels is no DRUNet")
    return Recognised(
        network=DRUNet,
        config=DRUNetConfig(channels=channels, widths=widths, blocks=blocks),
        tensors={names[key]: tensor.contiguous() for key, tensor in tensors.items()},
        layout=f"KAIR DRUNet, widths {'-'.join(map(str, widths))}, {blocks} blocks a level, "
        f"{kind(channels)}, noise-level map",
    )


def _pmrid(tensors: Mapping[str, Tensor]) -> Recognised:
    """Return a PMRID, whose layers have the same names here.

    Raises:
        WeightsError: a variant of it.
    """
    with torch.device("meta"):
        ours = PMRID(PMRIDConfig()).state_dict()
    for key in sorted({*ours, *tensors}):
        shapes = [tuple(each[key].shape) if key in each else None for each in (ours, tensors)]
        if shapes[0] != shapes[1]:
            raise WeightsError(f"a PMRID of an unknown form: {key[:60]} is not as published")
    return Recognised(
        network=PMRID,
        config=PMRIDConfig(),
        tensors={key: tensor.contiguous() for key, tensor in tensors.items()},
        layout="PMRID, packed Bayer",
        task="denoise-raw",
    )


def _count(pattern: str, names: Mapping[str, Tensor]) -> int:
    return sum(re.fullmatch(pattern, name, re.ASCII) is not None for name in names)


def _drunet_names(levels: int, blocks: int) -> dict[str, str]:
    """Return a map from their keys to ours."""
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
