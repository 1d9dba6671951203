"""Conversion of foreign checkpoints, as others published them, to weights of this library.

A file is read as named tensors (here), layers (matlab.py) or arrays (metzler.py); none of its code
is executed. layouts.py, matlab.py and metzler.py recognise the network by keys and shapes.
networks.py converts it to one of ours, with batch normalisation folded into convolutions.
"""

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from restore.archives import open_archive
from restore.errors import WeightsError
from restore.weights.convert.layouts import recognise
from restore.weights.convert.matlab import is_matlab, read_matlab, recognise_matconvnet
from restore.weights.convert.metzler import is_npz, metzler_unet, read_npz_list, with_psf
from restore.weights.convert.networks import Recognised
from restore.weights.header import MOST_TENSORS, MOST_VALUES, read_header
from restore.weights.store import Weights

__all__ = ["Converted", "convert", "read_state_dict"]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A converted network.

    Attributes:
        weights: weights in float32, named after the file; their precision loss is not measured yet.
        layout: recognised layout, as in "KAIR DnCNN, 17 layers, gray, batch norm merged".
    """

    weights: Weights
    layout: str


def convert(path: Path, *, psf: Tensor | None = None) -> Converted:
    """Convert a checkpoint of a known public layout.

    Args:
        path: ``.pth``/``.pt`` (state dict, bare or wrapped), ``.safetensors``, a MatConvNet
            ``.mat`` or a list of arrays in ``.npz``; content decides, not the name.
        psf: PSF ``(3, P, P)`` that a network for high dynamic range was trained with.

    Raises:
        UsageError: a PSF for a network that needs none.
        WeightsError: no such file, not a checkpoint, one that holds more than tensors, or an
            unknown layout.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise WeightsError(f"a checkpoint of more than {_LARGEST_FILE:,} bytes")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        recognised = _recognised(path)
        if psf is not None:
            recognised = with_psf(recognised, psf)
        weights = Weights(
            name=path.stem,
            network=recognised.network,
            config=recognised.config,
            task=recognised.task,
            tensors=recognised.tensors,
            provenance={
                "converted_from": {
                    "layout": recognised.layout,
                    "file": path.name,
                    "sha256": digest,
                }
            },
        )
        replace(weights, name="after conversion").build()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    return Converted(weights=weights, layout=recognised.layout)


def _recognised(path: Path) -> Recognised:
    if is_npz(path):
        return metzler_unet(read_npz_list(path))
    if is_matlab(path):
        return recognise_matconvnet(read_matlab(path))
    return recognise(read_state_dict(path))


_WRAPPERS = ("state_dict", "model_state_dict", "params_ema", "params", "netG", "model")
"""Keys under which training programs store the state dict; the averaged before the plain one."""

_DEEPEST_WRAPPER = 3
_LARGEST_FILE = 1 << 29


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a PyTorch or safetensors checkpoint by name, float32 and finite.

    Wrappers around the state dict, the ``module.`` prefix of DataParallel and the counters of batch
    normalisation are removed.

    Raises:
        WeightsError: damaged, or holding anything but tensors in plain containers.
        OSError: the file cannot be read.
    """
    stored = _read_safetensors(path) if _is_safetensors(path) else _unwrapped(_unpickled(path))
    if len(stored) > MOST_TENSORS:
        raise WeightsError(f"{len(stored):,} tensors; at most {MOST_TENSORS:,} are read")
    tensors = {}
    values = 0
    for key, value in stored.items():
        name = key
        while name.startswith("module."):
            name = name.removeprefix("module.")
        if not name.endswith("num_batches_tracked"):
            # Many tensors can share their bytes, which copies do not.
            values += value.numel() if _is_plain(value) else 0
            if values > MOST_VALUES:
                raise WeightsError(f"more than {MOST_VALUES:,} values")
            tensors[name] = _checked(key, value)
    return tensors


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    # A header's length, then the JSON of the header; a pickle or a zip never looks like that.
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as stream:
            header = read_header(stream)
        if header.metadata.get("format") == "imrestore":
            raise WeightsError("is a weight file of imrestore already")
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in header.tensors}
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"damaged safetensors ({error})") from error


def _unpickled(path: Path) -> Any:
    _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            raise WeightsError(
                f"holds Python objects ({found[1]}) that only its own code can load, and code in "
                "a checkpoint is never run; save the network's state_dict() alone"
            ) from error
        raise WeightsError("not a checkpoint, or one that holds more than tensors") from error
    except Exception as error:  # a damaged file can raise anything
        raise WeightsError("not a checkpoint, or a damaged one") from error


def _check_archive(path: Path) -> None:
    """Refuse a zip archive that PyTorch would not have written; older checkpoints are none.

    Without a comment at its end, no two readers find different directories in it.

    Raises:
        WeightsError: members are compressed or overlap, and so may hold more than the file has.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            return
    try:
        with open_archive(path) as archive:
            members, comment = archive.infolist(), archive.comment
    except ValueError as error:
        raise WeightsError(f"not a checkpoint, or a damaged one: {error}") from error
    is_stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if (
        comment
        or not is_stored
        or sum(member.file_size for member in members) > path.stat().st_size
    ):
        raise WeightsError("not a checkpoint: its members are compressed or overlap")


def _unwrapped(value: Any) -> dict[str, Any]:
    for _ in range(_DEEPEST_WRAPPER):
        if not isinstance(value, Mapping):
            break
        inner = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), Mapping)), None)
        if inner is None:
            break
        value = inner
    if not isinstance(value, Mapping) or not value:
        raise WeightsError(f"holds no state dict but a {type(value).__name__}")
    if not all(isinstance(key, str) for key in value):
        raise WeightsError("holds no state dict: its keys are not names")
    return dict(value)


def _is_plain(value: object) -> bool:
    if not isinstance(value, Tensor) or value.is_nested or value.is_quantized:
        return False
    return value.layout == torch.strided and value.device.type == "cpu"


def _checked(key: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise WeightsError(f"holds a {type(value).__name__} under {key!r}, not a tensor")
    if not _is_plain(value):
        raise WeightsError(f"tensor {key} is nested, sparse, quantised or without data")
    # A view can claim more values than are stored, and would fill the memory when copied.
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise WeightsError(f"tensor {key} is larger than its data")
    if not value.is_floating_point():
        raise WeightsError(f"tensor {key} holds {value.dtype}, not floating-point numbers")
    tensor = value.detach().float()
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"tensor {key} holds values that are not finite")
    return tensor
