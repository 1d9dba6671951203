"""Conversion of foreign checkpoints, as others published them, to weights of this library.

A file is read as named tensors (checkpoint.py, state_dicts.py), layers (matlab.py) or arrays
(metzler.py); none of its code is executed. layouts.py, matlab.py and metzler.py recognise the
network by keys and shapes. networks.py converts it to one of ours, with batch normalisation folded
into convolutions, and tryout.py finds out what it predicts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from restore.arguments import argument
from restore.errors import UsageError, WeightsError, one_line
from restore.weights.convert.checkpoint import read_checkpoint
from restore.weights.convert.interpretation import is_open
from restore.weights.convert.layouts import UnknownLayout, recognise
from restore.weights.convert.matlab import is_matlab, read_matlab, recognise_matconvnet
from restore.weights.convert.metzler import is_npz, metzler_unet, read_npz_list, with_psf
from restore.weights.convert.networks import Recognised
from restore.weights.convert.state_dicts import StateDict, state_dicts
from restore.weights.convert.tryout import LEVELS, Tried, settled
from restore.weights.store import Weights

__all__ = ["Converted", "as_laid_out", "convert"]

_LARGEST_FILE = 1 << 29


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A converted network.

    Attributes:
        weights: weights in float32, named after the file; their precision loss is not measured yet.
        layout: recognised layout, as in "KAIR DnCNN, 17 layers, gray, batch norm merged".
        tried: what running a denoiser showed; None for other networks.
        remark: which of several weights in the file these are; empty if there is one choice.
    """

    weights: Weights
    layout: str
    remark: str = ""
    tried: Tried | None = None


def convert(path: Path, *, psf: Tensor | None = None, member: str | None = None) -> Converted:
    """Convert a checkpoint of a known public layout.

    What the layers of a denoiser for pictures predict is not taken from the layout, which may
    mislead, but tried out; see ``settled``.

    Args:
        path: as for ``as_laid_out``.
        psf: as for ``as_laid_out``.
        member: as for ``as_laid_out``.

    Raises:
        UsageError: as ``as_laid_out``.
        WeightsError: as ``as_laid_out``; a denoiser that improves no picture.
    """
    converted = as_laid_out(path, psf=psf, member=member)
    if not is_open(converted.weights):
        return converted
    try:
        weights, tried = settled(converted.weights, _levels(member))
    except WeightsError as error:
        raise WeightsError(f"{path}: {converted.layout}: {error}") from error
    provenance = weights.provenance | {"tried": tried.provenance()}
    return replace(converted, weights=replace(weights, provenance=provenance), tried=tried)


def _levels(member: str | None) -> list[float]:
    """Return the noise levels to try, with that of a network for a single one."""
    own = [float(member)] if member is not None and member.replace(".", "", 1).isdecimal() else []
    return sorted({*LEVELS, *(level for level in own if 0 < level <= LEVELS[-1])})


def as_laid_out(path: Path, *, psf: Tensor | None = None, member: str | None = None) -> Converted:
    """Convert a checkpoint as its layout says, without running the network.

    Args:
        path: ``.pth``/``.pt`` (state dict, bare or wrapped), ``.safetensors``, a MatConvNet
            ``.mat`` or a list of arrays in ``.npz``; content decides, not the name.
        psf: PSF ``(3, P, P)`` that a network for high dynamic range was trained with.
        member: which of several networks in the file; see ``state_dicts``.

    Raises:
        UsageError: a PSF for a network that needs none, or not one member of several.
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
        found = _recognised(path, member)
        recognised = found.network
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
                    **({"part": found.place} if found.place else {}),
                    **({"member": member} if member is not None else {}),
                }
            },
        )
        replace(weights, name="after conversion").build()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UsageError, WeightsError) as error:
        raise type(error)(f"{path}: {error}") from error
    return Converted(weights=weights, layout=recognised.layout, remark=found.remark)


@dataclass(frozen=True)
class _Found:
    """A network, and the state dict that it was recognised in."""

    network: Recognised
    state_dict: StateDict | None = None

    @property
    def place(self) -> str:
        """Where in the file it was."""
        return self.state_dict.place if self.state_dict else ""

    @property
    def remark(self) -> str:
        """Which of several weights were taken, if there is anything to say."""
        if self.state_dict is None or not self.state_dict.others:
            return ""
        kind = "the averaged weights" if self.state_dict.is_averaged else "the weights"
        others = one_line(", ".join(self.state_dict.others), 60)
        return f"takes {kind} {one_line(self.place, 60)}, and leaves out {others}"


def _recognised(path: Path, member: str | None) -> _Found:
    if is_npz(path) or is_matlab(path):
        if member is not None:
            raise UsageError(
                f"holds a single network, not several: leave out {argument('member', member)}"
            )
        if is_npz(path):
            return _Found(metzler_unet(read_npz_list(path)))
        return _Found(recognise_matconvnet(read_matlab(path)))
    return _first_known(state_dicts(read_checkpoint(path), member))


def _first_known(candidates: Sequence[StateDict]) -> _Found:
    """Return the first network that is recognised.

    Raises:
        WeightsError: why the first was not that looked like one, or else the first of all.
    """
    reasons: list[WeightsError] = []
    for candidate in candidates:
        try:
            return _Found(recognise(candidate.tensors()), candidate)
        except WeightsError as error:
            reasons.append(error)
    raise next((each for each in reasons if not isinstance(each, UnknownLayout)), reasons[0])
