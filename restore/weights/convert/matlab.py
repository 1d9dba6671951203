"""MatConvNet networks: ``.mat`` files with a struct ``net`` whose ``layers`` are a cell array."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.errors import WeightsError
from restore.weights.convert.networks import Layer, Norm, Recognised, dncnn, fdncnn, ffdnet

__all__ = ["MatLayer", "is_matlab", "read_matlab", "recognise_matconvnet"]

MatLayer = Mapping[str, Any]
"""Field -> str, array in MATLAB's order of dimensions, or list of arrays (``weights``)."""

_READER = Path(__file__).with_name("mat_reader.py")
_LONGEST_S = 120.0


def is_matlab(path: Path) -> bool:
    """Whether the file begins as MATLAB's files do."""
    with path.open("rb") as file:
        return file.read(6) == b"MATLAB"


def read_matlab(path: Path) -> list[MatLayer]:
    """Return the layers of the network in a MATLAB file, of version 5 to 7.3.

    The file is read in a child process, because a hostile file may crash the reader.

    Raises:
        WeightsError: damaged, no MatConvNet network in it, or a version 7.3 file (HDF5) where
            h5py is not installed.
    """
    try:
        # -P: the modules beside the reader must not hide others of the same name.
        child = subprocess.run(
            [sys.executable, "-P", str(_READER), str(path.resolve())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError("not a MatConvNet network: reading it takes too long") from error
    if child.returncode == 1 and child.stderr:
        raise WeightsError(child.stderr.decode(errors="replace").splitlines()[-1])
    if child.returncode:
        raise WeightsError("not a MatConvNet network, or a damaged one: its reader crashed")
    try:
        with np.load(io.BytesIO(child.stdout), allow_pickle=False) as archive:
            return _layers({key: archive[key] for key in archive.files})
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError("not a MatConvNet network, or a damaged one") from error


def _layers(arrays: Mapping[str, Any]) -> list[MatLayer]:
    """Rebuild the layers from the reader's flat archive."""
    layers: dict[int, dict[str, Any]] = {}
    for key, array in arrays.items():
        number, field, *place = key.split(".")
        layer = layers.setdefault(int(number), {})
        if place:
            layer.setdefault(field, []).append(array)
        else:
            layer[field] = str(array) if array.dtype.kind == "U" else array
    if not layers:
        raise WeightsError("a MatConvNet network without layers")
    return [layer for _, layer in sorted(layers.items())]


_SOURCE = "cszn MatConvNet"
_LARGEST_DILATION = 16
_COLUMN_MAJOR = (0, 2, 1, 3)
"""Order of its sub-pixels: column by column, where ``pixel_unshuffle`` goes row by row."""


def recognise_matconvnet(layers: Sequence[MatLayer]) -> Recognised:
    """Return the network that MatConvNet layers belong to.

    Raises:
        WeightsError: layers, or an order of them, that no known network has.
    """
    try:
        return _recognised(layers)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise WeightsError("a MatConvNet network whose layers make no sense") from error


def _recognised(layers: Sequence[MatLayer]) -> Recognised:
    kinds = [str(layer.get("type", "")) for layer in layers]
    # The last layer of a network in training is its loss.
    if kinds[-1] == "loss":
        layers, kinds = layers[:-1], kinds[:-1]
    prologue = [kind for kind in kinds if kind in ("SubP", "concat")]
    stack = _stack(layers)
    if not prologue:
        return dncnn(stack, _SOURCE)
    if prologue == ["concat"] and kinds[0] == "concat":
        return fdncnn(stack, _SOURCE)
    if prologue == ["SubP", "concat", "SubP"] and kinds[:2] + kinds[-1:] == prologue:
        scales = [float(_vector(layer["scale"])[0]) for layer in (layers[0], layers[-1])]
        if scales == [0.5, 2.0]:
            return ffdnet(stack, _SOURCE, order=_COLUMN_MAJOR)
    raise WeightsError(f"a MatConvNet network of an unknown form: {', '.join(kinds[:4])} ...")


def _stack(layers: Sequence[MatLayer]) -> list[Layer]:
    """Return the convolutions, checked to be plain, alternating with ReLUs."""
    stack: list[Layer] = []
    active = True  # whether the next convolution may come
    for layer in layers:
        kind = str(layer.get("type", ""))
        if kind == "conv" and active:
            stack.append(_conv(layer))
            active = False
        elif kind == "bnorm" and stack and not active and stack[-1].norm is None:
            conv = stack[-1]
            stack[-1] = replace(conv, norm=_norm(layer))
        elif kind == "relu" and not active and not _vector(layer.get("leak", 0.0)).any():
            active = True
        elif kind not in ("SubP", "concat"):
            raise WeightsError(f"a MatConvNet layer {kind or 'without a type'!r} out of its place")
    return stack


def _conv(layer: MatLayer) -> Layer:
    dilations = {float(each) for each in _vector(layer.get("dilate", 1))}
    dilation = int(dilations.pop()) if len(dilations) == 1 else 0
    plain = {"pad": dilation, "stride": 1, "dilate": dilation}
    if not 1 <= dilation <= _LARGEST_DILATION or any(
        (_vector(layer.get(name, 1)) != value).any() for name, value in plain.items()
    ):
        raise WeightsError(
            "a MatConvNet convolution with stride, unusual dilation or padding unlike it"
        )
    weights = layer["weights"]
    if len(weights) != 2:
        raise WeightsError("a MatConvNet convolution without weights and biases")
    kernel = np.asarray(weights[0])
    # MATLAB drops trailing dimensions of size 1.
    kernel = kernel.reshape(kernel.shape + (1,) * (4 - kernel.ndim))
    return Layer(
        weight=_tensor(kernel.transpose(3, 2, 0, 1)),
        bias=_tensor(_vector(weights[1])),
        dilation=dilation,
    )


def _norm(layer: MatLayer) -> Norm:
    weights = layer["weights"]
    if len(weights) != 3 or np.ndim(weights[2]) != 2 or np.shape(weights[2])[1] != 2:
        raise WeightsError("a MatConvNet batch normalisation without its moments")
    mean, deviation = np.asarray(weights[2]).T  # MatConvNet stores sqrt(variance + eps)
    return Norm(
        scale=_tensor(_vector(weights[0])),
        shift=_tensor(_vector(weights[1])),
        mean=_tensor(mean),
        deviation=_tensor(deviation),
    )


def _vector(value: object) -> NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64).ravel()


def _tensor(values: NDArray[np.floating]) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    if not torch.isfinite(tensor).all():
        raise WeightsError("a MatConvNet layer holds values that are not finite")
    return tensor
