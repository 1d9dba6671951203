"""Foreign checkpoints: the networks that others published, as weights of this library.

readers.py, matlab.py and npz_list.py turn a file into named tensors, layers or arrays and execute
none of its code; layouts.py, drunet.py, sid.py, matconvnet.py and metzler.py recognise whose
network they are from keys and shapes; networks.py and stack.py make it one of ours, with batch
normalisation folded into convolutions.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from restore.errors import WeightsError
from restore.weights.convert.layouts import recognise
from restore.weights.convert.matlab import is_matlab, read_matlab, recognise_matconvnet
from restore.weights.convert.metzler import metzler_unet, with_psf
from restore.weights.convert.networks import Recognised
from restore.weights.convert.npz_list import is_npz, read_npz_list
from restore.weights.convert.readers import read_state_dict
from restore.weights.store import Weights

__all__ = ["Converted", "convert"]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A foreign network in this library's terms.

    Attributes:
        weights: float32, named after the file; nothing is measured yet.
        layout: what was recognised, as in "KAIR DnCNN, 17 layers, gray, batch norm merged".
    """

    weights: Weights
    layout: str


def convert(path: Path, *, psf: Tensor | None = None) -> Converted:
    """Read a checkpoint of a public layout.

    Args:
        path: ``.pth``/``.pt`` (state dict, bare or wrapped), ``.safetensors``, a MatConvNet
            ``.mat`` or a list of arrays in ``.npz``; content decides, not the name.
        psf: ``(3, P, P)`` that a network for high dynamic range was trained with.

    Raises:
        UsageError: a PSF for a network that needs none.
        WeightsError: no such file, not a checkpoint, one that holds more than tensors, or a
            layout that is not known.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
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
