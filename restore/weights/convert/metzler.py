"""The network of Metzler et al., "Deep Optics for Single-shot HDR Imaging", CVPR 2020."""

import io
import math
import pickle
import pickletools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.archives import checked_size, open_archive
from restore.errors import UsageError, WeightsError
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.optical_element import set_element
from restore.weights.convert.networks import Recognised

__all__ = ["is_npz", "metzler_unet", "read_npz_list", "with_psf"]

_LEVELS = 5


def metzler_unet(arrays: Sequence[NDArray[np.float32]]) -> Recognised:
    """Return the HdrUNet behind the 60 arrays that the authors publish.

    Convolutions are stored (height, width, in, out), transposed ones (height, width, out, in);
    batch normalisation is beta, gamma, mean and variance; fusions take the decoder first.

    Raises:
        WeightsError: wrong number or shapes of arrays.
    """
    names = _names()
    if len(arrays) != len(names) or arrays[0].ndim != 4:
        raise WeightsError(
            f"a list of {len(arrays)} arrays; the HDR network of Metzler et al. has {len(names)}"
        )
    config = HdrUNetConfig(width=arrays[0].shape[3])
    with torch.device("meta"):  # a few wide arrays do not make a wide network
        expected = HdrUNet(config).state_dict()
    tensors = {}
    for name, array in zip(names, arrays, strict=True):
        tensor = torch.from_numpy(array)
        if tensor.ndim == 4:
            tensor = tensor.permute(3, 2, 0, 1)
        if tensor.shape != expected[name].shape:
            raise WeightsError(
                f"{name} of shape {list(tensor.shape)}, not {list(expected[name].shape)}"
            )
        tensors[name] = tensor.contiguous()
    tensors = dict(HdrUNet(config).state_dict()) | tensors
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
        UsageError: not a network for high dynamic range.
    """
    if recognised.task != "hdr":
        raise UsageError(f"{recognised.layout}: only networks for high dynamic range take a PSF")
    network = HdrUNet(replace(recognised.config, psf_size=psf.shape[1]))
    set_element(network, psf)
    tensors = dict(network.state_dict()) | recognised.tensors
    return replace(recognised, config=network.config, tensors=tensors)


def _names() -> list[str]:
    """Return our tensor names in the order of the published arrays."""
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


_MOST_BYTES = 1 << 26
"""Eighteen times as many as the published network has."""
_MOST_RATIO = 20.0
"""Numbers of a trained network hardly compress."""
_MOST_REMEMBERED = 1 << 16
_DTYPES = {"f2": np.float16, "f4": np.float32, "f8": np.float64}


def is_npz(path: Path) -> bool:
    """Whether the file is a zip of ``.npy`` files, and no checkpoint of PyTorch."""
    try:
        with open_archive(path) as archive:
            names = archive.namelist()
    except ValueError:
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz_list(path: Path) -> list[NDArray[np.float32]]:
    """Return the arrays of the one list in an ``.npz`` file.

    Raises:
        WeightsError: damaged, other content, or content that needs code to be run.
        OSError: the file cannot be read.
    """
    try:
        with open_archive(path) as archive:
            members = archive.infolist()
            if len(members) != 1:
                raise WeightsError(f"an .npz of {len(members)} arrays; one list of arrays is read")
            try:
                checked_size(members[0], most_bytes=_MOST_BYTES, most_ratio=_MOST_RATIO)
            except ValueError as error:
                raise WeightsError(f"an .npz of {error}") from error
            stored = archive.read(members[0])
        return _arrays(stored)
    except (WeightsError, OSError):
        raise
    except Exception as error:  # a damaged file can raise anything
        raise WeightsError("not an .npz with a list of arrays, or a damaged one") from error


def _arrays(stored: bytes) -> list[NDArray[np.float32]]:
    stream = io.BytesIO(stored)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise WeightsError("an .npy of an unknown version")
    _, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if not dtype.hasobject:
        raise WeightsError("an .npz with one plain array; a list of arrays is read")
    start = stream.tell()
    _check_counts(stream)
    stream.seek(start)
    outer = _Unpickler(stream, encoding="latin1").load()
    if not isinstance(outer, _Array) or not isinstance(outer.content, list):
        raise WeightsError("an .npz whose content is no list of arrays")
    arrays = []
    for each in outer.content:
        if not isinstance(each, _Array) or not isinstance(each.content, np.ndarray):
            raise WeightsError("a list that holds something other than arrays")
        arrays.append(each.content)
    return arrays


def _check_counts(stream: io.BytesIO) -> None:
    """Refuse numbers in a pickle that make the unpickler allocate memory without data.

    Raises:
        WeightsError: a number in the memo is too large.
        ValueError: a string is shorter than its declared length.
    """
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name.endswith("PUT") and (argument or 0) > _MOST_REMEMBERED:
            raise WeightsError(f"a pickle with the memo index {argument}, which is too large")


class _Dtype:
    """A pickled dtype: its name and byte order."""

    def __init__(self, name: Any, *_flags: Any) -> None:
        self.name, self.is_big_endian = name, False

    def __setstate__(self, state: Any) -> None:
        self.is_big_endian = state[1] == ">"


class _Array:
    """A pickled array: ``content`` is a float32 array, or the list of an object array."""

    def __init__(self, unpickler: "_Unpickler") -> None:
        self.content: Any = None
        self._unpickler = unpickler

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_column_major, content = state
        if isinstance(content, list):
            self.content = content
            return
        if isinstance(content, str):  # written by Python 2
            content = content.encode("latin1")
        kind = _DTYPES.get(dtype.name)
        if kind is None or dtype.is_big_endian or not isinstance(content, bytes):
            raise WeightsError(f"an array of the type {str(dtype.name)[:20]}; floats are read")
        shape = tuple(int(side) for side in shape)
        if min(shape, default=1) < 0 or len(content) != math.prod(shape) * np.dtype(kind).itemsize:
            raise WeightsError(f"an array {list(shape)} with {len(content)} bytes")
        self._unpickler.take(len(content))
        flat = np.frombuffer(content, dtype=kind).astype(np.float32)
        self.content = flat.reshape(shape[::-1]).T if is_column_major else flat.reshape(shape)
        if not np.isfinite(self.content).all():
            raise WeightsError("an array with values that are not finite")


class _Unpickler(pickle.Unpickler):
    """Unpickles nothing but arrays, and copies no more than ``_MOST_BYTES``."""

    _taken = 0

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy.core.multiarray", "_reconstruct"): self._array,
            ("numpy._core.multiarray", "_reconstruct"): self._array,
            ("numpy", "ndarray"): self._array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): self._encoded,
        }
        if (module, name) not in known:
            named = f"{module}.{name}"[:80]
            raise WeightsError(
                f"holds Python objects ({named}), and code in a checkpoint is never run"
            )
        return known[module, name]

    def take(self, count: int) -> None:
        """Count copied bytes; a file may refer to the same bytes many times.

        Raises:
            WeightsError: they are too many.
        """
        self._taken += count
        if self._taken > _MOST_BYTES:
            raise WeightsError(f"arrays of more than {_MOST_BYTES:,} bytes")

    def _array(self, *_arguments: Any) -> _Array:
        return _Array(self)

    def _encoded(self, text: str, _encoding: str) -> bytes:
        self.take(len(text))
        return text.encode("latin1")
