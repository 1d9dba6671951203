"""Whose network a state dict belongs to, told from keys and shapes alone.

The layouts are those of KAIR and of the DnCNN code by cszn, of DnCNN-PyTorch by SaoYan, of deepinv,
and of the PyTorch ports of Learning to See in the Dark.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from restore.convert.drunet import drunet
from restore.convert.networks import Recognised, dncnn, fdncnn, ffdnet
from restore.convert.sid import is_sid, sid
from restore.convert.stack import Layer, Norm, stack_shape
from restore.errors import WeightsError

__all__ = ["recognise"]

_CSZN_EPS, _PYTORCH_EPS = 1e-4, 1e-5
"""What batch normalisation adds to the variance in KAIR and cszn's code, and by default."""

_STACK_KEY = re.compile(r"(model|dncnn)\.\d{1,4}\.(weight|bias|running_mean|running_var)", re.ASCII)
_DEEPINV_KEY = re.compile(r"(in_conv|conv_list\.\d{1,4}|out_conv)\.(weight|bias)", re.ASCII)
_NORM_FIELDS = {"weight", "bias", "running_mean", "running_var"}


def recognise(tensors: Mapping[str, Tensor]) -> Recognised:
    """Return the network that a state dict belongs to.

    Raises:
        WeightsError: no known layout, or one whose shapes make no sense.
    """
    if "m_head.weight" in tensors:
        return drunet(tensors)
    if is_sid(tensors):
        return sid(tensors)
    if all(_DEEPINV_KEY.fullmatch(key) for key in tensors):
        return dncnn(_deepinv_layers(tensors), "deepinv", without_norm="no batch norm")
    families = {match[1] if (match := _STACK_KEY.fullmatch(key)) else "" for key in tensors}
    if families == {"model"}:
        return _kair(_sequential_layers(tensors, eps=_CSZN_EPS))
    if families == {"dncnn"}:
        # cszn's PyTorch code gives the first convolution a bias, SaoYan's gives none to any.
        if "dncnn.0.bias" in tensors:
            return dncnn(_sequential_layers(tensors, eps=_CSZN_EPS), "cszn PyTorch")
        return dncnn(_sequential_layers(tensors, eps=_PYTORCH_EPS), "SaoYan")
    raise _unknown(tensors)


def _unknown(names: Iterable[str]) -> WeightsError:
    first = ", ".join(name[:60] for name in list(names)[:4])
    return WeightsError(
        f"a layout that is not known; its first keys are {first}. Read are DnCNN (KAIR, SaoYan, "
        "cszn, deepinv), FDnCNN and FFDNet (KAIR, cszn), DRUNet (KAIR, deepinv) and the U-Net of "
        "Learning to See in the Dark"
    )


def _kair(layers: Sequence[Layer]) -> Recognised:
    inputs, width, outputs = stack_shape(layers)
    if (inputs, outputs) in ((5, 4), (13, 12)):
        return ffdnet(layers, "KAIR")
    if inputs == outputs + 1:
        return fdncnn(layers, "KAIR")
    if (len(layers), width) == (7, 64):
        raise WeightsError(
            "7 layers of 64 features are an IRCNN, whose dilated convolutions are not read"
        )
    return dncnn(layers, "KAIR")


def _sequential_layers(tensors: Mapping[str, Tensor], *, eps: float) -> list[Layer]:
    """Return the convolutions of an ``nn.Sequential``, each with the normalisation behind it."""
    entries: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        _, place, name = key.split(".")
        entries.setdefault(int(place), {})[name] = tensor
    layers: list[Layer] = []
    last = -2
    for number, entry in sorted(entries.items()):
        if set(entry) == _NORM_FIELDS and number == last + 1 and layers[-1].norm is None:
            conv = layers[-1]
            layers[-1] = Layer(weight=conv.weight, bias=conv.bias, norm=_norm(entry, eps))
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
